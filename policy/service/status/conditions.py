"""Which conditions a policy's status gets: from the verdict on it, and the findings about the whole set.

- Ready: whether the policy is in force as its author wrote it last;
- Invalid: whether something is wrong with it, and what;
- Conflicting: whether another policy counts instead of it, or refuses what it does;
- Incomplete: not all templates or ConfigMaps of a namespace are known; absent where they are;
- LimitedByArgo: Argo itself runs fewer Workflows at once; absent where it does not.

Pure: the present status and the time are given, and what is to be written is returned.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.conflicts import Finding, FindingKind
from policy.core.values.prepared import prepare
from policy.sources.last_good_objects import Verdict

MAX_MESSAGE: Final = 4000
"""Characters of a message; the CRDs allow 32768, and people read the first ten lines."""
MAX_PART: Final = 500
"""Characters of one part of a message: a path may be as long as any key of an object."""
_TRUE: Final = "True"
_FALSE: Final = "False"


class _ConditionType(StrEnum):
    """The conditions that Lockkeeper writes; those of others it leaves alone."""

    READY = "Ready"
    INVALID = "Invalid"
    CONFLICTING = "Conflicting"
    INCOMPLETE = "Incomplete"
    LIMITED_BY_ARGO = "LimitedByArgo"


_SHOWN_BY_THEMSELVES: Final = {
    FindingKind.BOUND_REACHED: _ConditionType.INCOMPLETE,
    FindingKind.ARGO_LIMIT: _ConditionType.LIMITED_BY_ARGO,
}
_NO_CONFLICT: Final = frozenset(
    {FindingKind.SELECTS_NOTHING, FindingKind.CONDITION_IN_FRONT, *_SHOWN_BY_THEMSELVES}
)
_OURS: Final = frozenset(each.value for each in _ConditionType)


class WrittenCondition(msgspec.Struct, frozen=True, rename="camel"):
    """`metav1.Condition`."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int = 0
    last_transition_time: str = ""


prepare(WrittenCondition)


class StatusFields(msgspec.Struct, frozen=True):
    """Fields of a status that are to be written; `urgent` unless they are figures alone."""

    status: JsonObject
    urgent: bool


def status_to_write(
    verdict: Verdict, findings: Sequence[Finding], *, now: datetime, figures: JsonObject | None = None
) -> StatusFields | None:
    """Return the fields of the status that are to be written, or None where it has them already.

    A condition keeps its lastTransitionTime while its status is the same, whatever else changes. `figures`
    are those of a quota.
    """
    status = verdict.status if isinstance(verdict.status, dict) else {}
    present, foreign = _conditions(status)
    wanted = [_since(each, present.get(each.type), now) for each in conditions_of(verdict, findings)]
    # An empty list that is not there is none: else a quota without groups would be written for nothing.
    changed = {
        key: value
        for key, value in (figures or {}).items()
        if status.get(key) != value and (value != [] or key in status)
    }
    observed = status.get("observedGeneration")
    if observed == verdict.generation and present == {each.type: each for each in wanted}:
        return StatusFields(changed, urgent=False) if changed else None
    ours: list[JsonValue] = [msgspec.to_builtins(each) for each in wanted]
    conditions: JsonObject = {"observedGeneration": verdict.generation, "conditions": [*ours, *foreign]}
    return StatusFields({**changed, **conditions}, urgent=True)


def conditions_of(verdict: Verdict, findings: Sequence[Finding]) -> tuple[WrittenCondition, ...]:
    """Return the conditions of a policy, with no time of transition yet."""
    conflicts = [each for each in findings if each.kind not in _NO_CONFLICT]
    usual = (ready(verdict, findings), _invalid(verdict), _conflicting(verdict, conflicts))
    more = []
    for reason, kind in _SHOWN_BY_THEMSELVES.items():
        texts = [str(each) for each in findings if each.kind is reason]
        if texts:
            more.append(WrittenCondition(kind, _TRUE, reason, _joined(texts), verdict.generation))
    return (*usual, *more)


def ready(verdict: Verdict, findings: Sequence[Finding] = ()) -> WrittenCondition:
    """Return the condition whether a policy is in force."""
    kind, generation = _ConditionType.READY, verdict.generation
    if verdict.problems:
        last_good = verdict.in_force
        reason = "LastGoodInForce" if last_good else "NotInForce"
        rest = f"generation {last_good} of it stays in force" if last_good else "nothing of it is in force"
        return WrittenCondition(
            kind, _FALSE, reason, f"it is wrong, and {rest}: {_faults(verdict)}", generation
        )
    idle = [str(each) for each in findings if each.kind is FindingKind.SELECTS_NOTHING]
    if idle:
        message = f"it is in force, but there is nothing for it to do: {_joined(idle)}"
        return WrittenCondition(kind, _TRUE, FindingKind.SELECTS_NOTHING, message, generation)
    hard = [str(each) for each in findings if each.kind is FindingKind.CONDITION_IN_FRONT]
    message = f"it is in force; {_joined(hard)}" if hard else "it is in force"
    return WrittenCondition(kind, _TRUE, "InForce", message, generation)


def _invalid(verdict: Verdict) -> WrittenCondition:
    kind, generation = _ConditionType.INVALID, verdict.generation
    if verdict.problems:
        return WrittenCondition(kind, _TRUE, "ProblemsFound", _faults(verdict), generation)
    return WrittenCondition(kind, _FALSE, "NoProblems", "nothing is wrong with it", generation)


def _conflicting(verdict: Verdict, conflicts: Sequence[Finding]) -> WrittenCondition:
    kind, generation = _ConditionType.CONFLICTING, verdict.generation
    if conflicts:
        message = _joined([str(each) for each in conflicts])
        return WrittenCondition(kind, _TRUE, conflicts[0].kind, message, generation)
    return WrittenCondition(kind, _FALSE, "NoConflict", "no other policy counts instead of it", generation)


def _faults(verdict: Verdict) -> str:
    return _joined([": ".join(filter(None, (each.path, each.message))) for each in verdict.problems])


def _joined(parts: Sequence[str]) -> str:
    """Return the parts in one line, as many as a message may have, and how many more there are."""
    shown: list[str] = []
    left = MAX_MESSAGE
    for part in parts:
        text = part if len(part) <= MAX_PART else f"{part[: MAX_PART - 1]}…"
        left -= len(text) + len("; ")
        if left < 0:
            return f"{'; '.join(shown)}; and {len(parts) - len(shown)} more"
        shown.append(text)
    return "; ".join(shown)


def _since(wanted: WrittenCondition, present: WrittenCondition | None, now: datetime) -> WrittenCondition:
    """Return the condition with the time since when it has its status."""
    same = present is not None and present.status == wanted.status and present.last_transition_time
    time = same or now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return msgspec.structs.replace(wanted, last_transition_time=time)


def _conditions(status: JsonObject) -> tuple[Mapping[str, WrittenCondition], list[JsonValue]]:
    """Return our conditions by type, and those of others; what cannot be decoded is left out."""
    listed = status.get("conditions")
    ours: dict[str, WrittenCondition] = {}
    foreign: list[JsonValue] = []
    for each in listed if isinstance(listed, list) else ():
        try:
            condition = msgspec.convert(each, WrittenCondition)
        except msgspec.ValidationError:
            continue
        if condition.type in _OURS:
            ours[condition.type] = condition
        else:
            foreign.append(each)
    return ours, foreign
