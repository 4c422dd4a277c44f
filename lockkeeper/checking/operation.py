"""Judges what runs: the webhook and its certificate, the leader, and the policies in force. Pure."""

from datetime import timedelta
from typing import Final

from lockkeeper.checking.facts import (
    CheckedPolicy,
    Gap,
    InstallationFacts,
    PolicyCondition,
    ProbeResult,
    ProbeTrouble,
    UnreadObject,
    lease_age,
)
from lockkeeper.checking.judgement import Check, Judgement, Judgements, State, unread
from webhook.callers import call_of

_EXPIRY_WARNING: Final = timedelta(days=14)
"""A renewal is due after two thirds of a certificate's life; so late, something keeps it from happening."""


def judge_served(facts: InstallationFacts) -> Judgements:
    """Judge what serves the webhooks: its certificate, and whether it is ready."""
    for served in facts.served:
        target = served.target
        place = f"{target.server_name}:{target.port}"
        if served.trouble is not None:
            yield _not_asked(served, served.trouble, place, facts)
            continue
        yield _certificate(served, place, facts)
        yield _callers(served, place)
        if served.ready:
            yield Judgement(Check.READINESS, State.OK, f"{place} is ready")
        else:
            message = f"{place} is not ready: {', '.join(served.said.splitlines()) or 'it does not say why'}"
            yield Judgement(Check.READINESS, State.FAILED, message, "look at the log of the webhook's Pods")


def _not_asked(served: ProbeResult, trouble: ProbeTrouble, place: str, facts: InstallationFacts) -> Judgement:
    check = Check.CERTIFICATE
    keeper = (
        "the controller fills it in, or cert-manager's cainjector: look at the log of the one that should"
    )
    match trouble:
        case ProbeTrouble.NO_BUNDLE:
            message = f"the registration has no caBundle, so the API server trusts nobody at {place}"
            return Judgement(check, State.FAILED, message, keeper)
        case ProbeTrouble.BAD_BUNDLE:
            message = f"the caBundle for {place} is of no use: {served.error}"
            return Judgement(check, State.FAILED, message, keeper)
        case ProbeTrouble.UNTRUSTED:
            message = f"the API server refuses the certificate of {place}: {served.error}"
            advice = "see lockkeeper certs status, and the log of the controller, which keeps caBundle right"
            return Judgement(check, State.FAILED, message, advice)
        case ProbeTrouble.UNREACHABLE if facts.inside:
            message = f"{place} does not answer at {served.target.host}: {served.error}"
            advice = "see whether the webhook's Pods are ready, and whether a NetworkPolicy keeps them apart"
            return Judgement(Check.READINESS, State.FAILED, message, advice)
        case ProbeTrouble.UNREACHABLE:
            message = f"{place} cannot be reached from here: {served.error}"
            return Judgement(Check.READINESS, State.SKIPPED, message, "check from a Pod, as helm test does")


def _certificate(served: ProbeResult, place: str, facts: InstallationFacts) -> Judgement:
    if served.expires is None:
        raise AssertionError("a target without trouble has shown its certificate")
    left = served.expires - facts.now
    message = f"the caBundle vouches for the certificate of {place}, for {left.days} more days"
    if left > _EXPIRY_WARNING:
        return Judgement(Check.CERTIFICATE, State.OK, message)
    advice = "it should have been renewed: see lockkeeper certs status, or the Certificate of cert-manager"
    return Judgement(Check.CERTIFICATE, State.WARNING, message, advice)


def _callers(served: ProbeResult, place: str) -> Judgement:
    """Judge whether it answers where the API server calls, and whether others too; no path is shown."""
    calls = [call_of(path) for path in served.target.paths]
    if served.refused:
        found = {call.side.value for call in map(call_of, served.refused) if call is not None}
        sides = ", ".join(sorted(found)) or "none that it knows"
        message = f"{place} does not answer at the paths in the webhook configurations: {sides}"
        advice = "look at the log of the webhook's Pods, and whether they may get the webhook configurations"
        return Judgement(Check.CALLERS, State.FAILED, message, advice)
    if all(call is not None and call.secret for call in calls):
        message = f"{place} answers only who knows the paths in the webhook configurations"
    else:
        message = f"{place} answers whoever reaches it: the paths in the webhook configurations are plain"
    return Judgement(Check.CALLERS, State.OK, message)


def judge_leader(facts: InstallationFacts) -> Judgements:
    """Judge whether a controller leads: without one, queued Workflows wait for ever."""
    check, logs = Check.LEADER, "look at the log of the controller's Pods"
    seen, name = facts.lease, f"{facts.namespace}/{facts.name}-controller"
    if isinstance(seen, UnreadObject):
        if seen.gap is Gap.ABSENT:
            yield Judgement(
                check, State.FAILED, f"no controller has ever led: there is no Lease {name}", logs
            )
        else:
            yield unread(check, seen)
        return
    spec = seen.lease.spec
    age = lease_age(seen.lease, facts.now)
    ago = (
        "at a time that it does not tell" if age is None else f"{age.total_seconds():.0f} s ago by our clock"
    )
    if not spec.holder_identity:
        message = f"nobody leads: the Lease {name} was given up {ago}, and queued Workflows wait"
        yield Judgement(check, State.FAILED, message, logs)
    elif seen.renewed is None:
        yield Judgement(check, State.OK, f"{spec.holder_identity} leads")
    elif seen.renewed:
        message = f"{spec.holder_identity} leads, but its clock and ours differ: it renewed the Lease {ago}"
        yield Judgement(check, State.WARNING, message, "set the clocks of the nodes, and the one here")
    else:
        message = f"{spec.holder_identity} holds the Lease {name} and does not renew it, last {ago}"
        yield Judgement(check, State.FAILED, message, logs)


def judge_policies(facts: InstallationFacts) -> Judgements:
    """List the policies that are not in force as they were written last, or stand against another one."""
    found = {kind: read for kind, read in facts.policies.items() if not isinstance(read, UnreadObject)}
    fine = True
    for kind, policies in found.items():
        for policy in policies:
            for judgement in _policy(kind, policy):
                fine = False
                yield judgement
    if fine and found:
        total = sum(map(len, found.values()))
        message = f"policies in force: {total}, and none that is not" if total else "there is no policy yet"
        yield Judgement(Check.POLICIES, State.OK, message)


def _policy(kind: str, policy: CheckedPolicy) -> Judgements:
    meta = policy.metadata
    name = f"{kind} {meta.namespace}/{meta.name}" if meta.namespace else f"{kind} {meta.name}"
    conditions = {each.type: each for each in policy.status.conditions or ()}
    ready = conditions.get("Ready")
    if ready is None or ready.observed_generation < meta.generation:
        message = f"{name} was not judged yet since it was written"
        advice = "the leading controller judges within a second: see whether one leads"
        yield Judgement(Check.POLICIES, State.WARNING, message, advice)
    elif ready.status != "True":
        yield _condition(name, "is not in force as it stands", ready)
    conflicting = conditions.get("Conflicting")
    if conflicting is not None and conflicting.status == "True":
        yield _condition(name, "stands against another policy", conflicting)


def _condition(name: str, what: str, condition: PolicyCondition) -> Judgement:
    advice = "correct it; kubectl describe shows all of its conditions"
    return Judgement(Check.POLICIES, State.WARNING, f"{name} {what}: {condition.message}", advice)
