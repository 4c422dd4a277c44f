"""What lock policies say of the locks that are written becomes rules; the rest is named with the reason."""

import pytest

from lockkeeper.exporting.lock_rules import lock_part
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.policy_kinds.kinds import (
    CrossNamespace,
    InjectRule,
    LockTarget,
    LockValidation,
    MatchedKind,
    Parameterised,
    PolicyMatch,
    PolicyMetadata,
    SemaphoreDefinition,
    Severity,
    Singular,
    SynchronizationPolicy,
    SynchronizationPolicySpec,
    TemplateSelector,
)

NOTHING = LockValidation(
    require_defined=False,
    cross_namespace=CrossNamespace.ALLOW,
    allow_parameterised=Parameterised.ALLOW,
    deadlocks=Severity.IGNORE,
    unknown_references=Severity.IGNORE,
    singular=Singular.DENY,
)


def policy(**spec: object) -> SynchronizationPolicy:
    """Return a policy."""
    return SynchronizationPolicy(PolicyMetadata("p", "team"), SynchronizationPolicySpec(**spec))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("validate", "expected"),
    [
        (NOTHING, ["LockName", "LockForm", "LockPlace"]),
        (LockValidation(), ["LockNamespace", "LockName", "LockPlace"]),
        (LockValidation(key_pattern="^a$"), ["LockNamespace", "LockName", "LockName", "LockPlace"]),
    ],
)
def test_rules_are_those_of_the_locks_that_are_written(validate: LockValidation, expected: list[str]) -> None:
    """Names, places, forms and namespaces."""
    part = lock_part(policy(validate=validate), DEFAULT_VERSION)
    assert [each.code.value for each in part.rules] == expected


def test_a_naming_rule_is_the_regular_expression_of_the_webhook() -> None:
    """Both search with RE2; text of the author stays a text of CEL."""
    part = lock_part(policy(validate=LockValidation(key_pattern='^[^"\\\\]+$')), DEFAULT_VERSION)
    assert any(r'matches("^[^\"\\\\]+$")' in each.expression for each in part.rules)


def test_what_is_not_said_is_named() -> None:
    """Each field with its reason."""
    lock = LockTarget(mutex="m")
    every = policy(
        match=PolicyMatch(kinds=(MatchedKind.WORKFLOW, MatchedKind.CLUSTER_WORKFLOW_TEMPLATE)),
        semaphores=(SemaphoreDefinition("c", "k", 1),),
        inject=(InjectRule("r", TemplateSelector(), lock),),
    )
    assert [each.field for each in lock_part(every, DEFAULT_VERSION).unsaid] == [
        "spec.match.kinds",
        "spec.semaphores",
        "spec.inject",
        "spec.validate.requireDefined",
        "spec.validate.allowParameterised",
        "spec.validate.singular",
        "spec.validate.deadlocks",
        "spec.validate.unknownReferences",
    ]
    said = policy(validate=NOTHING, match=PolicyMatch(kinds=(MatchedKind.WORKFLOW_TEMPLATE,)))
    assert lock_part(said, DEFAULT_VERSION).unsaid == ()


@pytest.mark.parametrize(
    ("kinds", "resources"),
    [
        ((MatchedKind.WORKFLOW,), ("workflows",)),
        ((MatchedKind.CRON_WORKFLOW, MatchedKind.WORKFLOW_TEMPLATE), ("workflowtemplates", "cronworkflows")),
        ((MatchedKind.CLUSTER_WORKFLOW_TEMPLATE,), ("clusterworkflowtemplates",)),
    ],
)
def test_rules_are_for_the_kinds_that_the_policy_governs(
    kinds: tuple[MatchedKind, ...], resources: tuple[str, ...]
) -> None:
    """Edits are looked at, too, but not those of Workflows."""
    part = lock_part(policy(match=PolicyMatch(kinds=kinds)), DEFAULT_VERSION)
    assert (part.resources, part.edited) == (
        resources,
        tuple(each for each in resources if each != "workflows"),
    )
    assert any(name == "old_all" for name, _ in part.variables) is bool(part.edited)
