"""Reads the manifests to review: every object of YAML and JSON files and of lists in them, unchanged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from policy.core.objects.json_patch import JsonObject
from policy.sources.directory import SUFFIXES, PolicyErrors, SourceError, fault_error
from policy.sources.yaml_positions import Json, parse

STANDARD_INPUT: Final = "-"


class Manifest(msgspec.Struct, frozen=True):
    """One object, where it was read, and what it is called; `namespace` is "" where it names none."""

    file: str
    line: int
    api_version: str
    kind: str
    namespace: str
    name: str
    value: JsonObject


def read_manifests(path: Path) -> list[Manifest]:
    """Return the objects of a file, or of every YAML and JSON file below a folder, in order of names.

    Raises:
        PolicyErrors: something is missing, cannot be read, or is no object; all faults of all files at once.
    """
    manifests: list[Manifest] = []
    errors: list[SourceError] = []
    for file in files_of(path):
        try:
            content = file.read_bytes()
        except OSError as error:
            errors.append(SourceError(str(file), 0, 0, "", f"cannot be read: {error.strerror}"))
            continue
        try:
            manifests += read_text(content, str(file))
        except PolicyErrors as error:
            errors += error.errors
    if errors:
        raise PolicyErrors(errors)
    return manifests


def read_text(content: bytes, file: str) -> list[Manifest]:
    """Return the objects of one text. Raises PolicyErrors as `read_manifests`.

    A repeated key is not an error here, unlike in a policy: the API server takes the last one, so that is
    what would be reviewed.
    """
    parsed = parse(content)
    errors = [] if parsed.fault is None else [parsed.fault]
    errors += [fault for document in parsed.documents for fault in document.faults if not fault.repeated]
    if errors:
        raise PolicyErrors(fault_error(file, fault) for fault in errors)
    return [
        manifest
        for document in parsed.documents
        for manifest in _objects(document.value, file, document.locate("apiVersion").line)
    ]


def files_of(path: Path) -> list[Path]:
    """Return a file itself, or every YAML and JSON file below a folder, in order of names.

    Raises:
        PolicyErrors: there is no such thing.
    """
    if path.is_dir():
        found = [each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file()]
        return sorted(each for each in found if "/." not in f"/{each.relative_to(path)}")
    if not path.exists():
        raise PolicyErrors([SourceError(str(path), 0, 0, "", "there is no such file or folder")])
    return [path]


def _objects(value: Json, file: str, line: int) -> Iterator[Manifest]:
    if value is None:
        return
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise PolicyErrors([SourceError(file, line, 0, "", "is no Kubernetes object: it has no kind")])
    items = value.get("items")
    if str(value["kind"]).endswith("List") and isinstance(items, list):
        for each in items:
            yield from _objects(each, file, line)
        return
    metadata = value.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    yield Manifest(
        file=file,
        line=line,
        api_version=str(value.get("apiVersion") or ""),
        kind=str(value["kind"]),
        namespace=str(named.get("namespace") or ""),
        name=str(named.get("name") or named.get("generateName") or ""),
        value=value,
    )
