"""What an object must be to be stored: of the kind of the path, with metadata as the API server takes it.

The rules and the sentences are those of apimachinery (api/validation/objectmeta.go, util/validation). What
is in a spec is for admission; the API server checks that by the schemas of CRDs, which are not here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from secrets import token_hex
from typing import Final

import msgspec

from lockkeeper.kube_api.answers import FieldError, RequestRefused, invalid, invalid_value
from lockkeeper.kube_api.describing.crd_schemas import pruned
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.served_kinds import ServedKind
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES
from policy.core.objects.json_parts import map_at, metadata_of, part
from policy.core.objects.json_patch import JsonObject
from policy.sources.yaml_positions import parse

_MOST_OF_NAME: Final = 253
_MOST_OF_WORD: Final = 63
_WORD: Final = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_DNS_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS: Final = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_MANY_OF_BODY: Final = 22
_BAD_NAME: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_BAD_LABEL: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_BAD_KEY: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_BAD_CONFIG_KEY: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_NAME_LABEL: Final = "kubernetes.io/metadata.name"
_SUFFIX: Final = 5
_IDENTITY: Final = ("apiVersion", "kind", "metadata")


class _OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""


class _CheckedMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """Metadata with the types that it must have."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: tuple[str, ...] | None = None
    owner_references: tuple[_OwnerReference, ...] | None = None


def read_body(body: bytes, content_type: str, kind: ServedKind) -> JsonObject:
    """Return the object that is sent, in JSON or YAML. Raises RequestRefused."""
    sent = content_type.partition(";")[0].strip()
    if sent not in ("", "application/json", "application/yaml"):
        accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
        raise RequestRefused(
            415,
            f"the body of the request was in an unknown format - accepted media types include: {accepted}",
        )
    about = f"the object provided is unrecognized (must be of type {kind.resource.kind}): "
    value: object
    if sent == "application/yaml":
        value = read_yaml(body, about)
    else:
        try:
            value = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            words = "unexpected end of JSON input" if not body else str(error)
            shown = body.decode(errors="replace")[:_MANY_OF_BODY] or "<empty>"
            text = f"couldn't get version/kind; json parse error: {words} ({shown})"
            raise RequestRefused(400, about + text) from error
    if not isinstance(value, dict):
        raise RequestRefused(400, f"{about}couldn't get version/kind; json parse error: it is no object")
    if not value.get("kind"):
        raise RequestRefused(400, f"{about}Object 'Kind' is missing in '{json.dumps(value)}'")
    return value


def read_yaml(body: bytes, about: str = "error decoding YAML: ") -> JsonObject:
    """Return the one object of a YAML text. Raises RequestRefused."""
    text = parse(body)
    fault = text.fault or next((each for one in text.documents for each in one.faults), None)
    if fault is not None:
        raise RequestRefused(400, f"{about}{fault.message}")
    value = text.documents[0].value if text.documents else None
    if not isinstance(value, dict):
        raise RequestRefused(400, f"{about}it is no object")
    return value


def known_fields(
    obj: JsonObject, body: bytes, kind: ServedKind, validation: str
) -> tuple[JsonObject, tuple[str, ...]]:
    """Return an object with the fields that its kind has, and warnings of others.

    A `body` is what was sent; without one the object is the result of a patch.

    Raises:
        RequestRefused: there are some, and the validation is strict.
    """
    kept, unknown = _known(obj, kind)
    if validation == "Ignore":
        return kept, ()
    problems = [f'unknown field "{each}"' for each in unknown]
    faults = (each for document in parse(body).documents for each in document.faults)
    problems += [f'duplicate field "{each.path}"' for each in faults if each.repeated]
    if problems and validation == "Strict":
        why = f"strict decoding error: {', '.join(problems)}"
        if not body:
            raise _patched_wrong(obj, why)
        resource = kind.resource
        about = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        raise RequestRefused(400, f"{about}: {why}")
    return kept, tuple(problems)


def check_applied(config: JsonObject, kind: ServedKind) -> None:
    """Check that a kind has the fields that are applied. Raises RequestRefused, which names the first."""
    _, unknown = _known(config, kind)
    if unknown:
        resource, named = kind.resource, metadata_of(config)
        what = f"{named.get('namespace') or ''}/{named.get('name')}"
        what += f"; {resource.group}/{resource.version}, Kind={resource.kind}"
        why = f".{unknown[0]}: field not declared in schema"
        raise RequestRefused(500, f"failed to create typed patch object ({what}): {why}", reason="")


def _known(obj: JsonObject, kind: ServedKind) -> tuple[JsonObject, tuple[str, ...]]:
    """Return an object with the fields that its kind has, and the paths of others.

    A status apart is not looked at: it is the controller's, which also writes what the schema drops.
    """
    known = {*_IDENTITY, *kind.fields}
    apart = {"status": obj["status"]} if kind.status_apart and "status" in obj else {}
    looked_at = {key: value for key, value in obj.items() if key in known and key not in apart}
    kept, below = pruned(looked_at, kind.resource.kind)
    return {**kept, **apart}, (*(each for each in obj if each not in known), *below)


def _patched_wrong(obj: JsonObject, why: str) -> RequestRefused:
    """Return that a patch makes an object that its kind does not allow; the API server names neither."""
    text = f"Invalid value: {json.dumps(json.dumps(obj, separators=(',', ':')))}: {why}"
    cause: JsonObject = {"reason": "FieldValueInvalid", "message": text, "field": "patch"}
    return RequestRefused(422, f' "" is invalid: patch: {text}', details={"causes": [cause]})


