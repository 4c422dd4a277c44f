"""The answers of the API: objects, errors as Status, and streams of watch events.

The sentences are those of the API server (apimachinery, api/errors and validation/field): people search for
them, and clients compare them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lockkeeper.kube_api.served_kinds import ServedKind
from policy.cluster.errors import AlreadyExists, ClusterError, Conflict, Invalid, NotFound
from policy.core.objects.json_patch import JsonObject, JsonValue

_REASONS: Final = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    504: "Timeout",
}
MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
PATCH_REFUSED: Final = "the server rejected our request due to an error in our request"


class Answer(msgspec.Struct, frozen=True):
    """An answer with one body, and warnings as headers; with `events` a watch, with `text` plain text."""

    code: int
    body: JsonObject
    warnings: tuple[str, ...] = ()
    events: Iterator[JsonObject] | None = None
    text: str = ""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with a field (field.Error): its path, the kind of error, and the sentence about it."""

    field: str
    reason: str
    message: str


def invalid_value(field: str, value: str, why: str) -> FieldError:
    """Return that a field has a value that it may not have."""
    return FieldError(field, "FieldValueInvalid", f'Invalid value: "{value}": {why}')


def forbidden(field: str, why: str) -> FieldError:
    """Return that a field may not be given."""
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {why}")


class RequestRefused(Exception):  # noqa: N818 - it is an answer, and no fault of ours
    """A request that is answered with a Status."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: JsonObject | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = _REASONS.get(code, "") if reason is None else reason
        self.details = details
        self.warnings = warnings

    def status(self) -> JsonObject:
        """Return it as an object (meta/v1 Status)."""
        body: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        return {**body, "code": self.code}


def refusal(error: RequestRefused) -> Answer:
    """Return the answer to a request that is refused."""
    return Answer(error.code, error.status(), error.warnings)


def not_found(kind: ServedKind, name: str) -> RequestRefused:
    """Return that there is no such object."""
    return RequestRefused(404, f'{kind.qualified} "{name}" not found', details=_details(kind, name))


def already_exists(kind: ServedKind, name: str) -> RequestRefused:
    """Return that the name is taken."""
    text = f'{kind.qualified} "{name}" already exists'
    return RequestRefused(409, text, reason="AlreadyExists", details=_details(kind, name))


def conflict(kind: ServedKind, name: str, why: str) -> RequestRefused:
    """Return that the object has changed, or is another one."""
    text = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return RequestRefused(409, text, details=_details(kind, name))


def invalid(kind: ServedKind, name: str, errors: Sequence[FieldError], *, called: str = "") -> RequestRefused:
    """Return that fields are wrong; the object is `called` by its kind, or as it calls itself."""
    group = kind.resource.group
    word = called or kind.resource.kind
    text = f'{word}.{group} "{name}"' if group else f'{word} "{name}"'
    return _of_fields(text, {**_details(kind, name), "kind": word}, errors)


def invalid_options(options: str, errors: Sequence[FieldError]) -> RequestRefused:
    """Return that the query has options that may not be."""
    return _of_fields(f'{options}.meta.k8s.io ""', {"group": "meta.k8s.io", "kind": options}, errors)


def _of_fields(about: str, details: JsonObject, errors: Sequence[FieldError]) -> RequestRefused:
    sentences = list(dict.fromkeys(f"{each.field}: {each.message}" for each in errors))
    listed = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
    causes: list[JsonValue] = [
        {"reason": each.reason, "message": each.message, "field": each.field} for each in errors
    ]
    return RequestRefused(422, f"{about} is invalid: {listed}", details={**details, "causes": causes})


def _details(kind: ServedKind, name: str) -> JsonObject:
    known = {"name": name, "group": kind.resource.group}
    return {**{key: value for key, value in known.items() if value}, "kind": kind.resource.plural}


def of_cluster(error: ClusterError, kind: ServedKind, name: str) -> RequestRefused:
    """Return the refusal for an error of the cluster."""
    match error:
        case NotFound():
            return not_found(kind, name)
        case AlreadyExists():
            return already_exists(kind, name)
        case Conflict() if error.fields:
            return _apply_conflict(error)
        case Conflict():
            return conflict(kind, name, MODIFIED)
        case Invalid():
            text = f'{kind.resource.kind} "{name}" is invalid: {error.message}'
            return RequestRefused(422, text, details=_details(kind, name))
        case _:
            return RequestRefused(error.code, error.message)


def _apply_conflict(error: Conflict) -> RequestRefused:
    """Return that an apply would change fields of others."""
    causes: list[JsonValue] = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {each.owner}", "field": each.field}
        for each in error.fields
    ]
    return RequestRefused(409, error.message, details={"causes": causes})
