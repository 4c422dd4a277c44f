"""The routes of the page, the headers of every answer, and errors as a page with one sentence.

Every view has a mark that changes with what it shows. A browser that has shown it asks again with that mark
as an ETag, and is answered 304 before anything is rendered. What it asks for again is the live part alone.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException, SecurityError

from lockkeeper import __version__
from lockkeeper.page.cluster_state import ClusterState, SeenCluster, mark_of
from lockkeeper.page.last_read import Latest
from lockkeeper.page.overview import overview, totals
from lockkeeper.page.queue_rows import Filters, choices, queue_page
from policy.cluster.errors import ClusterError, Forbidden, NotFound
from policy.core.values.durations import written

Value = TypeVar("Value")

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HOSTS: Final = ["localhost", "127.0.0.1"]
"""Names by which a browser may reach the page: with any other, a foreign site could read it under its own."""
_READ_AT: Final = "Lockkeeper-Read-At"
_HTMX_SETTINGS: Final = {
    "allowEval": False,
    "historyEnabled": False,
    "includeIndicatorStyles": False,
    "responseHandling": [{"code": "200", "swap": True}, {"code": "...", "swap": False}],
}
_SECONDS: Final = timedelta(seconds=1)


class _Shown(msgspec.Struct, frozen=True):
    """What one view shows: a template with its values, made only where the mark is another.

    `at` is when it was read; `error` is why it could not be read again since.
    """

    template: str
    at: datetime
    mark: str
    values: Callable[[], Mapping[str, object]]
    error: ClusterError | None = None


def create_page(
    state: ClusterState, *, clock: Callable[[], datetime], bug: Callable[[BaseException], None]
) -> Flask:
    """Return the application; `bug` hears of faults of ours."""
    app = Flask(__name__, static_url_path="/static")
    app.config["TRUSTED_HOSTS"] = _HOSTS
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["ago"] = lambda at, now: written(max(now - at, now - now) // _SECONDS * _SECONDS)
    app.jinja_env.filters["before"] = lambda seconds, at: at - timedelta(seconds=seconds)
    app.jinja_env.globals.update(version=__version__, namespace=state.namespace, htmx_settings=_HTMX_SETTINGS)
    _add_views(app, state)
    _add_errors(app, bug)

    @app.after_request
    def secured(response: Response) -> Response:
        """Add the headers that every answer has."""
        response.headers.update(HEADERS)
        return response

    @app.context_processor
    def now() -> dict[str, object]:
        """Give templates the time."""
        return {"now": clock()}

    return app


def _add_views(app: Flask, state: ClusterState) -> None:
    @app.get("/")
    def show_overview() -> Response:
        """Show pools and namespaces with bars."""
        seen, error = _value(state.view())
        return _answer(
            _Shown(
                "overview.html",
                seen.at,
                seen.mark,
                lambda: {
                    "rows": overview(seen.view),
                    "totals": totals(seen.view),
                    "unread": seen.view.unread,
                },
                error,
            )
        )

    @app.get("/queue")
    def show_queue() -> Response:
        """Show who waits, or who runs."""
        seen, error = _value(state.view())
        filters = Filters.of(request.args)
        return _answer(_Shown("queue.html", seen.at, seen.mark, lambda: _queue_values(seen, filters), error))

    @app.get("/workflows/<namespace>/<name>")
    def show_workflow(namespace: str, name: str) -> Response:
        """Tell the story of one Workflow."""
        seen, error = _value(state.view())
        story = state.story(seen, namespace, name)
        row = seen.waiting.get((namespace, name))
        return _answer(
            _Shown(
                "workflow.html",
                seen.at,
                mark_of((story, row)),
                lambda: {"story": story, "row": row, "waiting": seen.waiting},
                error,
            )
        )

    @app.get("/locks")
    def show_locks() -> Response:
        """Show holders and waiters of every lock."""
        seen, error = _value(state.locks())
        return _answer(
            _Shown(
                "locks.html", seen.at, seen.mark, lambda: {"locks": seen.locks, "as_of": seen.read_at}, error
            )
        )

    @app.get("/policies")
    def show_policies() -> Response:
        """Show policies with their conditions."""
        seen, error = _value(state.policies())
        return _answer(
            _Shown(
                "policies.html",
                seen.at,
                seen.mark,
                lambda: {"policies": seen.rows, "unread": seen.unread},
                error,
            )
        )

    @app.get("/history")
    def show_history() -> Response:
        """Show what this process has seen over time."""
        seen, error = _value(state.view())
        history = state.history
        return _answer(
            _Shown("history.html", seen.at, history.mark, lambda: {"charts": history.charts()}, error)
        )


def _queue_values(seen: SeenCluster, filters: Filters) -> Mapping[str, object]:
    return {
        "filters": filters,
        "choices": choices(seen.view, filters),
        "page": queue_page(seen.view, filters),
        "unread": seen.view.unread,
    }


def _value(latest: Latest[Value]) -> tuple[Value, ClusterError | None]:
    """Return what was read last, and why that is not newer.

    Raises:
        ClusterError: nothing could be read.
    """
    if latest.value is None:
        raise latest.error or NotFound("nothing was read yet")
    return latest.value, latest.error


def _answer(shown: _Shown) -> Response:
    """Return the whole page, or to htmx the part that changes; nothing where that is shown already."""
    part = "HX-Request" in request.headers
    failed = "" if shown.error is None else shown.error.message
    tag = mark_of((shown.mark, request.full_path, failed))
    if part and tag in request.if_none_match:
        response = Response(status=304)
    else:
        body = render_template(
            shown.template,
            frame="part.html" if part else "page.html",
            tag=tag,
            read_at=shown.at,
            failed="" if shown.error is None else sentence(shown.error),
            **shown.values(),
        )
        response = Response(body, mimetype="text/html")
    response.set_etag(tag)
    response.headers[_READ_AT] = shown.at.isoformat(timespec="seconds")
    return response


def sentence(error: ClusterError) -> str:
    """Return what a failed read means, in one sentence."""
    if isinstance(error, Forbidden):
        return f"You have no right to see this: {error.message}"
    if isinstance(error, NotFound):
        return error.message
    return f"The cluster does not answer: {error.message}"


def _advice(error: ClusterError, namespace: str) -> str:
    if isinstance(error, Forbidden) and not namespace:
        return "With lockkeeper web -n NAMESPACE the rights in that namespace are enough."
    return ""


def _add_errors(app: Flask, bug: Callable[[BaseException], None]) -> None:
    def shown(code: int, title: str, text: str, advice: str = "") -> Response:
        """Return an error as a page; htmx does not put it in the place of what is shown."""
        body = render_template("error.html", frame="page.html", title=title, text=text, advice=advice)
        return Response(body, status=code, mimetype="text/html")

    @app.errorhandler(ClusterError)
    def cluster_error(error: ClusterError) -> Response:
        """Tell what could not be read."""
        known = isinstance(error, (Forbidden, NotFound))
        titles = {Forbidden.code: "No right", NotFound.code: "Not found"}
        code = error.code if known else 503
        advice = _advice(error, str(app.jinja_env.globals["namespace"]))
        return shown(code, titles.get(code, "No answer"), sentence(error), advice)

    @app.errorhandler(SecurityError)
    def foreign_name(_error: SecurityError) -> Response:
        """Refuse a name that is not this machine's; without it nothing can be linked."""
        text = f"Open this page by one of these names: {', '.join(_HOSTS)}.\n"
        return Response(text, status=400, mimetype="text/plain")

    @app.errorhandler(HTTPException)
    def no_such_page(error: HTTPException) -> Response:
        """Tell that there is no such page, or what else is wrong with the request."""
        code = error.code or 500
        text = "There is no such page." if code == NotFound.code else str(error.description)
        return shown(code, error.name, text)

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Response:
        """Tell that it is a fault of ours, and report it."""
        bug(error)
        return shown(500, "A fault of ours", f"Lockkeeper could not make this page ({type(error).__name__}).")
