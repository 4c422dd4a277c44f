"""Decisions for people: a row each, then the reasons, warnings and changes of each with their lines."""

import difflib
from collections.abc import Iterator, Sequence

from lockkeeper.manifests.manifest import Manifest
from lockkeeper.process.console import aligned, printable
from lockkeeper.process.yaml_output import as_yaml
from lockkeeper.reviewing.object_review import ReviewedManifest
from lockkeeper.reviewing.review_report import warning_line
from policy.core.objects.json_patch import JsonObject


def review_table(pairs: Sequence[tuple[Manifest, ReviewedManifest]], show: str) -> str:
    """Return the rows and what is to be told below them; `show` is `diff`, `whole` or `none`."""
    rows: list[Sequence[str]] = [("FILE", "KIND", "NAMESPACE", "NAME", "DECISION", "WHY")]
    for _, each in pairs:
        place = f"{each.file}:{each.line}"
        name = f"{each.name} (in {each.inside})" if each.inside else each.name
        row = (place, each.kind, each.namespace, name, each.outcome, _why(each))
        rows.append(tuple(map(printable, row)))
    return f"{aligned(rows)}\n" + "".join(_details(*pair, show) for pair in pairs)


def _details(manifest: Manifest, reviewed: ReviewedManifest, show: str) -> str:
    lines = list(_told(manifest, reviewed))
    changed = "" if reviewed.changed is None else _changed(manifest.value, reviewed.changed, show)
    if not lines and not changed:
        return ""
    head = printable(f"{reviewed.file}:{reviewed.line} {reviewed}")
    return f"\n{head}\n" + "".join(f"  {printable(line)}\n" for line in lines) + changed


def _told(manifest: Manifest, reviewed: ReviewedManifest) -> Iterator[str]:
    for reason in reviewed.reasons:
        yield f"{reviewed.file}:{reason.line}: {reason}"
    for warning in reviewed.warnings:
        yield f"{reviewed.file}:{warning_line(warning, manifest)}: warning: {warning}"


def _why(reviewed: ReviewedManifest) -> str:
    if reviewed.reasons:
        return ", ".join(dict.fromkeys(reason.code for reason in reviewed.reasons))
    if reviewed.locks:
        return "; ".join(f"lock {lock}" for lock in reviewed.locks)
    return ", ".join(reviewed.policies)


def _changed(before: JsonObject, after: JsonObject, show: str) -> str:
    if show == "whole":
        return as_yaml(after)
    return _diff(before, after) if show == "diff" else ""


def _diff(before: JsonObject, after: JsonObject) -> str:
    lines = difflib.unified_diff(
        as_yaml(before).splitlines(keepends=True),
        as_yaml(after).splitlines(keepends=True),
        "before",
        "after",
        n=2,
    )
    return "".join(lines)
