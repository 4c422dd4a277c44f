"""A snapshot is compiled once for each namespace, and is the same in whatever order documents were read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import TemplateRef
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account, Root
from policy.core.quota.usage_view import NO_USAGE, UsageView
from policy.core.values.memo import MOST_KEPT
from tests.policy.core.builders import (
    NAMESPACE,
    cluster_lock_policy,
    config_map,
    definition,
    limits,
    lock_policy,
    namespace_object,
    pool,
    quota,
    snapshot,
    template_object,
    weight,
)

ETL: JsonObject = {"matchLabels": {"team": "etl"}}


def _sources(policies: Snapshot, namespace: str = NAMESPACE) -> list[str]:
    return [each.source for each in policies.policies(namespace).quotas]


def test_a_namespace_without_policies_is_not_governed() -> None:
    """Its Workflows pass through untouched; its ledger has a name all the same."""
    found = snapshot(quota(namespace="team-b")).policies(NAMESPACE)
    assert not found.governed
    assert (found.quotas, found.locks, found.root) == ((), None, Root.of_namespace("team-a"))


@pytest.mark.parametrize("document", [quota(), pool(), lock_policy(), cluster_lock_policy()])
def test_any_policy_for_a_namespace_governs_it(document: Document) -> None:
    """Quotas and locks alike, of the namespace and of the cluster."""
    assert snapshot(document).policies(NAMESPACE).governed


def test_a_quota_is_compiled_as_it_is_written() -> None:
    """Every field of the policy has its place, absent ones their defaults."""
    written = quota(
        selector=ETL,
        limits={"workflows": 10, "tasks": 200},
        perWorkflow={"defaultTasks": 20, "maxTasks": 50},
        perUser={"workflows": 3, "tasks": "Unlimited"},
        onExceed="Deny",
    )
    (full, plain) = snapshot(written, quota("plain")).policies(NAMESPACE).quotas
    assert full.source == "WorkflowQuota team-a/main"
    assert full.account == Account(NAMESPACE, "main")
    assert (full.elastic.base, full.per_user, full.bounds_users) == (limits(10, 200), limits(3), True)
    assert (full.default_tasks, full.max_tasks, full.on_exceed) == (20, 50, OnExceed.DENY)
    assert not full.selects_all
    assert (plain.elastic.base, plain.per_user, plain.bounds_users) == (limits(), limits(), False)
    assert (plain.default_tasks, plain.max_tasks, plain.on_exceed) == (None, None, OnExceed.QUEUE)
    assert plain.selects_all


def test_quotas_of_a_namespace_are_ordered_by_name_and_then_its_pool() -> None:
    """The order of reasons and accounts does not depend on who listed the policies."""
    assert _sources(snapshot(quota("b"), pool(), quota("a"))) == [
        "WorkflowQuota team-a/a",
        "WorkflowQuota team-a/b",
        "ClusterWorkflowQuota shared",
    ]


@given(st.permutations(["2026-01-02", "2026-01-01", "2026-01-03"]))
def test_the_oldest_pool_has_the_namespace(dates: list[str]) -> None:
    """A namespace belongs to one pool at most, and overlap is decided by age, not by order of listing."""
    pools = [pool(f"of-{date}", created=f"{date}T00:00:00Z") for date in dates]
    found = snapshot(*pools).policies(NAMESPACE)
    assert [each.account for each in found.quotas] == [Account("", "of-2026-01-01")]
    assert found.root == Root.of_pool("of-2026-01-01")


def test_pools_of_one_age_are_ordered_by_name() -> None:
    """Pools from files have no creation time."""
    assert _sources(snapshot(pool("b"), pool("a"))) == ["ClusterWorkflowQuota a"]


def test_a_pool_has_the_namespaces_that_its_selector_matches() -> None:
    """The first pool that matches, not the first pool."""
    policies = snapshot(
        pool("etl", created="2026-01-01T00:00:00Z", namespaceSelector=ETL),
        pool("rest", created="2026-01-02T00:00:00Z"),
        namespace_object("team-b", team="etl"),
    )
    assert _sources(policies, "team-b") == ["ClusterWorkflowQuota etl"]
    assert _sources(policies, "team-a") == ["ClusterWorkflowQuota rest"]


def test_accounts_of_a_pools_member_are_in_the_pools_ledger() -> None:
    """One write has to decide about all accounts of a Workflow (rule 9)."""
    found = snapshot(quota(), pool()).policies(NAMESPACE)
    assert found.root == Root.of_pool("shared")
    assert [each.account for each in found.quotas] == [Account(NAMESPACE, "main"), Account("", "shared")]


def test_namespace_defaults_hold_for_members_without_a_quota_of_their_own() -> None:
    """They count each namespace by itself, beside the pool's total, unless its own bound as much."""
    shared = pool(namespaceDefaults={"limits": {"workflows": 2}, "onExceed": "Deny"})
    policies = snapshot(shared, quota(namespace="team-b", limits={"workflows": 9}))
    (defaults, total) = policies.policies(NAMESPACE).quotas
    assert defaults.source == "ClusterWorkflowQuota shared (namespaceDefaults)"
    assert defaults.account == Account(NAMESPACE, "shared.defaults")
    assert (defaults.elastic.base, defaults.on_exceed) == (limits(2), OnExceed.DENY)
    assert total.account == Account("", "shared")
    assert _sources(policies, "team-b") == ["WorkflowQuota team-b/main", "ClusterWorkflowQuota shared"]


