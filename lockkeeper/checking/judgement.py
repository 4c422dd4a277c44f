"""What a check concludes: a sentence about an installation, and what to do next."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec

from lockkeeper.checking.facts import Gap, InstallationFacts, UnreadObject
from lockkeeper.checking.operation import judge_leader, judge_policies, judge_served
from lockkeeper.checking.registration import judge_kinds, judge_registration
from lockkeeper.process.output import aligned


class State(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(StrEnum):
    """What is checked."""

    KINDS = "kinds"
    REGISTRATION = "registration"
    FAILURE_POLICY = "failure policy"
    OWN_NAMESPACE = "own namespace"
    CERTIFICATE = "certificate"
    CALLERS = "callers"
    READINESS = "readiness"
    LEADER = "leader"
    POLICIES = "policies"


class Judgement(msgspec.Struct, frozen=True):
    """One sentence about an installation, and what to do next where something is to be done."""

    check: Check
    state: State
    message: str
    advice: str = ""


Judgements: TypeAlias = Iterator[Judgement]


def unread(check: Check, found: UnreadObject) -> Judgement:
    """Return that something was not checked: that is no fault of the installation."""
    if found.gap is Gap.NO_RIGHT:
        advice = "ask for this right, or let helm test check, which has it"
        return Judgement(check, State.SKIPPED, f"not seen, for want of the right to {found.wanted}", advice)
    message = f"the cluster did not answer to {found.wanted}: {found.error}"
    return Judgement(check, State.FAILED, message, "see whether versions of cluster and Lockkeeper fit")


def judge_installation(facts: InstallationFacts) -> tuple[Judgement, ...]:
    """Return all judgements, in the order in which somebody would mend things."""
    return (
        *judge_kinds(facts),
        *judge_registration(facts),
        *judge_served(facts),
        *judge_leader(facts),
        *judge_policies(facts),
    )


def nothing_seen(facts: InstallationFacts) -> bool:
    """Tell whether every read was refused: the credentials are wrong rather than the installation."""
    reads = (
        *facts.policies.values(),
        facts.ledgers,
        facts.workflows,
        facts.mutating,
        facts.validating,
        facts.lease,
    )
    return all(isinstance(each, UnreadObject) and each.gap is Gap.NO_RIGHT for each in reads)


def table(judgements: Sequence[Judgement]) -> str:
    """Return the judgements in columns, what to do below, and how many there are of each state."""
    lines = [aligned([(each.state, each.check, each.message) for each in judgements])]
    advised = [each for each in judgements if each.advice]
    if advised:
        lines.append("")
    lines += [f"{each.check}: {each.message}\n  next: {each.advice}" for each in advised]
    counts = Counter(each.state for each in judgements)
    lines += ["", ", ".join(f"{counts[state]} {state}" for state in State if counts[state])]
    return "\n".join(lines)
