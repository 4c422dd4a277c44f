"""How somebody shows who it is: a token in the header `Authorization`, or in a cookie of the form for it.

The token is in no address, no log and no page. The cookie is sent over TLS alone, to this page alone, is not
shown to scripts, and ends with the browser. It is not sent where another site leads here; a browser that
comes from one gets the form, which asks once more by itself.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Request, Response, g, render_template, request, url_for
from werkzeug.exceptions import BadRequest, Forbidden

from lockkeeper.page.sessions import Sessions
from lockkeeper.page.viewers import Viewer
from policy.cluster.errors import Unauthorized

COOKIE: Final = "__Host-lockkeeper-token"
"""A browser takes a cookie of such a name only from the host itself, over TLS, for all of its paths."""
LONGEST_TOKEN: Final = 3800
"""Characters; browsers keep 4,096 bytes of a cookie with its name and attributes."""
OPEN_TO_ALL: Final = frozenset({"static", "sign_in", "sign_out", "leave_form"})
"""Endpoints that need no token."""
NAMESPACE: Final = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_TOKEN: Final = re.compile("[A-Za-z0-9._~+/=:-]+")
_BEARER: Final = "bearer "
_UNKNOWN: Final = "The cluster does not know this token, or it has expired: sign in with a new one."


class NotSignedIn(Exception):  # noqa: N818 - it is no error to come without a token
    """A request brings no token."""


class SignIn:
    """The form, and whose token a request brings."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def viewer(self, asked: Request) -> Viewer:
        """Return who asks.

        Raises:
            NotSignedIn: there is no token.
            Unauthorized: there is one that the cluster does not know.
            TooOften: the same has asked too often.
        """
        token = _token_of(asked)
        if not token:
            raise NotSignedIn
        if not _TOKEN.fullmatch(token):
            raise Unauthorized("that is no token")
        return self._sessions.viewer(token, asked.remote_addr or "")

    def add_to(self, app: Flask) -> None:
        """Add the routes, and what is answered to those who are not signed in."""

        @app.post("/sign-in")
        def sign_in() -> Response:
            """Keep a token in the cookie, where the cluster knows it."""
            _refuse_other_sites(request)
            token = _without_bearer(request.form.get("token", "").strip())
            namespace = request.form.get("namespace", "").strip()
            fault = _fault_of(token, namespace)
            if fault:
                return _form(fault, namespace)
            self._sessions.viewer(token, request.remote_addr or "")
            here = (
                url_for("show_overview", scope=namespace)
                if namespace
                else _back(request.form.get("back", ""))
            )
            answer = Response(status=303, headers={"Location": here})
            answer.set_cookie(COOKIE, token, secure=True, httponly=True, samesite="Strict", path="/")
            return answer

        @app.get("/sign-in")
        @app.get("/sign-out")
        def leave_form() -> Response:
            """Lead those who open the address of a form again to where it is shown."""
            return Response(status=303, headers={"Location": "/"})

        @app.post("/sign-out")
        def sign_out() -> Response:
            """Forget the token."""
            _refuse_other_sites(request)
            self._sessions.end(request.cookies.get(COOKIE, ""))
            return _without_cookie(Response(status=303, headers={"Location": "/"}))

        @app.errorhandler(NotSignedIn)
        def not_signed_in(_: NotSignedIn) -> Response:
            """Show the form."""
            return _form("")

        @app.errorhandler(Unauthorized)
        def unknown_token(_: Unauthorized) -> Response:
            """Say that the token is not good, and show the form."""
            token = _token_of(request)
            if token:
                self._sessions.end(token)
            return _without_cookie(_form(_UNKNOWN))


def _form(fault: str, namespace: str = "") -> Response:
    """Return the form, with one sentence where something is wrong."""
    g.viewer = None
    back = request.full_path.rstrip("?") if request.method == "GET" else request.form.get("back", "")
    body = render_template(
        "sign_in.html",
        frame="page.html",
        fault=fault,
        back=_back(back),
        asked_namespace=namespace,
        from_elsewhere=request.headers.get("Sec-Fetch-Site") == "cross-site" and not fault,
    )
    headers = {"WWW-Authenticate": 'Bearer realm="lockkeeper"'}
    return Response(body, status=401, mimetype="text/html", headers=headers)


def _without_cookie(answer: Response) -> Response:
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="Strict", path="/")
    return answer


def _token_of(asked: Request) -> str:
    """Return the token of a request; the header counts before the cookie, as whoever sets it knows better."""
    header = asked.headers.get("Authorization", "").strip()
    if header.lower().startswith(_BEARER):
        return _without_bearer(header)
    return asked.cookies.get(COOKIE, "")


def _without_bearer(text: str) -> str:
    return text[len(_BEARER) :].strip() if text.lower().startswith(_BEARER) else text


def _fault_of(token: str, namespace: str) -> str:
    """Return what is wrong with what was written into the form, or ""."""
    if not token:
        return "Give a token: kubectl create token NAME prints one of a ServiceAccount."
    if len(token) > LONGEST_TOKEN:
        return (
            f"This token has {len(token)} characters, and a browser keeps {LONGEST_TOKEN} of one: take "
            "another one, or have a proxy send it in the header Authorization."
        )
    if not _TOKEN.fullmatch(token):
        return "That is no token: it has characters that no token has. Was it copied whole, and alone?"
    if namespace and not NAMESPACE.fullmatch(namespace):
        return "That is no name of a namespace: it has small letters, digits and dashes."
    return ""


def _back(path: str) -> str:
    """Return a path of this page; what leads elsewhere, or to no view, becomes the overview."""
    parts = urlsplit(path)
    elsewhere = parts.scheme or parts.netloc or not path.startswith("/") or path.startswith(("//", "/\\"))
    return "/" if elsewhere or parts.path in ("/sign-in", "/sign-out") or not path.isprintable() else path


def _refuse_other_sites(asked: Request) -> None:
    """Refuse a form of another site: it would sign somebody in as somebody else."""
    site, origin = asked.headers.get("Sec-Fetch-Site"), asked.headers.get("Origin")
    if site not in (None, "same-origin", "none"):
        raise Forbidden("This form was sent by another site.")
    if site is None and origin and urlsplit(origin).netloc != asked.host:
        raise Forbidden("This form was sent by another site.")
    if asked.mimetype != "application/x-www-form-urlencoded":
        raise BadRequest("Send the form as a browser does.")
