"""Errors as pages with one sentence, and with what to do; never a traceback."""

from collections.abc import Callable, Sequence

from flask import Flask, Response, g, render_template
from werkzeug.exceptions import HTTPException, SecurityError

from lockkeeper.page.needed_rights import RightRow
from lockkeeper.page.rate_limit import TooOften
from lockkeeper.page.viewers import Viewer
from policy.cluster.errors import (
    ClusterError,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)

_TITLES = {401: "Not known", 403: "No right", 404: "Not found"}


def sentence(error: ClusterError) -> str:
    """Return what a failed read means, in one sentence."""
    if isinstance(error, Unauthorized):
        return error.message
    if isinstance(error, Forbidden):
        return f"You have no right to see this: {error.message}"
    if isinstance(error, NotFound):
        return error.message
    if isinstance(error, (Unavailable, TooManyRequests)):
        return f"The cluster does not answer: {error.message}"
    return f"The cluster cannot be read: {error.message}"


def add_error_pages(app: Flask, *, hosts: Sequence[str], bug: Callable[[BaseException], None]) -> None:
    """Let every error of a request be a page; `bug` hears of faults of ours."""

    @app.errorhandler(ClusterError)
    def cluster_error(error: ClusterError) -> Response:
        """Tell what could not be read; and which rights there are, where that is why."""
        known = isinstance(error, (Forbidden, NotFound))
        code = error.code if known else 503
        rights: tuple[RightRow, ...] = ()
        if isinstance(error, Forbidden) and not isinstance(error, Unauthorized):
            viewer: Viewer = g.viewer
            rights = viewer.rights(g.scope or viewer.namespace)
        title = "No answer" if isinstance(error, Unavailable) else "Cannot be read"
        return _shown(code, _TITLES.get(code, title), sentence(error), rights)

    @app.errorhandler(TooOften)
    def too_often(error: TooOften) -> Response:
        """Tell when it may be tried again."""
        answer = _shown(429, "Too often", str(error))
        answer.headers["Retry-After"] = str(error.seconds)
        return answer

    @app.errorhandler(SecurityError)
    def foreign_name(_error: SecurityError) -> Response:
        """Refuse a name that is not this page's; without it nothing can be linked."""
        text = f"Open this page by one of these names: {', '.join(hosts)}.\n"
        return Response(text, status=400, mimetype="text/plain")

    @app.errorhandler(HTTPException)
    def no_such_page(error: HTTPException) -> Response:
        """Tell that there is no such page, or what else is wrong with the request."""
        code = error.code or 500
        text = "There is no such page." if code == NotFound.code else str(error.description)
        return _shown(code, error.name, text)

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Response:
        """Tell that it is a fault of ours, and report it."""
        bug(error)
        text = f"Lockkeeper could not make this page ({type(error).__name__})."
        return _shown(500, "A fault of ours", text)


def _shown(code: int, title: str, text: str, rights: Sequence[RightRow] = ()) -> Response:
    """Return an error as a page; htmx does not put it in the place of what is shown."""
    body = render_template("error.html", frame="page.html", title=title, text=text, rights=rights)
    return Response(body, status=code, mimetype="text/html")