def check_identity(obj: JsonObject, path: ObjectPath, *, name: str = "") -> JsonObject:
    """Return an object with the namespace of its path; kind, namespace and name must be those of the path.

    Raises:
        RequestRefused: they are not.
    """
    resource = path.kind.resource
    if obj.get("apiVersion") != resource.api_version:
        given = f"the API version in the data ({obj.get('apiVersion') or ''}) does not match"
        unknown = tuple(f'unknown field "{key}"' for key in obj if key not in _IDENTITY)
        text = f"{given} the expected API version ({resource.api_version})"
        raise RequestRefused(400, text, warnings=unknown)
    given_metadata = metadata_of(obj)
    own = given_metadata.get("name")
    if obj.get("kind") != resource.kind:
        word = str(obj.get("kind"))
        raise invalid(
            path.kind,
            str(own or name),
            [invalid_value("kind", word, f"must be {resource.kind}")],
            called=word,
        )
    if name and not own:
        text = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        raise RequestRefused(400, text)
    if name and own != name:
        text = f"the name of the object ({own}) does not match the name on the URL ({name})"
        raise RequestRefused(400, text)
    if (given_metadata.get("namespace") or path.namespace) != path.namespace:
        text = "the namespace of the provided object does not match the namespace sent on the request"
        raise RequestRefused(400, text)
    placed = {"namespace": path.namespace} if path.namespace else {}
    return {**obj, "metadata": {**given_metadata, **placed}}


def check_fields(obj: JsonObject, kind: ServedKind) -> None:
    """Check metadata, and the data of a ConfigMap. Raises RequestRefused."""
    resource = kind.resource
    about = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    try:
        metadata = msgspec.convert(obj.get("metadata") or {}, _CheckedMetadata)
        data = msgspec.convert(obj.get("data") or {}, dict[str, str]) if resource == CONFIG_MAPS else {}
    except msgspec.ValidationError as error:
        raise RequestRefused(400, f"{about}: json: {error}") from error
    errors = [*_metadata_errors(metadata, kind), *_data_errors(data)]
    if errors:
        raise invalid(kind, metadata.name or "", errors)


def _metadata_errors(metadata: _CheckedMetadata, kind: ServedKind) -> Iterator[FieldError]:
    name = metadata.name or metadata.generate_name or ""
    if not name:
        text = "Required value: name or generateName is required"
        yield FieldError("metadata.name", "FieldValueRequired", text)
    elif metadata.name:
        yield from _name_errors(name, kind)
    for key, value in (metadata.labels or {}).items():
        yield from _key_errors("metadata.labels", key)
        if value and (len(value) > _MOST_OF_WORD or not re.fullmatch(_WORD, value)):
            too_long = f"must be no more than {_MOST_OF_WORD} bytes"
            why = too_long if len(value) > _MOST_OF_WORD else _BAD_LABEL
            yield invalid_value("metadata.labels", value, why)
    for key in metadata.annotations or {}:
        yield from _key_errors("metadata.annotations", key)
    for owner in metadata.owner_references or ():
        for field, value in (("kind", owner.kind), ("name", owner.name), ("uid", owner.uid)):
            if not value:
                yield invalid_value(f"metadata.ownerReferences.{field}", "", "must not be empty")


def _name_errors(name: str, kind: ServedKind) -> Iterator[FieldError]:
    label = kind.resource == NAMESPACES
    most = _MOST_OF_WORD if label else _MOST_OF_NAME
    if len(name) > most:
        yield invalid_value("metadata.name", name, f"must be no more than {most} characters")
    if label and "." in name:
        yield invalid_value("metadata.name", name, "must not contain dots")
    elif not _DNS.fullmatch(name):
        yield invalid_value("metadata.name", name, _BAD_NAME)


def _key_errors(field: str, key: str) -> Iterator[FieldError]:
    """Yield what is wrong with the key of a label or an annotation: `name` or `prefix/name`."""
    prefix, slash, word = key.rpartition("/")
    if slash and not _DNS.fullmatch(prefix):
        yield invalid_value(field, key, f"prefix part {_BAD_NAME}")
    if len(word) > _MOST_OF_WORD:
        yield invalid_value(field, key, f"name part must be no more than {_MOST_OF_WORD} bytes")
    elif not re.fullmatch(_WORD, word):
        yield invalid_value(field, key, _BAD_KEY)


def _data_errors(data: Mapping[str, str]) -> Iterator[FieldError]:
    for key in data:
        if not _CONFIG_KEY.fullmatch(key):
            yield invalid_value(f"data[{key}]", key, _BAD_CONFIG_KEY)


def finalizer_warnings(obj: JsonObject) -> Iterator[str]:
    """Yield what the API server warns of in finalizers."""
    listed = part(obj, "metadata", "finalizers")
    for each in listed if isinstance(listed, list) else ():
        if "/" not in str(each):
            yield (
                f'metadata.finalizers: "{each}": prefer a domain-qualified finalizer name to avoid '
                "accidental conflicts with other finalizer writers"
            )


def completed(obj: JsonObject, kind: ServedKind) -> JsonObject:
    """Return an object as it is stored."""
    if kind.resource == CONFIG_MAPS:
        return {key: value for key, value in obj.items() if value not in (None, {})}
    return new_namespace(obj) if kind.resource == NAMESPACES else obj


def new_namespace(obj: JsonObject) -> JsonObject:
    """Return a namespace with its name in a label, its finalizer and its phase."""
    given = metadata_of(obj)
    name = given.get("name") or f"{given.get('generateName')}{token_hex(3)[:_SUFFIX]}"
    named: JsonObject = {**map_at(given, "labels"), _NAME_LABEL: name}
    return {
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
        **obj,
        "metadata": {**given, "name": name, "labels": named},
    }
