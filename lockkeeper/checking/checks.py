"""What is wrong with an installation: a sentence for each check, and what to do next. Pure.

In this order: kinds, Argo, webhook configurations, what serves the webhooks, the leader, the policies.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final, TypeAlias

from lockkeeper.checking.argo_checks import check_argo
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
from lockkeeper.checking.results import Check, CheckResult, State, unread
from lockkeeper.process.console import aligned
from lockkeeper.process.kubernetes_objects import MUTATING, VALIDATING, Webhook
from policy.core.objects.well_known import NAMESPACE_NAME
from webhook.callers import call_of

_CheckResults: TypeAlias = Iterator[CheckResult]


def check_installation(facts: InstallationFacts) -> tuple[CheckResult, ...]:
    """Return all results, in the order in which a user would correct things."""
    return (
        *_check_kinds(facts),
        *check_argo(facts.argo),
        *_check_registration(facts),
        *_check_serving(facts),
        *_check_leader(facts),
        *_check_policies(facts),
    )


def nothing_seen(facts: InstallationFacts) -> bool:
    """Return whether every read was refused: the credentials are wrong rather than the installation."""
    reads = (
        *facts.policies.values(),
        facts.ledgers,
        facts.workflows,
        facts.mutating,
        facts.validating,
        facts.lease,
    )
    return all(isinstance(each, UnreadObject) and each.gap is Gap.NO_RIGHT for each in reads)


def table(results: Sequence[CheckResult]) -> str:
    """Return the results in columns, what to do below, and how many there are of each state."""
    lines = [aligned([(each.state, each.check, each.message) for each in results])]
    advised = [each for each in results if each.advice]
    if advised:
        lines.append("")
    lines += [f"{each.check}: {each.message}\n  next: {each.advice}" for each in advised]
    counts = Counter(each.state for each in results)
    lines += ["", ", ".join(f"{counts[state]} {state}" for state in State if counts[state])]
    return "\n".join(lines)


_MUTATE: Final = "mutate.lockkeeper.dev"
_VALIDATE: Final = "validate.lockkeeper.dev"
_POLICY_REVIEW: Final = "policies.lockkeeper.dev"


def _check_kinds(facts: InstallationFacts) -> _CheckResults:
    """Check whether the API serves what Lockkeeper reads and writes."""
    check = Check.KINDS
    gaps = {kind: found for kind, found in facts.policies.items() if isinstance(found, UnreadObject)}
    if facts.ledgers is not None:
        gaps["QuotaLedger"] = facts.ledgers
    missing = [kind for kind, found in gaps.items() if found.gap is Gap.ABSENT]
    if missing:
        advice = "install the CRDs of the chart, which it brings with crds.install=true"
        yield CheckResult(check, State.FAILED, f"the cluster does not serve {_listed(missing)}", advice)
    for found in gaps.values():
        if found.gap is not Gap.ABSENT:
            yield unread(check, found)
    if not gaps:
        yield CheckResult(
            check, State.OK, f"all {len(facts.policies) + 1} kinds of lockkeeper.dev are served"
        )
    if facts.workflows is None:
        yield CheckResult(check, State.OK, "Argo's Workflows are served")
    elif facts.workflows.gap is Gap.ABSENT:
        advice = "install Argo Workflows; the controller waits for its kinds"
        yield CheckResult(check, State.FAILED, "the cluster does not serve Argo's Workflows", advice)
    else:
        yield unread(check, facts.workflows)


def _check_registration(facts: InstallationFacts) -> _CheckResults:
    """Check whether the API server calls our webhooks, and as it should."""
    for kind, found, wanted in (
        (MUTATING.kind, facts.mutating, (_MUTATE,)),
        (VALIDATING.kind, facts.validating, (_VALIDATE, _POLICY_REVIEW)),
    ):
        if isinstance(found, UnreadObject):
            if found.gap is Gap.ABSENT:
                message = f"there is no {kind} {facts.name}: Workflows are created past Lockkeeper"
                advice = "run helm upgrade; where the release has another full name, give it with --name"
                yield CheckResult(Check.REGISTRATION, State.FAILED, message, advice)
            else:
                yield unread(Check.REGISTRATION, found)
            continue
        present = {webhook.name: webhook for webhook in found}
        yield from _completeness(kind, facts.name, present, wanted)
        for name in wanted:
            if name in present and name != _POLICY_REVIEW:
                yield from _settings(present[name], facts.namespace)


def _completeness(
    kind: str, name: str, present: dict[str, Webhook], wanted: tuple[str, ...]
) -> _CheckResults:
    check, advice = Check.REGISTRATION, "run helm upgrade, which puts it back"
    for webhook in wanted:
        message = f"{kind} {name} has no webhook {webhook}"
        if webhook in present:
            yield CheckResult(check, State.OK, f"{webhook} is registered")
        elif webhook == _POLICY_REVIEW:
            late = f"{message}: what is wrong with a policy shows only in its status"
            yield CheckResult(check, State.WARNING, late, advice)
        else:
            yield CheckResult(check, State.FAILED, message, advice)


def _settings(webhook: Webhook, namespace: str) -> _CheckResults:
    """Show what happens without an answer, and check what must be set as it is."""
    check, seconds = Check.FAILURE_POLICY, webhook.timeout_seconds
    if webhook.failure_policy == "Ignore":
        what = "Workflows pass it when it has not answered"
    else:
        what = "Workflows are refused when it has not answered"
    yield CheckResult(check, State.OK, f"{webhook.name} is {webhook.failure_policy}: {what} in {seconds} s")
    if webhook.reinvocation_policy != "Never":
        message = f"{webhook.name} has reinvocationPolicy {webhook.reinvocation_policy}"
        advice = "set it to Never: a second call for one create reserves a second slot"
        yield CheckResult(Check.REGISTRATION, State.FAILED, message, advice)
    if excludes(webhook, namespace):
        message = f"{webhook.name} leaves namespace {namespace} alone"
        yield CheckResult(Check.OWN_NAMESPACE, State.OK, message)
    else:
        message = f"{webhook.name} is asked about namespace {namespace}, where Lockkeeper itself runs"
        advice = f"exclude it in namespaceSelector: {NAMESPACE_NAME} NotIn [{namespace}]"
        yield CheckResult(Check.OWN_NAMESPACE, State.WARNING, message, advice)


def excludes(webhook: Webhook, namespace: str) -> bool:
    """Return whether a webhook leaves a namespace out by its name, which cannot be changed.

    Other labels can be, so a namespace that is left out by those does not count as left out.
    """
    selector, labels = webhook.namespace_selector, {NAMESPACE_NAME: namespace}
    by_label = selector.match_labels.get(NAMESPACE_NAME, namespace) != namespace
    return by_label or any(
        each.key == NAMESPACE_NAME and not each.matches(labels) for each in selector.match_expressions
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_EXPIRY_WARNING: Final = timedelta(days=14)
"""A renewal is due after two thirds of a certificate's life; so late, something prevents it."""


