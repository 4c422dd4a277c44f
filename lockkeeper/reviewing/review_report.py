"""Decisions as findings: a denial is an error for each of its reasons, a warning is one."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from lockkeeper.findings.finding import CheckedObject, FileCode, FileFinding, FilesReport, Level, sort_key
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import Inputs
from lockkeeper.reviewing.object_review import ReviewedManifest
from policy.core.decision.decision import Code
from policy.sources.directory import SourceError

_WARNING: Final = re.compile(r"(?:lockkeeper: )?(?:((?:spec|metadata|status)[^\s:]*): )?(.*)", re.DOTALL)
"""A warning of the webhook, with the field that it begins with, if any."""


def review_report(inputs: Inputs, pairs: Sequence[tuple[Manifest, ReviewedManifest]]) -> FilesReport:
    """Return what was read, what was found in it, and what could not be read."""
    found = {*inputs.findings, *(finding for pair in pairs for finding in _findings(*pair))}
    checked = tuple(CheckedObject(each.file, each.line, str(each)) for _, each in pairs)
    return FilesReport(tuple(sorted(found, key=sort_key)), checked, inputs.files, inputs.passed_over)


def policy_report(errors: Iterable[SourceError]) -> FilesReport:
    """Return the report of policies that cannot be used: without them nothing can be reviewed."""
    found = tuple(
        FileFinding(
            each.file,
            each.line,
            Level.ERROR,
            Code.WRONG_POLICY.value if each.line else FileCode.UNREADABLE,
            "",
            each.path,
            each.message,
        )
        for each in errors
    )
    return FilesReport(found, ())


def warning_line(warning: str, manifest: Manifest) -> int:
    """Return the line of the field that a warning begins with, or of the object."""
    return manifest.place(_field_of(warning)[0]).line


def _findings(manifest: Manifest, reviewed: ReviewedManifest) -> Iterator[FileFinding]:
    for reason in reviewed.reasons:
        yield FileFinding(
            reviewed.file,
            reason.line,
            Level.ERROR,
            reason.code,
            str(reviewed),
            reason.field,
            reason.message,
            reason.policy,
        )
    for warning in reviewed.warnings:
        field, message = _field_of(warning)
        line = manifest.place(field).line
        yield FileFinding(reviewed.file, line, Level.WARNING, FileCode.WARNING, str(reviewed), field, message)


def _field_of(warning: str) -> tuple[str, str]:
    match = _WARNING.fullmatch(warning)
    return (match[1] or "", match[2]) if match else ("", warning)
