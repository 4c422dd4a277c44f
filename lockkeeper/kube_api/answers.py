"""The answers of the API: objects, errors as Status, and streams of watch events."""

from collections.abc import Iterator

import msgspec

from lockkeeper.kube_api.served_kinds import ServedKind
from policy.cluster.errors import ClusterError
from policy.core.objects.json_patch import JsonObject

_REASONS = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
}


class Answer(msgspec.Struct, frozen=True):
    """An answer with one body, and warnings as headers; with `events` it is a watch."""

    code: int
    body: JsonObject
    warnings: tuple[str, ...] = ()
    events: Iterator[JsonObject] | None = None


class RequestRefused(Exception):  # noqa: N818 - it is an answer, and no fault of ours
    """A request that is answered with a Status."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str = "",
        details: JsonObject | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or _REASONS.get(code, "Unknown")
        self.details = details
        self.warnings = warnings


def refusal(error: RequestRefused, kind: ServedKind | None = None, name: str = "") -> Answer:
    """Return the answer to a request that is refused (meta/v1 Status)."""
    details = error.details or {}
    if kind is not None and error.details is None:
        details = {"name": name, "group": kind.resource.group, "kind": kind.resource.plural}
    body: JsonObject = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "details": details,
        "code": error.code,
    }
    return Answer(error.code, body, error.warnings)


def of_cluster(error: ClusterError, kind: ServedKind, name: str) -> RequestRefused:
    """Return the refusal for an error of the cluster, in the API server's own words where it has some."""
    resource = kind.resource
    plural = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    reason = type(error).__name__
    match reason:
        case "NotFound":
            return RequestRefused(404, f'{plural} "{name}" not found')
        case "AlreadyExists":
            return RequestRefused(409, f'{plural} "{name}" already exists', reason="AlreadyExists")
        case "Conflict":
            text = f'Operation cannot be fulfilled on {plural} "{name}": {error.message}'
            return RequestRefused(409, text)
        case "Gone":
            return RequestRefused(410, error.message)
        case "Invalid":
            return RequestRefused(422, f'{resource.kind} "{name}" is invalid: {error.message}')
        case _:
            return RequestRefused(error.code, error.message)