def _check_serving(facts: InstallationFacts) -> _CheckResults:
    """Check what serves the webhooks: its certificate, and whether it is ready."""
    for probe in facts.probes:
        target = probe.target
        place = f"{target.server_name}:{target.port}"
        if probe.trouble is not None:
            yield _not_asked(probe, probe.trouble, place, facts)
            continue
        yield _certificate(probe, place, facts)
        yield _callers(probe, place)
        if probe.ready:
            yield CheckResult(Check.READINESS, State.OK, f"{place} is ready")
        else:
            message = f"{place} is not ready: {', '.join(probe.text.splitlines()) or 'it does not say why'}"
            yield CheckResult(Check.READINESS, State.FAILED, message, "look at the log of the webhook's Pods")


def _not_asked(
    probe: ProbeResult, trouble: ProbeTrouble, place: str, facts: InstallationFacts
) -> CheckResult:
    check = Check.CERTIFICATE
    keeper = (
        "the controller fills it in, or cert-manager's cainjector: look at the log of the one that should"
    )
    match trouble:
        case ProbeTrouble.NO_BUNDLE:
            message = f"the registration has no caBundle, so the API server trusts no certificate at {place}"
            return CheckResult(check, State.FAILED, message, keeper)
        case ProbeTrouble.BAD_BUNDLE:
            message = f"the caBundle for {place} is of no use: {probe.error}"
            return CheckResult(check, State.FAILED, message, keeper)
        case ProbeTrouble.UNTRUSTED:
            message = f"the API server refuses the certificate of {place}: {probe.error}"
            advice = "see lockkeeper certs status, and the log of the controller, which keeps caBundle right"
            return CheckResult(check, State.FAILED, message, advice)
        case ProbeTrouble.UNREACHABLE if facts.inside:
            message = f"{place} does not answer at {probe.target.host}: {probe.error}"
            advice = "see whether the webhook's Pods are ready, and whether a NetworkPolicy keeps them apart"
            return CheckResult(Check.READINESS, State.FAILED, message, advice)
        case ProbeTrouble.UNREACHABLE:
            message = f"{place} cannot be reached from here: {probe.error}"
            return CheckResult(Check.READINESS, State.SKIPPED, message, "check from a Pod, as helm test does")


