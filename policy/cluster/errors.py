"""Errors of a cluster, one class for each reason that callers distinguish.

ClusterError
├── NotFound         404
├── AlreadyExists    409, on create
├── Conflict         409, the object changed: read it again
├── Invalid          422, the object or patch is wrong (a failed JSON Patch `test` too)
├── Forbidden        403, RBAC or admission refused it
│   └── Unauthorized 401, it is not known who asks
├── Gone             410, the watch version is too old: list again
├── TooManyRequests  429, try again later
│   └── TooManyCreates  a ledger holds as many pending creates as it may
└── Unavailable      5xx, time-outs, broken connections: the outcome of a write is unknown
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class ClusterError(Exception):
    """A request to the cluster failed; `code` is the HTTP status of the reason."""

    code = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(ClusterError):  # noqa: N818 - named after the API's own reasons
    """There is no such object."""

    code = 404


class AlreadyExists(ClusterError):  # noqa: N818 - as above
    """An object of that name exists."""

    code = 409


class FieldConflict(NamedTuple):
    """A field that an apply would change and another manager owns; who that is, as the API server says it."""

    owner: str
    field: str


class Conflict(ClusterError):  # noqa: N818 - as above
    """The object changed since it was read, or an apply would change `fields` of other managers."""

    code = 409

    def __init__(self, message: str, *, fields: Iterable[FieldConflict] = ()) -> None:
        super().__init__(message)
        self.fields = tuple(fields)


class Invalid(ClusterError):  # noqa: N818 - as above
    """The API server would refuse this object or patch."""

    code = 422


class Forbidden(ClusterError):  # noqa: N818 - as above
    """Access control or admission refused the request."""

    code = 403


class Unauthorized(Forbidden):
    """The server does not know who asks: no rights help, but a login."""

    code = 401


class Gone(ClusterError):  # noqa: N818 - as above
    """The version to watch from is no longer stored."""

    code = 410


class TooManyRequests(ClusterError):  # noqa: N818 - as above
    """The server requires fewer requests."""

    code = 429


class TooManyCreates(TooManyRequests):
    """More creates are pending than a ledger may hold: no error of the client, and soon over."""


class Unavailable(ClusterError):  # noqa: N818 - as above
    """The server did not answer properly; a write may or may not have happened."""

    code = 503


class Trouble(Protocol):
    """Called by a loop with the errors after which it continues."""

    def __call__(self, doing: str, error: ClusterError) -> None:
        """Take note that `doing` failed and will be tried again."""
        ...


def error_names() -> list[str]:
    """Return the name of every class of error that a cluster may raise, for counters that begin at 0."""
    found, todo = [], [ClusterError]
    while todo:
        error = todo.pop()
        found.append(error.__name__)
        todo += error.__subclasses__()
    return sorted(found)
