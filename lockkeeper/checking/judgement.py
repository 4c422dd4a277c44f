"""What a check concludes: a sentence about an installation, and what to do next."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TypeAlias

import msgspec

from lockkeeper.checking.facts import Gap, UnreadObject


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
