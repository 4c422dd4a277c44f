"""Tables, bars and sentences: plain in a pipe, and no wider than the terminal of a person."""

import io
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from lockkeeper.views.queue_table import Sort, running_table, sorted_rows, waiting_table
from lockkeeper.views.quota_table import quota_table
from lockkeeper.views.terminal import Terminal
from policy.core.cluster_view.view import ClusterView, QuotaRow, RunningRow, StartRange, WaitingRow
from policy.core.policies.group_figures import GroupFigures
from policy.core.policies.status_figures import Counted, MemberFigures, QuotaFigures, ShownLimits
from policy.core.policy_kinds.quota_parts import OnExceed, StopPolicy
from policy.core.queue.positions import WaitReason

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PIPE = Terminal()
NARROW = Terminal(40, person=True)


def waiting(
    name: str, position: int, *, priority: int = 0, tasks: int | None = 1, minutes: int = 1
) -> WaitingRow:
    """Return one that waits."""
    return WaitingRow(
        namespace="a",
        name=name,
        uid=name,
        user="ann",
        priority=priority,
        tasks=tasks,
        since=NOW - timedelta(minutes=minutes),
        position=position,
        ahead=position - 1,
        reason=WaitReason.WAITING_FOR_QUOTA,
        message="waits for room",
        blocked_by="WorkflowQuota a/main",
        root="namespace.a",
    )


VIEW = ClusterView(
    at=NOW,
    quotas=(
        QuotaRow(
            "ClusterWorkflowQuota",
            "",
            "data",
            OnExceed.QUEUE,
            StopPolicy.NONE,
            QuotaFigures(
                running=8,
                queued=3,
                tasks=40,
                borrowed=Counted(2, 4),
                effective_limits=ShownLimits(10, 100),
                open_windows=("night",),
                namespaces=(MemberFigures("a", 3, 2, 30, 0), MemberFigures("b", 5, 1, 10, 2)),
            ),
            changes_at=NOW + timedelta(hours=2),
        ),
        QuotaRow(
            "WorkflowQuota",
            "a",
            "main",
            OnExceed.DENY,
            StopPolicy.HOLD,
            QuotaFigures(running=3, queued=2, tasks=30, effective_limits=ShownLimits(5)),
            pool="data",
        ),
        QuotaRow("WorkflowQuota", "z", "own", OnExceed.WARN, StopPolicy.NONE, QuotaFigures()),
    ),
    waiting=(waiting("w1", 1), waiting("w2", 2, priority=5, tasks=None, minutes=9)),
    running=(RunningRow("a", "r1", "r1", "", 0, 2, NOW - timedelta(seconds=5), "namespace.a"),),
    unread=("pools: no right",),
)


def test_quotas_are_a_tree_of_pools_and_their_members() -> None:
    """A member without a quota of its own is shown with its counts."""
    text = quota_table(VIEW, PIPE)
    assert [line.split("  ")[0] or line[:8].rstrip() for line in text.splitlines()][:2] == [
        "QUOTA",
        "pool data",
    ]
    assert "  b  " in text
    assert "8/10" in text
    assert "window night, limits change in 2h" in text
    assert "on hold (Hold), denies" in text
    assert "warns only" in text
    assert text.endswith("note: pools: no right")


def test_groups_stand_below_their_quota() -> None:
    """With how many keys are in use and at their limit, and how many Workflows wait for one."""
    groups = (GroupFigures("branch", 3, 1, 4), GroupFigures("one", 1), GroupFigures("none"))
    row = msgspec.structs.replace(VIEW.quotas[1], figures=QuotaFigures(groups=groups), pool="")
    text = quota_table(ClusterView(NOW, quotas=(row,)), PIPE)
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["group", "branch", "4", "3", "keys", "in", "use,", "1", "at", "its", "limit"],
        ["group", "one", "0", "1", "key", "in", "use"],
        ["group", "none", "0", "0", "keys", "in", "use"],
    ]


def test_a_pipe_gets_no_bar_and_a_person_does() -> None:
    """What a program reads has no drawings in it."""
    assert "█" not in quota_table(VIEW, PIPE)
    assert "████████░░ 8/10" in quota_table(VIEW, Terminal(200, person=True))


@pytest.mark.parametrize(
    "text", [quota_table(VIEW, NARROW), waiting_table(VIEW, NARROW), running_table(VIEW, NARROW)]
)
def test_lines_fit_a_narrow_terminal(text: str) -> None:
    """Forty columns are enough for each line; the rest is cut."""
    assert max(map(len, text.splitlines())) <= 40


def test_a_queue_is_shown_with_what_blocks() -> None:
    """Wide adds who it is of, and the whole sentence."""
    text = waiting_table(VIEW, PIPE)
    assert text.splitlines()[1].split() == [
        *("a", "1", "w1", "0", "1", "0", "1m", "-", "WaitingForQuota", "WorkflowQuota", "a/main")
    ]
    assert "unlimited" in text
    assert "waits for room" in waiting_table(VIEW, PIPE, wide=True)


def test_an_expected_start_is_shown_as_time_from_now() -> None:
    """Whole minutes, with the earliest first."""
    expected = StartRange(NOW + timedelta(seconds=350), NOW + timedelta(seconds=1190))
    row = msgspec.structs.replace(waiting("w1", 1), expected=expected)
    text = waiting_table(ClusterView(NOW, waiting=(row,)), PIPE)
    assert text.splitlines()[1].split()[7] == "5m-20m"


@pytest.mark.parametrize(
    ("by", "first"), [(Sort.POSITION, "w1"), (Sort.AGE, "w2"), (Sort.PRIORITY, "w2"), (Sort.TASKS, "w2")]
)
def test_a_queue_is_sorted_as_asked(by: Sort, first: str) -> None:
    """The oldest, the highest priority and the largest are first."""
    assert sorted_rows(VIEW.waiting, by)[0].name == first


def test_an_empty_view_says_that_nothing_is_there() -> None:
    """An empty table would look like an error."""
    empty = ClusterView(NOW)
    assert waiting_table(empty, PIPE) == "nothing waits"
    assert running_table(empty, PIPE) == "nothing runs"
    assert quota_table(empty, PIPE).startswith("no quota governs")


def test_what_is_no_terminal_is_plain() -> None:
    """A file or a pipe has no width."""
    assert Terminal.of(io.StringIO(), {}) == PIPE


def test_a_long_sentence_is_wrapped_at_words() -> None:
    """Its following lines stand under the first."""
    wrapped = Terminal(30).sentence("one two three four five six seven", indent="  - ")
    assert wrapped.splitlines() == ["  - one two three four five", "    six seven"]
