"""Policies with a suggestion written into them, as YAML that is read again."""

from pathlib import Path

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.suggesting.strategies.settings import Setting, limit_settings, share_settings
from lockkeeper.suggesting.suggested_policies import suggested_policies
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import QuotaLimits, ShareSpec, WindowSpec

LIST = """
apiVersion: v1
kind: List
items:
- apiVersion: lockkeeper.dev/v1alpha1
  kind: WorkflowQuota
  metadata: {name: main}   # It is in the namespace of -n.
  spec: {limits: {workflows: 1}, perUser: {workflows: 1}}
- {apiVersion: v1, kind: Namespace, metadata: {name: team-a, labels: {pool: data}}}
"""
POOL = """
{"apiVersion": "lockkeeper.dev/v1alpha1", "kind": "ClusterWorkflowQuota", "metadata": {"name": "data"},
 "spec": {"namespaceSelector": {"matchLabels": {"pool": "data"}}, "limits": {"workflows": 4},
          "borrowing": {"enabled": true}, "namespaceDefaults": {"limits": {"workflows": 2}}}}
"""
VALUES = "replicas: 2\n"
MAIN = ("WorkflowQuota", "team-a", "main")
DATA = ("ClusterWorkflowQuota", "", "data")
BUSY = WindowSpec("busy-hours", "0 2 * * *", "4h", QuotaLimits(), "Europe/Berlin")


def folder(path: Path) -> Path:
    """Write policies in three files: a list, JSON, and one that is no object."""
    path.mkdir()
    path.joinpath("list.yaml").write_text(LIST)
    path.joinpath("pool.json").write_text(POOL)
    path.joinpath("values.yaml").write_text(VALUES)
    return path


def reread(tmp_path: Path, *changes: tuple[Setting, int], window: WindowSpec | None = None) -> Snapshot:
    """Return the policies that are printed, as they are read again without a namespace."""
    text = suggested_policies(
        folder(tmp_path / "policies"), changes, window, namespace="team-a", words=["In words."]
    )
    assert text.startswith("# In words.\n")
    proposal = tmp_path / "proposal.yaml"
    proposal.write_text(text)
    return load_once(proposal, DEFAULT_VERSION)


def test_other_numbers_are_in_their_places_and_all_else_is_as_it_was(tmp_path: Path) -> None:
    """In a list, of a policy that names no namespace, and in JSON."""
    found = reread(
        tmp_path,
        (Setting(*MAIN, ("limits", "workflows")), 3),
        (Setting(*DATA, ("namespaceDefaults", "limits", "workflows")), 5),
    )
    (main,) = found.quotas["team-a"]
    assert main.spec.limits == QuotaLimits(workflows=3)
    assert main.spec.per_user == QuotaLimits(workflows=1)
    (pool,) = found.pools
    assert pool.spec.limits == QuotaLimits(workflows=4)
    assert pool.spec.namespace_defaults is not None
    assert pool.spec.namespace_defaults.limits == QuotaLimits(workflows=5)
    assert found.namespace_labels["team-a"]["pool"] == "data"


def test_a_share_that_a_pool_gives_by_default_is_named(tmp_path: Path) -> None:
    """The other members keep the default."""
    found = reread(tmp_path, (Setting(*DATA, ("borrowing", "shares", "team-a", "workflows")), 3))
    (pool,) = found.pools
    assert pool.spec.borrowing is not None
    assert pool.spec.borrowing.shares == {"team-a": ShareSpec(workflows=3)}
    assert pool.spec.borrowing.enabled


def test_a_new_window_has_only_what_it_changes(tmp_path: Path) -> None:
    """Its schedule and length are those that were tried."""
    limit = Setting(*MAIN, ("windows", "busy-hours", "limits", "workflows"))
    found = reread(tmp_path, (limit, 4), window=BUSY)
    (main,) = found.quotas["team-a"]
    (window,) = main.spec.windows
    assert (window.schedule, window.duration, window.time_zone) == ("0 2 * * *", "4h", "Europe/Berlin")
    assert window.limits == QuotaLimits(workflows=4)
    assert limit in limit_settings(found, ["team-a"])


def test_what_is_printed_for_no_change_is_the_same_set(tmp_path: Path) -> None:
    """Where the waits are met at present."""
    found = reread(tmp_path)
    assert share_settings(found, ["team-a"]) == {
        Setting(*DATA, ("borrowing", "shares", "team-a", "workflows")): 2,
        Setting(*MAIN, ("limits", "workflows")): 1,
    }
