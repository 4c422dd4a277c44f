"""The routes of the page, the headers of every answer, and who may see it.

Every view has a mark that changes with what it shows. A browser that has shown it asks again with that mark
as an ETag, and is answered 304 before anything is rendered. What it asks for again is the live part alone.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec
from flask import Flask, Request, Response, g, render_template, request, url_for
from werkzeug.exceptions import BadRequest, SecurityError

from lockkeeper import __version__
from lockkeeper.page.error_pages import add_error_pages, sentence
from lockkeeper.page.overview import overview, totals
from lockkeeper.page.paging import number_in, page_of
from lockkeeper.page.queue_rows import Filters, choices, queue_page
from lockkeeper.page.sign_in import NAMESPACE, OPEN_TO_ALL, SignIn
from lockkeeper.page.viewers import Viewer
from lockkeeper.page_state.cluster_state import ClusterState, SeenCluster, mark_of
from lockkeeper.page_state.last_read import Latest
from lockkeeper.page_state.measured_history import Span
from policy.cluster.errors import ClusterError, NotFound
from policy.core.cluster_view.start_sentences import clock_range
from policy.core.cluster_view.view import StartRange
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
_LONGEST_FORM: Final = 16 * 1024
"""Bytes of the body of a request."""
_PAGE_ROWS: Final = 200
"""Quotas, or policies, that are shown at once."""
_VIEWS: Final = {
    "show_overview": "Overview",
    "show_queue": "Queue",
    "show_locks": "Locks",
    "show_policies": "Policies",
    "show_history": "History",
}
_IN_NAMESPACE: Final = "/in/<scope>"
"""What the path of every view begins with where it is about one namespace."""
_READ_AT: Final = "Lockkeeper-Read-At"
_HTMX_SETTINGS: Final = {
    "allowEval": False,
    "historyEnabled": False,
    "includeIndicatorStyles": False,
    "responseHandling": [{"code": "200", "swap": True}, {"code": "...", "swap": False}],
}
_SOON: Final = timedelta(minutes=1)
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


class PageEntry(msgspec.Struct, frozen=True):
    """Who may see the page: `viewer` returns who asks, or raises; `hosts` are the names to ask by.

    `sign_in` is the form for those who are not known, None where all are.
    """

    viewer: Callable[[Request], Viewer]
    hosts: tuple[str, ...]
    sign_in: SignIn | None = None


def create_page(
    entry: PageEntry, *, clock: Callable[[], datetime], bug: Callable[[BaseException], None]
) -> Flask:
    """Return the application; `bug` hears of faults of ours."""
    app = Flask(__name__, static_url_path="/static")
    app.config["TRUSTED_HOSTS"] = list(entry.hosts)
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = _LONGEST_FORM
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["ago"] = lambda at, now: written(max(now - at, now - now) // _SECONDS * _SECONDS)
    app.jinja_env.filters["clock_range"] = _clock_range
    app.jinja_env.filters["before"] = lambda seconds, at: at - timedelta(seconds=seconds)
    app.jinja_env.globals.update(version=__version__, htmx_settings=_HTMX_SETTINGS, views=_VIEWS)
    _add_entry(app, entry)
    _add_views(app)
    if entry.sign_in is not None:
        entry.sign_in.add_to(app)
    add_error_pages(app, hosts=entry.hosts, bug=bug)

    @app.after_request
    def secured(response: Response) -> Response:
        """Add the headers that every answer has."""
        response.headers.update(HEADERS)
        return response

    @app.context_processor
    def known() -> dict[str, object]:
        """Give templates the time, and who looks at what."""
        viewer: Viewer | None = g.get("viewer")
        return {
            "now": clock(),
            "signs_in": entry.sign_in is not None,
            "viewer": viewer,
            "namespace": _namespace() if viewer else "",
        }

    return app


def _clock_range(expected: StartRange, now: datetime) -> str:
    """Return when something is expected to start as times of a day: these stay right while they are shown."""
    return "soon" if expected.latest - now < _SOON else f"{clock_range(expected, now)} UTC"


def _add_entry(app: Flask, entry: PageEntry) -> None:
    @app.url_value_preprocessor
    def take_scope(_endpoint: str | None, values: dict[str, object] | None) -> None:
        """Take the namespace out of the path."""
        g.scope = str((values or {}).pop("scope", ""))

    @app.url_defaults
    def keep_scope(endpoint: str, values: dict[str, object]) -> None:
        """Let every link stay in the namespace that is shown."""
        if g.get("scope") and "scope" not in values and app.url_map.is_endpoint_expecting(endpoint, "scope"):
            values["scope"] = g.scope

    @app.before_request
    def admit() -> None:
        """Find out who asks, and whether the namespace is one."""
        g.viewer = None
        if isinstance(request.routing_exception, SecurityError):
            raise request.routing_exception
        if request.endpoint in OPEN_TO_ALL:
            return
        g.viewer = entry.viewer(request)
        if g.scope and not NAMESPACE.fullmatch(g.scope):
            g.scope = ""
            raise BadRequest("That is no name of a namespace: it has small letters, digits and dashes.")


def _namespace() -> str:
    """Return the namespace that is shown, "" for all."""
    viewer: Viewer = g.viewer
    return g.scope or viewer.namespace


def _state() -> ClusterState:
    """Return the state of what is shown to whoever asks."""
    viewer: Viewer = g.viewer
    return viewer.state(_namespace())


def _add_views(app: Flask) -> None:
    @app.get("/")
    @app.get(f"{_IN_NAMESPACE}/")
    def show_overview() -> Response:
        """Show pools and namespaces with bars."""
        seen, error = _value(_state().view())
        return _answer(
            _Shown(
                "overview.html",
                seen.at,
                seen.mark,
                lambda: {
                    "page": page_of(overview(seen.view), number_in(request.args), _PAGE_ROWS),
                    "totals": totals(seen.view),
                    "unread": seen.view.unread,
                },
                error,
            )
        )

    @app.get("/queue")
    @app.get(f"{_IN_NAMESPACE}/queue")
    def show_queue() -> Response:
        """Show who waits, or who runs."""
        seen, error = _value(_state().view())
        filters = Filters.of(request.args)
        return _answer(_Shown("queue.html", seen.at, seen.mark, lambda: _queue_values(seen, filters), error))

    @app.get("/workflows/<namespace>/<name>")
    @app.get(f"{_IN_NAMESPACE}/workflows/<namespace>/<name>")
    def show_workflow(namespace: str, name: str) -> Response:
        """Tell the story of one Workflow."""
        seen, error = _value(_state().view())
        story = _state().story(seen, namespace, name)
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
    @app.get(f"{_IN_NAMESPACE}/locks")
    def show_locks() -> Response:
        """Show holders and waiters of every lock."""
        seen, error = _value(_state().locks())
        return _answer(
            _Shown(
                "locks.html", seen.at, seen.mark, lambda: {"locks": seen.locks, "as_of": seen.read_at}, error
            )
        )

    @app.get("/policies")
    @app.get(f"{_IN_NAMESPACE}/policies")
    def show_policies() -> Response:
        """Show policies with their conditions."""
        seen, error = _value(_state().policies())
        return _answer(
            _Shown(
                "policies.html",
                seen.at,
                seen.mark,
                lambda: {
                    "page": page_of(seen.rows, number_in(request.args), _PAGE_ROWS),
                    "unread": seen.unread,
                },
                error,
            )
        )

    @app.get("/history")
    @app.get(f"{_IN_NAMESPACE}/history")
    def show_history() -> Response:
        """Show quotas over time."""
        state = _state()
        seen, error = _value(state.view())
        asked = request.args.get("span", "")
        past = state.past(seen, Span(asked) if asked in list(Span) else Span.SIX_HOURS)
        return _answer(
            _Shown(
                "history.html",
                seen.at,
                past.mark,
                lambda: {
                    "past": past,
                    "charts": past.charts(),
                    "spans": list(Span),
                    "quotas": len(seen.view.quotas),
                },
                error,
            )
        )

    @app.get("/namespace")
    def choose_namespace() -> Response:
        """Go to a namespace, or with "" to all of them."""
        chosen = request.args.get("namespace", "").strip()
        if chosen and not NAMESPACE.fullmatch(chosen):
            raise BadRequest("That is no name of a namespace: it has small letters, digits and dashes.")
        here = url_for("show_overview", scope=chosen) if chosen else "/"
        return Response(status=303, headers={"Location": here})


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
