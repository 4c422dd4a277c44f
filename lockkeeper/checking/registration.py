"""Judges what was installed: the kinds, and how the webhooks are registered. Pure."""

from typing import Final

from lockkeeper.checking.facts import Gap, InstallationFacts, UnreadObject
from lockkeeper.checking.judgement import Check, Judgement, Judgements, State, unread
from lockkeeper.process.kubernetes_objects import MUTATING, VALIDATING, Webhook
from policy.core.objects.well_known import NAMESPACE_NAME

_MUTATE: Final = "mutate.lockkeeper.dev"
_VALIDATE: Final = "validate.lockkeeper.dev"
_POLICY_REVIEW: Final = "policies.lockkeeper.dev"


def judge_kinds(facts: InstallationFacts) -> Judgements:
    """Judge whether the API serves what Lockkeeper reads and writes."""
    check = Check.KINDS
    gaps = {kind: found for kind, found in facts.policies.items() if isinstance(found, UnreadObject)}
    if facts.ledgers is not None:
        gaps["QuotaLedger"] = facts.ledgers
    missing = [kind for kind, found in gaps.items() if found.gap is Gap.ABSENT]
    if missing:
        advice = "install the CRDs of the chart, which it brings with crds.install=true"
        yield Judgement(check, State.FAILED, f"the cluster does not serve {_listed(missing)}", advice)
    for found in gaps.values():
        if found.gap is not Gap.ABSENT:
            yield unread(check, found)
    if not gaps:
        yield Judgement(check, State.OK, f"all {len(facts.policies) + 1} kinds of lockkeeper.dev are served")
    if facts.workflows is None:
        yield Judgement(check, State.OK, "Argo's Workflows are served")
    elif facts.workflows.gap is Gap.ABSENT:
        advice = "install Argo Workflows; the controller waits for its kinds"
        yield Judgement(check, State.FAILED, "the cluster does not serve Argo's Workflows", advice)
    else:
        yield unread(check, facts.workflows)


def judge_registration(facts: InstallationFacts) -> Judgements:
    """Judge whether the API server calls our webhooks, and as it should."""
    for kind, found, wanted in (
        (MUTATING.kind, facts.mutating, (_MUTATE,)),
        (VALIDATING.kind, facts.validating, (_VALIDATE, _POLICY_REVIEW)),
    ):
        if isinstance(found, UnreadObject):
            if found.gap is Gap.ABSENT:
                message = f"there is no {kind} {facts.name}: Workflows are created past Lockkeeper"
                advice = "run helm upgrade; where the release has another full name, give it with --name"
                yield Judgement(Check.REGISTRATION, State.FAILED, message, advice)
            else:
                yield unread(Check.REGISTRATION, found)
            continue
        present = {webhook.name: webhook for webhook in found}
        yield from _completeness(kind, facts.name, present, wanted)
        for name in wanted:
            if name in present and name != _POLICY_REVIEW:
                yield from _settings(present[name], facts.namespace)


def _completeness(kind: str, name: str, present: dict[str, Webhook], wanted: tuple[str, ...]) -> Judgements:
    check, advice = Check.REGISTRATION, "run helm upgrade, which puts it back"
    for webhook in wanted:
        message = f"{kind} {name} has no webhook {webhook}"
        if webhook in present:
            yield Judgement(check, State.OK, f"{webhook} is registered")
        elif webhook == _POLICY_REVIEW:
            late = f"{message}: what is wrong with a policy shows only in its status"
            yield Judgement(check, State.WARNING, late, advice)
        else:
            yield Judgement(check, State.FAILED, message, advice)


def _settings(webhook: Webhook, namespace: str) -> Judgements:
    """Tell what happens without an answer, and judge what may not be set otherwise."""
    check, seconds = Check.FAILURE_POLICY, webhook.timeout_seconds
    if webhook.failure_policy == "Ignore":
        what = "Workflows pass it when it has not answered"
    else:
        what = "Workflows are refused when it has not answered"
    yield Judgement(check, State.OK, f"{webhook.name} is {webhook.failure_policy}: {what} in {seconds} s")
    if webhook.reinvocation_policy != "Never":
        message = f"{webhook.name} has reinvocationPolicy {webhook.reinvocation_policy}"
        advice = "set it to Never: a second call for one create reserves a second slot"
        yield Judgement(Check.REGISTRATION, State.FAILED, message, advice)
    if excludes(webhook, namespace):
        message = f"{webhook.name} leaves namespace {namespace} alone"
        yield Judgement(Check.OWN_NAMESPACE, State.OK, message)
    else:
        message = f"{webhook.name} is asked about namespace {namespace}, where Lockkeeper itself runs"
        advice = f"exclude it in namespaceSelector: {NAMESPACE_NAME} NotIn [{namespace}]"
        yield Judgement(Check.OWN_NAMESPACE, State.WARNING, message, advice)


def excludes(webhook: Webhook, namespace: str) -> bool:
    """Tell whether a webhook leaves a namespace out by its name, which nobody can change.

    Other labels can be, so a namespace that is left out by those does not count as left out.
    """
    selector, labels = webhook.namespace_selector, {NAMESPACE_NAME: namespace}
    by_label = selector.match_labels.get(NAMESPACE_NAME, namespace) != namespace
    return by_label or any(
        each.key == NAMESPACE_NAME and not each.matches(labels) for each in selector.match_expressions
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