def _certificate(probe: ProbeResult, place: str, facts: InstallationFacts) -> CheckResult:
    if probe.expires is None:
        raise AssertionError("a target without trouble has shown its certificate")
    left = probe.expires - facts.now
    message = f"the caBundle is right for the certificate of {place}, for {left.days} more days"
    if left > _EXPIRY_WARNING:
        return CheckResult(Check.CERTIFICATE, State.OK, message)
    advice = "it should have been renewed: see lockkeeper certs status, or the Certificate of cert-manager"
    return CheckResult(Check.CERTIFICATE, State.WARNING, message, advice)


def _callers(probe: ProbeResult, place: str) -> CheckResult:
    """Check whether it answers the API server, and whether unknown callers too; no path is shown."""
    calls = [call_of(path) for path in probe.target.paths]
    if probe.refused:
        found = {call.side.value for call in map(call_of, probe.refused) if call is not None}
        sides = ", ".join(sorted(found)) or "none that it knows"
        message = f"{place} does not answer at the paths in the webhook configurations: {sides}"
        advice = "look at the log of the webhook's Pods, and whether they may get the webhook configurations"
        return CheckResult(Check.CALLERS, State.FAILED, message, advice)
    if all(call is not None and call.secret for call in calls):
        message = f"{place} answers only who knows the paths in the webhook configurations"
    else:
        message = f"{place} answers every caller: the paths in the webhook configurations are plain"
    return CheckResult(Check.CALLERS, State.OK, message)


def _check_leader(facts: InstallationFacts) -> _CheckResults:
    """Check whether a controller leads: without one, queued Workflows wait for ever."""
    check, logs = Check.LEADER, "look at the log of the controller's Pods"
    seen, name = facts.lease, f"{facts.namespace}/{facts.name}-controller"
    if isinstance(seen, UnreadObject):
        if seen.gap is Gap.ABSENT:
            yield CheckResult(
                check, State.FAILED, f"no controller has ever led: there is no Lease {name}", logs
            )
        else:
            yield unread(check, seen)
        return
    spec = seen.lease.spec
    age = lease_age(seen.lease, facts.now)
    ago = "at an unknown time" if age is None else f"{age.total_seconds():.0f} s ago by our clock"
    if not spec.holder_identity:
        message = f"nobody leads: the Lease {name} was given up {ago}, and queued Workflows wait"
        yield CheckResult(check, State.FAILED, message, logs)
    elif seen.renewed is None:
        yield CheckResult(check, State.OK, f"{spec.holder_identity} leads")
    elif seen.renewed:
        message = f"{spec.holder_identity} leads, but its clock and ours differ: it renewed the Lease {ago}"
        yield CheckResult(check, State.WARNING, message, "set the clocks of the nodes, and the one here")
    else:
        message = f"{spec.holder_identity} holds the Lease {name} and does not renew it, last {ago}"
        yield CheckResult(check, State.FAILED, message, logs)


def _check_policies(facts: InstallationFacts) -> _CheckResults:
    """List the policies that are not in force as they were written last, or conflict with another one."""
    found = {kind: read for kind, read in facts.policies.items() if not isinstance(read, UnreadObject)}
    fine = True
    for kind, policies in found.items():
        for policy in policies:
            for result in _policy(kind, policy):
                fine = False
                yield result
    if fine and found:
        total = sum(map(len, found.values()))
        message = f"policies in force: {total}, and none that is not" if total else "there is no policy yet"
        yield CheckResult(Check.POLICIES, State.OK, message)


def _policy(kind: str, policy: CheckedPolicy) -> _CheckResults:
    meta = policy.metadata
    name = f"{kind} {meta.namespace}/{meta.name}" if meta.namespace else f"{kind} {meta.name}"
    conditions = {each.type: each for each in policy.status.conditions or ()}
    ready = conditions.get("Ready")
    if ready is None or ready.observed_generation < meta.generation:
        message = f"{name} was not checked yet since it was written"
        advice = "the leading controller checks it within a second: see whether one leads"
        yield CheckResult(Check.POLICIES, State.WARNING, message, advice)
    elif ready.status != "True":
        yield _condition(name, "is not in force as it stands", ready)
    conflicting = conditions.get("Conflicting")
    if conflicting is not None and conflicting.status == "True":
        yield _condition(name, "stands against another policy", conflicting)
    limited = conditions.get("LimitedByArgo")
    if limited is not None and limited.status == "True":
        yield _condition(name, "allows more than Argo itself does", limited)


def _condition(name: str, what: str, condition: PolicyCondition) -> CheckResult:
    advice = "correct it; kubectl describe shows all of its conditions"
    return CheckResult(Check.POLICIES, State.WARNING, f"{name} {what}: {condition.message}", advice)
