"""All documents of the policies with what is suggested written into them, as YAML that `--against` takes."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lockkeeper.process.console import printable
from lockkeeper.process.yaml_output import as_yaml
from lockkeeper.suggesting.strategies.settings import Setting, edited
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.quota_parts import WindowSpec
from policy.sources.default_namespace import placed
from policy.sources.file_tree import content_of, entries
from policy.sources.yaml_positions import Json, parse

_WIDTH: Final = 118
_OBJECT: Final = frozenset({"apiVersion", "kind"})


def suggested_policies(
    path: Path,
    changes: Sequence[tuple[Setting, int]],
    window: WindowSpec | None,
    *,
    namespace: str,
    words: Sequence[str],
) -> str:
    """Return the documents of a file or folder, those that change first; `words` stand above them."""
    by_policy: dict[tuple[str, str, str], list[tuple[Setting, int]]] = {}
    for setting, value in changes:
        by_policy.setdefault((setting.kind, setting.namespace, setting.name), []).append((setting, value))
    changed, others = [], []
    for each in _objects(path, namespace):
        mine = by_policy.get(_identity(each))
        if mine is None:
            others.append(as_yaml(each))
            continue
        edited(each.setdefault("spec", {}), {setting.field: value for setting, value in mine}, window)  # type: ignore[arg-type]
        changed.append("".join(f"# {'.'.join(key.field)}: {value}\n" for key, value in mine) + as_yaml(each))
    head = "".join(f"# {line}\n" for text in words for line in textwrap.wrap(printable(text), _WIDTH))
    return head + "---\n".join([*changed, *others])


def _objects(path: Path, namespace: str) -> Iterator[JsonObject]:
    """Yield the objects of all files, also those in lists, each with its namespace."""
    for entry in entries(path):
        content = content_of(path / entry.name if entry.name else path, entry)
        if isinstance(content, bytes):
            for document in parse(content).documents:
                yield from _of_document(document.value, namespace)


def _of_document(value: Json, namespace: str) -> Iterator[JsonObject]:
    if not isinstance(value, dict) or not value.keys() & _OBJECT:
        return
    items = value.get("items")
    if value.get("kind") == "List" and isinstance(items, list):
        for each in items:
            yield from _of_document(each, namespace)
    else:
        yield placed(value, namespace)


def _identity(value: JsonObject) -> tuple[str, str, str]:
    metadata = value.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    kind = str(value.get("kind"))
    return (
        kind,
        "" if kind.startswith("Cluster") else str(known.get("namespace") or ""),
        str(known.get("name")),
    )
