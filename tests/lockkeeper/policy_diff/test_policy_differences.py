"""Fields of policies that differ are named by their paths, entries of lists by their names."""

from datetime import UTC, datetime

import pytest

from lockkeeper.policy_diff.differences import FieldChange
from lockkeeper.policy_diff.policy_differences import limit_changes, policy_changes
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    GroupSpec,
    QuotaLimits,
    WhenBusy,
    WindowSpec,
    WorkflowQuotaSpec,
)

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
NIGHT = WindowSpec("night", "0 20 * * *", "10h", QuotaLimits(9))
NOON = WindowSpec("noon", "0 12 * * *", "1h", QuotaLimits(1))


def snapshot(*windows: WindowSpec, workflows: int | None = 2, limit: str = "1") -> Snapshot:
    """Return the snapshot of a quota and a ConfigMap."""
    spec = WorkflowQuotaSpec(limits=QuotaLimits(workflows), windows=windows)
    documents = (
        WorkflowQuota(PolicyMetadata("q", "team"), spec),
        ConfigMap(PolicyMetadata("limits", "team"), {"gpu": limit}),
    )
    return take_snapshot(documents, version="", argo=DEFAULT_VERSION)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (snapshot(NIGHT), snapshot(NIGHT), []),
        (snapshot(NIGHT, NOON), snapshot(NOON, NIGHT), []),
        (snapshot(workflows=2), snapshot(workflows=3), [FieldChange("spec.limits.workflows", 2, 3)]),
        (snapshot(workflows=None), snapshot(), [FieldChange("spec.limits.workflows", None, 2)]),
        (
            snapshot(NIGHT, NOON),
            snapshot(NIGHT),
            [
                FieldChange("spec.windows[noon].name", "noon", None),
                FieldChange("spec.windows[noon].schedule", "0 12 * * *", None),
                FieldChange("spec.windows[noon].duration", "1h", None),
                FieldChange("spec.windows[noon].limits.workflows", 1, None),
            ],
        ),
        (snapshot(limit="1"), snapshot(limit="2"), [FieldChange("data.gpu", "1", "2")]),
    ],
)
def test_each_changed_field_is_named(before: Snapshot, after: Snapshot, expected: list[FieldChange]) -> None:
    """The order of named entries says nothing."""
    assert [field for each in policy_changes(before, after) for field in each.fields] == expected


def test_a_group_is_known_by_its_name() -> None:
    """What happens to its Workflows is one field of it, and its key another."""

    def with_groups(*groups: GroupSpec) -> Snapshot:
        quota = WorkflowQuota(PolicyMetadata("q", "team"), WorkflowQuotaSpec(groups=groups))
        return take_snapshot((quota,), version="", argo=DEFAULT_VERSION)

    user = GroupSpec("user", "{{user}}")
    before = with_groups(GroupSpec("branch", "{{workflow.labels.branch}}"), user)
    after = with_groups(user, GroupSpec("branch", "{{workflow.labels.ref}}", when_busy=WhenBusy.REFUSE))
    (change,) = policy_changes(before, after)
    assert change.fields == (
        FieldChange("spec.groups[branch].key", "{{workflow.labels.branch}}", "{{workflow.labels.ref}}"),
        FieldChange("spec.groups[branch].whenBusy", None, "Refuse"),
    )
    (limits,) = limit_changes(before, after, (), NOW)
    assert (limits.quota, limits.before, limits.after) == (
        "WorkflowQuota team/q group branch",
        "each key workflows=1, whenBusy Queue",
        "each key workflows=1, whenBusy Refuse",
    )
