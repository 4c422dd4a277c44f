"""The parts that a key of a group may have, and what is wrong with others."""

import re
from enum import StrEnum
from typing import Final

from policy.core.objects import well_known
from policy.core.values.problems import nearest

OPEN: Final = "{{"
CLOSE: Final = "}}"
_LABEL: Final = re.compile(r"(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_PARAMETER: Final = re.compile(r"[\w-]{1,253}", re.ASCII)
_BRACKETS: Final = re.compile(r"\[['\"]?([^\]'\"]*)['\"]?\]")
_UNIQUE: Final = frozenset({"workflow.name", "workflow.uid", "workflow.creationTimestamp"})
_UNSTABLE: Final = well_known.CHANGING | {well_known.INSTANCE_ID}


class PartSource(StrEnum):
    """Where the value of a part comes from, as its tag says it; after a dot at the end, a name follows."""

    LABEL = "workflow.labels."
    ANNOTATION = "workflow.annotations."
    PARAMETER = "workflow.parameters."
    TEMPLATE = "workflow.template"
    CRON = "workflow.cron"
    SERVICE_ACCOUNT = "workflow.serviceAccountName"
    GENERATE_NAME = "workflow.generateName"
    NAMESPACE = "workflow.namespace"
    USER = "user"

    @property
    def named(self) -> bool:
        """Whether the name of a label, an annotation or a parameter follows."""
        return self.endswith(".")


_FIELDS: Final = {
    PartSource.LABEL: "metadata.labels",
    PartSource.ANNOTATION: "metadata.annotations",
    PartSource.PARAMETER: "spec.arguments.parameters",
    PartSource.TEMPLATE: "spec.workflowTemplateRef",
    PartSource.CRON: "metadata.ownerReferences",
    PartSource.SERVICE_ACCOUNT: "spec.serviceAccountName",
    PartSource.GENERATE_NAME: "metadata.generateName",
    PartSource.NAMESPACE: "metadata.namespace",
    PartSource.USER: "metadata",
}
_NAMED: Final = tuple(each for each in PartSource if each.named)
_WHOLE: Final = tuple(each for each in PartSource if not each.named)
PARTS: Final = ", ".join(f"{OPEN}{each}{'X' if each.named else ''}{CLOSE}" for each in PartSource)
"""All parts that a key may have, for messages."""


def field_of(source: PartSource, name: str) -> str:
    """Return the field of a Workflow that gives a part its value."""
    return f"{_FIELDS[source]}[{name}]" if name else _FIELDS[source]


def source_of(tag: str) -> PartSource | None:
    """Return where the value of a tag, without its braces, comes from; None where it is no part."""
    if tag in _WHOLE:
        return PartSource(tag)
    return next((each for each in _NAMED if tag.startswith(each) and tag != each), None)


def part_problem(tag: str) -> str:
    """Return what is wrong with a tag as a part of a key, or ""."""
    source = source_of(tag)
    if source is None:
        return _unknown(tag)
    return _name_problem(tag, source) if source.named else ""


def _name_problem(tag: str, source: PartSource) -> str:
    name, shown = tag.removeprefix(source), f"{OPEN}{tag}{CLOSE}"
    kind = source.split(".")[1].removesuffix("s")
    if not (_PARAMETER if source is PartSource.PARAMETER else _LABEL).fullmatch(name):
        return f"has {shown}, and {name!r} is no name of a {kind}".replace("a annotation", "an annotation")
    other = f"use another {kind}"
    if name.startswith(well_known.PREFIX):
        return f"has {shown}, which Lockkeeper itself writes: {other}"
    if source is PartSource.LABEL and name in _UNSTABLE:
        return f"has {shown}, which changes while a Workflow waits or runs: {other}"
    return ""


def _unknown(tag: str) -> str:
    shown = f"{OPEN}{tag}{CLOSE}"
    if tag.startswith("="):
        return f"has the expression {shown}, and a key has none: use the parts alone ({PARTS})"
    if tag in _UNIQUE or tag.startswith("workflow.creationTimestamp."):
        return (
            f"has {shown}, which no two Workflows have in common, so that the group limits nothing: remove it"
        )
    stem = next((each for each in _NAMED if tag in (each, each.removesuffix("."))), None)
    if stem is not None:
        return f"has {shown} without a name: write {OPEN}{stem}NAME{CLOSE}"
    near = _nearest(tag)
    hint = f"did you mean {OPEN}{near}{CLOSE}?" if near else f"use {PARTS}"
    return f"has the unknown part {shown}: {hint}"


def _nearest(tag: str) -> str:
    """Return the part that an unknown one is most like, with the name in it; "" where none is."""
    words = _BRACKETS.sub(r".\1", tag).split(".")
    kinds = {each.split(".")[1]: each for each in _NAMED}
    for index, word in enumerate(words[:-1]):
        if near := nearest(word, kinds, likeness=0.75):
            return f"{kinds[near]}{'.'.join(words[index + 1 :])}"
    ends = {each.rpartition(".")[2]: each for each in _WHOLE}
    near = nearest(words[-1], ends, likeness=0.7)
    return ends[near] if near else ""
