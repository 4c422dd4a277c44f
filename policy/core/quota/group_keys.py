"""The key of a group: its form in a policy, and the text that a Workflow gives it.

Workflows with equal texts count together, so different values must never give the same text. Two parts have
a separator between them, a character that is no letter, digit or `%`; a value in which it occurs has it as
`%2F`, as in a URL. `a/b` and `c` become `a%2Fb/c`, and `a` and `b/c` become `a/b/c`. `%` itself, and what
cannot be seen, are written in this way, too.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2s
from typing import Any, Final

import msgspec

from policy.core.objects import well_known
from policy.core.objects.owners import owner_of
from policy.core.objects.parameter_text import parameter_text
from policy.core.objects.template_keys import ObjectKind, key_of
from policy.core.objects.workflow import EMPTY_SPEC, Metadata, WorkflowMetadata, WorkflowSpec
from policy.core.quota.key_parts import CLOSE, OPEN, PARTS, PartSource, field_of, part_problem, source_of
from policy.core.values.memo import Memo

LONGEST_KEY: Final = 500
"""Characters of a key in a policy."""
LONGEST_VALUE: Final = 200
"""Characters of the text that a Workflow gives a key: it is in its annotations and in ledgers."""
_DIGEST: Final = 16
_KEPT: Final = LONGEST_VALUE - 2 * _DIGEST - 1
_CUT: Final = re.compile(rf".{{{_KEPT}}}~[0-9a-f]{{{2 * _DIGEST}}}", re.DOTALL)
_TAG: Final = re.compile(r"\{\{([^{}]*)\}\}")
_SEPARATOR: Final = re.compile(r"[^A-Za-z0-9%]")
_ESCAPE: Final = "%"
_DEFAULT_ACCOUNT: Final = "default"


class KeyPart(msgspec.Struct, frozen=True):
    """A part of a key: where its value comes from, and the text up to the next part.

    `separator` is the character of `after` that no value may have in it, "" for the last part.
    """

    source: PartSource
    name: str
    after: str
    separator: str

    @property
    def tag(self) -> str:
        """What is between its braces."""
        return f"{self.source}{self.name}"

    @property
    def field(self) -> str:
        """The field of a Workflow that gives it its value."""
        return field_of(self.source, self.name)


class GroupKey(msgspec.Struct, frozen=True):
    """A valid key: its text in the policy, and what that consists of."""

    text: str
    before: str
    parts: tuple[KeyPart, ...]

    def depends_on(self, source: PartSource) -> bool:
        """Return whether one of its parts has this source."""
        return any(part.source is source for part in self.parts)


class KnownValue(msgspec.Struct, frozen=True):
    """The value of a part: its first characters, and a digest of a longer one."""

    text: str
    digest: str = ""


class KeySubject(msgspec.Struct, frozen=True):
    """The Workflow whose key is asked for.

    `template` is the spec of the template object that it refers to. `user` is the one that it counts for.
    `recorded` are the annotations in which admission records what it refers to; where they are None, its own
    fields are believed. `known` and `arguments` have what was found out for one key, for the others; so a
    subject with other fields is created anew, and not by a replacement.
    """

    namespace: str
    metadata: Metadata
    spec: WorkflowSpec
    user: str
    template: WorkflowSpec | None = None
    recorded: dict[str, str] | None = None
    known: Memo[str, KnownValue | None] = msgspec.field(default_factory=Memo)
    arguments: Memo[str, dict[str, Any]] = msgspec.field(default_factory=Memo)


def parse_key(text: str) -> GroupKey:
    """Return what a key consists of.

    Raises:
        ValueError: it is not valid (`key_problems` says why).
    """
    if found := key_problems(text):
        raise ValueError(f"the key {text!r} {found[0]}")
    literals, tags = _split(text)
    parts = []
    for index, tag in enumerate(tags):
        source, after = source_of(tag), literals[index + 1]
        if source is not None:
            separator = _SEPARATOR.search(after) if index + 1 < len(tags) else None
            between = separator[0] if separator else ""
            parts.append(KeyPart(source, tag.removeprefix(source), after, between))
    return GroupKey(text, literals[0], tuple(parts))


def key_problems(text: str) -> list[str]:
    """Return what is wrong with a key, in sentences that begin after its path."""
    if len(text) > LONGEST_KEY:
        return [f"has {len(text)} characters: at most {LONGEST_KEY} are allowed"]
    literals, tags = _split(text)
    if any(brace in literal for literal in literals for brace in "{}"):
        return [f"has a brace that belongs to no part: write each part as {OPEN}name{CLOSE}"]
    if not tags:
        message = "has no part, so that all Workflows would have the same key"
        return [f"{message}: give it one of {PARTS}, or use limits of the quota"]
    found = [problem for tag in dict.fromkeys(tags) if (problem := part_problem(tag))]
    for index, literal in enumerate(literals[1:-1]):
        if not _SEPARATOR.search(literal):
            first, second = (f"{OPEN}{tag}{CLOSE}" for tag in tags[index : index + 2])
            message = f"has nothing that separates {first} from {second}, so that different values"
            found.append(f"{message} would have the same key: write {first}/{second}")
    return found


def key_value(key: GroupKey, subject: KeySubject) -> str | None:
    """Return the text of a Workflow for a key, None where a part is absent or empty."""
    text = key.before
    for part in key.parts:
        value = _value(part, subject)
        if value is None:
            return None
        text += _escaped(value.text, part.separator) + value.digest + part.after
    if len(text) < LONGEST_VALUE or (len(text) == LONGEST_VALUE and not _CUT.fullmatch(text)):
        return text
    return f"{text[:_KEPT]}~{_digest(text)}"


def missing_parts(key: GroupKey, subject: KeySubject) -> tuple[KeyPart, ...]:
    """Return the parts that a Workflow lacks, each of them once."""
    return tuple({part.tag: part for part in key.parts if _value(part, subject) is None}.values())


def differing_parts(key: GroupKey, one: KeySubject, other: KeySubject) -> tuple[KeyPart, ...]:
    """Return the parts in which two Workflows differ, each of them once."""
    differing = (part for part in key.parts if _value(part, one) != _value(part, other))
    return tuple({part.tag: part for part in differing}.values())


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return the texts around the tags of a key, and what is in the tags."""
    pieces = _TAG.split(text)
    return pieces[::2], [each.strip(" ") for each in pieces[1::2]]


