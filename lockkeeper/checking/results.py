"""The outcome of a check: one sentence, and what to do next."""

from enum import StrEnum

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
    CRDS = "Argo's CRDs"
    ARGO = "Argo"
    REGISTRATION = "registration"
    FAILURE_POLICY = "failure policy"
    ORDER = "webhook order"
    OWN_NAMESPACE = "own namespace"
    CERTIFICATE = "certificate"
    CALLERS = "callers"
    READINESS = "readiness"
    LEADER = "leader"
    POLICIES = "policies"


class CheckResult(msgspec.Struct, frozen=True):
    """One sentence about an installation, and what to do next where something is to be done."""

    check: Check
    state: State
    message: str
    advice: str = ""


def unread(check: Check, found: UnreadObject) -> CheckResult:
    """Return that something was not checked: that is no fault of the installation."""
    if found.gap is Gap.NO_RIGHT:
        advice = "ask for this right, or let helm test check, which has it"
        return CheckResult(check, State.SKIPPED, f"not seen, for want of the right to {found.wanted}", advice)
    message = f"the cluster did not answer to {found.wanted}: {found.error}"
    return CheckResult(check, State.FAILED, message, "see whether versions of cluster and Lockkeeper fit")
