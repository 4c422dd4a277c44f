"""A request, its options in the query as the API server reads them, and which form of answer it wants."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from lockkeeper.kube_api.answers import FieldError, RequestRefused, forbidden, invalid_options

_PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_FORMS: Final = f"application/json, application/yaml, {_PROTOBUF}"
_ANY: Final = ("", "*/*", "application/*", "application/json")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_LONGEST_MANAGER: Final = 128
_MATCHES: Final = ("Exact", "NotOlderThan", "")
_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")


class ApiRequest(msgspec.Struct, frozen=True):
    """One request: what is sent in headers, query and body."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    accept: str = ""
    content_type: str = ""
    user_agent: str = ""

    @property
    def form(self) -> str:
        """The form of the answer: `Table`, `PartialObjectMetadata`, `PartialObjectMetadataList`, or ""."""
        for clause in self.accept.split(","):
            type_, *parameters = (each.strip() for each in clause.split(";"))
            if type_ in _ANY:
                given = dict(each.partition("=")[::2] for each in parameters)
                if given.get("as", "") in _AS and given.get("v", "v1") == "v1":
                    return given.get("as", "")
        raise RequestRefused(406, f"only the following media types are accepted: {_FORMS}")

    @property
    def watches(self) -> bool:
        """Whether it wants to watch."""
        return self.query.get("watch", "") in ("1", "true", "t", "T", "True", "TRUE")

    def flag(self, name: str) -> bool:
        """Return whether an option is set."""
        return self.query.get(name) in ("1", "true")

    def integer(self, name: str) -> int | None:
        """Return a number in the query, None where it is not there. Raises RequestRefused."""
        text = self.query.get(name, "")
        if not text:
            return None
        if not _INTEGER.fullmatch(text):
            raise RequestRefused(400, f'strconv.ParseInt: parsing "{text}": invalid syntax')
        return int(text)

    @property
    def manager(self) -> str:
        """Who owns the fields that it writes: the one that it names, or its program."""
        return self.query.get("fieldManager") or self.user_agent.partition("/")[0]


_AS: Final = ("", "Table", "PartialObjectMetadata", "PartialObjectMetadataList")


class WriteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a write is to be done."""

    dry_run: bool = False
    manager: str = ""
    validation: str = ""
    force: bool = False


def write_options(request: ApiRequest, options: str) -> WriteOptions:
    """Return the options of a write; `options` is their kind in errors. Raises RequestRefused."""
    query, errors = request.query, []
    dry_run, validation = query.get("dryRun", ""), query.get("fieldValidation", "")
    if dry_run not in ("", "All"):
        listed = f'Unsupported value: ["{dry_run}"]: supported values: "All"'
        errors.append(FieldError("dryRun", "FieldValueNotSupported", listed))
    if len(query.get("fieldManager", "")) > _LONGEST_MANAGER:
        text = f"Too long: may not be more than {_LONGEST_MANAGER} bytes"
        errors.append(FieldError("fieldManager", "FieldValueTooLong", text))
    if validation not in _VALIDATIONS:
        errors.append(unsupported("fieldValidation", validation, _VALIDATIONS))
    if errors:
        raise invalid_options(options, errors)
    return WriteOptions(
        dry_run=bool(dry_run), manager=request.manager, validation=validation, force=request.flag("force")
    )


def unsupported(field: str, value: str, supported: tuple[str, ...]) -> FieldError:
    """Return that an option has a word that is none of those it may have."""
    listed = ", ".join(f'"{each}"' for each in supported)
    text = f'Unsupported value: "{value}": supported values: {listed}'
    return FieldError(field, "FieldValueNotSupported", text)


def check_list_options(request: ApiRequest) -> None:
    """Check how a list or a watch is bound to a version (internalversion, ValidateListOptions).

    Raises:
        RequestRefused: the options contradict each other.
    """
    query = request.query
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    if request.watches:
        _check_watch(request, match)
        return
    error = None
    if match and not version:
        error = forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    elif match and match not in _MATCHES:
        error = unsupported(_MATCH, match, _MATCHES)
    elif match == "Exact" and version == "0":
        error = forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if error is not None:
        raise invalid_options("ListOptions", [error])
    if query.get("continue") and version not in ("", "0"):
        raise RequestRefused(400, "specifying resource version is not allowed when using continue")
    if version and not _NUMBER.fullmatch(version):
        raise RequestRefused(400, f"invalid resource version: {_not_a_version(version)}")


_MATCH: Final = "resourceVersionMatch"


def _check_watch(request: ApiRequest, match: str) -> None:
    version = request.query.get("resourceVersion", "")
    asks = "sendInitialEvents" in request.query
    error = None
    if asks and match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        error = forbidden(_MATCH, text)
    elif match and not asks:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        error = forbidden(_MATCH, text)
    if error is not None:
        raise invalid_options("ListOptions", [error])
    if version and not _NUMBER.fullmatch(version):
        raise RequestRefused(500, _not_a_version(version), reason="")


def _not_a_version(text: str) -> str:
    return f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