def _escaped(value: str, separator: str) -> str:
    if value.isprintable() and _ESCAPE not in value and (not separator or separator not in value):
        return value
    return "".join(_hex(each) if each in (_ESCAPE, separator) else _visible(each) for each in value)


def _visible(character: str) -> str:
    return character if character.isprintable() else _hex(character)


def _hex(character: str) -> str:
    return "".join(f"{_ESCAPE}{byte:02X}" for byte in character.encode())


def _digest(text: str) -> str:
    return blake2s(text.encode(), digest_size=_DIGEST).hexdigest()


def _value(part: KeyPart, subject: KeySubject) -> KnownValue | None:
    """Return the value of a part for a Workflow, None where it is absent or empty."""
    return subject.known.get_or(part.tag, lambda: _read(part, subject))


def _read(part: KeyPart, subject: KeySubject) -> KnownValue | None:
    value = _READERS[part.source](part.name, subject)
    if not value:
        return None
    if len(value) <= LONGEST_VALUE:
        return KnownValue(value)
    # A user may send megabytes. No value has these characters: `%` is always one of an escape.
    return KnownValue(value[:LONGEST_VALUE], f"{_ESCAPE}x{_digest(value)}")


def _specs(subject: KeySubject) -> tuple[WorkflowSpec, WorkflowSpec]:
    """Return the own spec of a Workflow, and that of its template; the first one has precedence in Argo."""
    return subject.spec, subject.template or EMPTY_SPEC


def _written(subject: KeySubject) -> list[WorkflowMetadata]:
    """Return the labels and annotations that Argo puts on a Workflow in place of its own."""
    return [each.workflow_metadata for each in _specs(subject) if each.workflow_metadata is not None]


def _label(name: str, subject: KeySubject) -> str | None:
    """Return a label as the run will have it; one of `labelsFrom` is unknown before."""
    written = _written(subject)
    if any(name in (each.labels_from or ()) for each in written):
        return None
    return _first(name, (*(each.labels for each in written), subject.metadata.labels))


def _annotation(name: str, subject: KeySubject) -> str | None:
    written = [each.annotations for each in _written(subject)]
    return _first(name, (*written, subject.metadata.annotations))


def _first(name: str, maps: Iterable[Mapping[str, str] | None]) -> str | None:
    return next((each[name] for each in maps if each and name in each), None)


def _parameter(name: str, subject: KeySubject) -> str | None:
    """Return the value of an argument; the first spec that names it decides, as in Argo.

    It is unknown before the run where it comes from elsewhere (`valueFrom`), or is made of other tags.
    """
    given = subject.arguments.get_or("", lambda: _arguments(subject))
    text = parameter_text(given.get(name))
    return None if text is None or OPEN in text else text


def _arguments(subject: KeySubject) -> dict[str, Any]:
    """Return the values of all arguments by name."""
    found: dict[str, Any] = {}
    for spec in _specs(subject):
        for each in (spec.arguments.parameters if spec.arguments else None) or ():
            found.setdefault(each.name or "", each.value if each.value is not None else each.default)
    return found


def _template(_name: str, subject: KeySubject) -> str:
    """Return the kind and the name of the template that a Workflow refers to."""
    if subject.recorded is not None:
        return subject.recorded.get(well_known.REFERS_TO, "")
    ref = subject.spec.workflow_template_ref
    return key_of(ref, subject.namespace).text if ref is not None and ref.name else ""


def _cron(_name: str, subject: KeySubject) -> str:
    """Return the name of the CronWorkflow that a Workflow is a run of."""
    if subject.recorded is not None:
        return subject.recorded.get(well_known.STARTED_BY, "").partition("/")[2]
    owner = owner_of(subject.metadata, ObjectKind.CRON_WORKFLOW)
    return owner.name if owner is not None else ""


def _service_account(_name: str, subject: KeySubject) -> str:
    named = (each.service_account_name for each in _specs(subject))
    return next((each for each in named if each), _DEFAULT_ACCOUNT)


_READERS: Final[Mapping[PartSource, Callable[[str, KeySubject], str | None]]] = {
    PartSource.LABEL: _label,
    PartSource.ANNOTATION: _annotation,
    PartSource.PARAMETER: _parameter,
    PartSource.TEMPLATE: _template,
    PartSource.CRON: _cron,
    PartSource.SERVICE_ACCOUNT: _service_account,
    PartSource.GENERATE_NAME: lambda _name, subject: subject.metadata.generate_name,
    PartSource.NAMESPACE: lambda _name, subject: subject.namespace,
    PartSource.USER: lambda _name, subject: subject.user,
}