def test_a_namespace_that_was_never_seen_has_only_its_name_as_label() -> None:
    """Kubernetes labels every namespace with its name, so a selector by name works at once."""
    by_name: JsonObject = {"matchLabels": {"kubernetes.io/metadata.name": "team-x"}}
    policies = snapshot(pool("by-name", namespaceSelector=by_name), pool("etl", namespaceSelector=ETL))
    assert policies.labels_of("team-x") == {"kubernetes.io/metadata.name": "team-x"}
    assert _sources(policies, "team-x") == ["ClusterWorkflowQuota by-name"]
    assert _sources(policies, "team-y") == []


def test_a_namespace_cannot_forge_the_label_of_its_name() -> None:
    """The name label is always the name."""
    forged = namespace_object("team-b")
    forged.metadata.labels["kubernetes.io/metadata.name"] = NAMESPACE
    assert snapshot(forged).labels_of("team-b") == {"kubernetes.io/metadata.name": "team-b"}


def test_templates_are_found_by_scope_namespace_and_name() -> None:
    """A WorkflowTemplate without a namespace is in `default`, as kubectl would apply it."""
    policies = snapshot(
        template_object("one", {"parallelism": 1}),
        template_object("one", {"parallelism": 2}, namespace="team-b"),
        template_object("one", {"parallelism": 3}, namespace=None),
        template_object("one", {"parallelism": 4}, kind="ClusterWorkflowTemplate", namespace=None),
    )

    def parallelism(namespace: str, ref: TemplateRef) -> int | None:
        found = policies.template(namespace, ref)
        return found.parallelism if found is not None else None

    assert parallelism(NAMESPACE, TemplateRef("one")) == 1
    assert parallelism("team-b", TemplateRef("one", cluster_scope=False)) == 2
    assert parallelism("default", TemplateRef("one")) == 3
    assert parallelism("team-b", TemplateRef("one", cluster_scope=True)) == 4
    assert parallelism(NAMESPACE, TemplateRef("two")) is None
    assert parallelism(NAMESPACE, TemplateRef()) is None


def test_config_maps_give_the_limits_of_their_namespace() -> None:
    """The later of two documents of one name is the one that counts, as with `kubectl apply`."""
    policies = snapshot(lock_policy(), config_map(db="1"), config_map(db="2"))
    locks = policies.policies(NAMESPACE).locks
    assert locks is not None
    assert locks.definitions.limit(NAMESPACE, "limits", "db") == "2"


def test_a_namespace_is_compiled_once() -> None:
    """Reviews after the first one only look things up."""
    policies = snapshot(quota())
    assert policies.policies(NAMESPACE) is policies.policies(NAMESPACE)


def test_invented_namespaces_do_not_fill_the_memory() -> None:
    """However many names are reviewed, a bounded number is stored, and the answers stay right."""
    policies = snapshot(quota())
    for number in range(MOST_KEPT + 5):
        policies.policies(f"made-up-{number}")
    assert 0 < len(policies.compiled.namespaces) <= MOST_KEPT
    assert _sources(policies) == ["WorkflowQuota team-a/main"]


def test_a_new_view_of_usage_shares_what_was_compiled() -> None:
    """Usage changes all the time, policies do not; the old snapshot keeps its own view."""
    policies = snapshot(quota())
    view = UsageView(used={Account(NAMESPACE, "main"): weight()})
    later = policies.with_usage(view)
    assert later.usage == view
    assert policies.usage == NO_USAGE
    assert later.policies(NAMESPACE) is policies.policies(NAMESPACE)


_documents: list[Document] = [
    quota("a"),
    quota("b", namespace="team-b"),
    pool("p", created="2026-01-01T00:00:00Z", namespaceSelector=ETL),
    pool("q", created="2026-01-01T00:00:00Z"),
    lock_policy("l", semaphores=[definition("db")]),
    cluster_lock_policy("c"),
    namespace_object("team-b", team="etl"),
]


@given(st.permutations(_documents))
def test_the_order_of_documents_does_not_matter(mixed: list[Document]) -> None:
    """Files are read in the order of names, and watches in the order of changes; both mean the same."""
    for namespace in ("team-a", "team-b", "team-c"):
        wanted = snapshot(*_documents).policies(namespace)
        found = snapshot(*mixed).policies(namespace)
        assert (found.root, found.quotas) == (wanted.root, wanted.quotas)
        assert (found.locks is None) == (wanted.locks is None)
        if found.locks is not None and wanted.locks is not None:
            assert found.locks.policies == wanted.locks.policies
            assert found.locks.rules == wanted.locks.rules
