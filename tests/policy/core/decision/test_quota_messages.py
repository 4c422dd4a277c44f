"""Sentences for people: the shape that tools match on, the figures, and the next thing to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.decision.decision import Code, Reason
from policy.core.decision.quota_messages import (
    MAX_REASONS,
    denial,
    exceeded,
    exceeded_reason,
    fill,
    never_fits,
    queue_message,
)
from policy.core.policies.snapshot import Document
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.demands import Demand, Shortfall
from policy.core.quota.usage_view import NO_USAGE, UsageView
from policy.core.values.amounts import Limits, Usage
from tests.policy.core.builders import NAMESPACE, NOW, limits, pool, quota, snapshot, weight

MAIN = Account(NAMESPACE, "main")
SOURCE = "WorkflowQuota team-a/main"
RETRY = "Try again when a running Workflow has ended, or ask for a higher limit"


def _short(bound: Limits, used: Usage, requested: Usage, source: str = SOURCE) -> Shortfall:
    return Shortfall(Demand(MAIN, bound, source), used, requested)


def _quotas(*documents: Document) -> tuple[CompiledQuota, ...]:
    return snapshot(*documents).policies(NAMESPACE).quotas


@pytest.mark.parametrize(
    ("short", "text"),
    [
        (
            _short(limits(10), Usage(10), weight()),
            "exceeded quota: team-a/main, requested: workflows=1, used: workflows=10, limited: workflows=10",
        ),
        (
            _short(limits(10, 20), Usage(3, 18), weight(5)),
            "exceeded quota: team-a/main, requested: tasks=5, used: tasks=18, limited: tasks=20",
        ),
        (
            _short(limits(3, 20), Usage(3, 18), weight(5)),
            (
                "exceeded quota: team-a/main, requested: workflows=1,tasks=5, used: workflows=3,tasks=18, "
                "limited: workflows=3,tasks=20"
            ),
        ),
        (
            _short(limits(tasks=20), Usage(2, 3, 1), weight(5)),
            "exceeded quota: team-a/main, requested: tasks=5, used: tasks=unlimited, limited: tasks=20",
        ),
        (
            _short(limits(1), Usage(1), weight(), f"{SOURCE} for user ann"),
            (
                "exceeded quota: team-a/main for user ann, requested: workflows=1, used: workflows=1, "
                "limited: workflows=1"
            ),
        ),
        (
            _short(limits(1), Usage(1), weight(), "ClusterWorkflowQuota shared (namespaceDefaults)"),
            (
                "exceeded quota: shared (namespaceDefaults), requested: workflows=1, used: workflows=1, "
                "limited: workflows=1"
            ),
        ),
    ],
)
def test_an_exceeded_quota_reads_as_kubernetes_writes_it(short: Shortfall, text: str) -> None:
    """The shape of ResourceQuota, which Argo and people match on, with only what is short in it."""
    assert exceeded(short, OnExceed.WARN) == text
    assert exceeded(short, OnExceed.DENY) == f"{text}. {RETRY}"


def test_a_denial_by_a_quota_names_its_policy_and_what_to_do() -> None:
    """The whole reason and the whole line."""
    reason = exceeded_reason(_short(limits(10), Usage(10), weight()))
    text = (
        "exceeded quota: team-a/main, requested: workflows=1, used: workflows=10, limited: workflows=10. "
        "Try again when a running Workflow has ended, or ask for a higher limit"
    )
    assert reason == Reason(Code.EXCEEDED_QUOTA, "", text, SOURCE)
    assert denial([reason]) == f"[WorkflowQuota team-a/main] {text}"


@pytest.mark.parametrize(
    ("short", "advice"),
    [
        (_short(limits(tasks=4), Usage(), weight(5)), "set spec.parallelism to 4 or less"),
        (_short(limits(tasks=4), Usage(), weight(None)), "set spec.parallelism to 4 or less"),
        (_short(limits(0), Usage(), weight()), "the limit is 0, nothing may run until it is raised"),
        (_short(limits(0, 4), Usage(), weight(5)), "the limit is 0, nothing may run until it is raised"),
    ],
)
def test_what_can_never_fit_is_reported_with_what_would_fit(short: Shortfall, advice: str) -> None:
    """No message proposes to try again where that cannot help."""
    assert exceeded(short, OnExceed.DENY).endswith(f". It can never fit: {advice}")
    assert RETRY not in exceeded(short, OnExceed.DENY)
    assert never_fits(short).endswith(f"; {advice}")


def test_the_warning_of_a_workflow_that_can_never_start_has_need_and_limit() -> None:
    """The whole sentence."""
    assert never_fits(_short(limits(tasks=4), Usage(), weight(5))) == (
        "it can never start: it needs tasks=5 and WorkflowQuota team-a/main allows tasks=4; "
        "set spec.parallelism to 4 or less"
    )


def test_no_message_proposes_to_set_parallelism_to_0() -> None:
    """Under a limit of 0 tasks the only way is to raise it, however many tasks the Workflow has."""
    for tasks in (1, 5, None):
        assert exceeded(_short(limits(tasks=0), Usage(), weight(tasks)), OnExceed.DENY).endswith(
            ". It can never fit: the limit on tasks is 0, nothing may run until it is raised"
        )


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (Reason(Code.LOCK_NAME, "spec.x", "is wrong", "P q"), "[P q] spec.x: is wrong"),
        (Reason(Code.LOCK_NAME, "spec.x", "is wrong"), "spec.x: is wrong"),
        (Reason(Code.LOCK_NAME, "", "is wrong", "P q"), "[P q] is wrong"),
        (Reason(Code.LOCK_NAME, "", "is wrong"), "is wrong"),
    ],
)
def test_a_line_has_policy_field_and_message_as_far_as_there_are(reason: Reason, line: str) -> None:
    """No empty brackets and no stray colons."""
    assert denial([reason]) == line


@given(st.integers(0, 30))
def test_at_most_ten_reasons_are_shown_and_the_rest_is_counted(count: int) -> None:
    """The API server and terminals cut longer texts; the text has how many more there are."""
    lines = denial([Reason(Code.LOCK_NAME, f"f{n}", "wrong") for n in range(count)]).split("\n")
    assert MAX_REASONS == 10
    shown = [f"f{n}: wrong" for n in range(min(count, 10))]
    rest = [f"and {count - 10} more"] if count > 10 else []
    assert lines == (shown + rest or [""])


def test_a_held_workflow_shows_its_place_and_how_full_the_tightest_limit_is() -> None:
    """The limit with the least left is the one that Workflows wait for."""
    quotas = _quotas(quota(limits={"workflows": 10}), pool(limits={"workflows": 50}))
    view = UsageView(used={MAIN: Usage(7), Account("", "shared"): Usage(49)})
    text = queue_message(NAMESPACE, quotas, view, NOW, position=3, depth=12)
    assert text == "position 3 of 12 in team-a (49/50 running in pool shared)"


def test_an_estimated_position_is_shown_as_one() -> None:
    """The usage beside it would be one, too, and is left out."""
    quotas = _quotas(quota(limits={"workflows": 10}))
    text = queue_message(NAMESPACE, quotas, NO_USAGE, NOW, position=3, depth=12, about=True)
    assert text == "about position 3 of 12 in team-a"


@pytest.mark.parametrize(
    ("documents", "text"),
    [
        ([quota(limits={"workflows": 10})], " (0/10 running)"),
        ([quota(limits={"tasks": 10})], ""),
        ([quota("a"), quota("b", limits={"workflows": 10})], " (0/10 running)"),
        ([quota()], ""),
        ([], ""),
    ],
)
def test_only_limits_on_workflows_have_a_fill(documents: list[Document], text: str) -> None:
    """Nothing is shown where there is no such limit; what is not counted yet is 0."""
    assert fill(_quotas(*documents), NO_USAGE, NOW) == text


def test_a_share_is_shown_as_no_limit() -> None:
    """What its namespace may take is said by the pool: `shares` may give more, and borrowing does."""
    lends = pool(
        limits={"workflows": 40},
        namespaceDefaults={"limits": {"workflows": 10}},
        borrowing={"shares": {NAMESPACE: {"workflows": 20}}},
    )
    assert fill(_quotas(lends), NO_USAGE, NOW) == " (0/40 running in pool shared)"


def test_an_overfull_limit_is_the_tightest() -> None:
    """After an edit more may run than the limit allows."""
    quotas = _quotas(quota("a", limits={"workflows": 1}), quota("b", limits={"workflows": 5}))
    view = UsageView(used={Account(NAMESPACE, "b"): Usage(9)})
    assert fill(quotas, view, NOW) == " (9/5 running)"
