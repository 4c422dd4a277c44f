"""Semaphores of policies are written into ConfigMaps by the leader, and kept as they should be."""

from collections.abc import Mapping
from datetime import timedelta
from random import Random
from threading import Event, Thread

import msgspec
import pytest

from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CONFIG_MAPS, Listing, MergePatch, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.conflicts import Finding, FindingKind, PolicyName
from policy.core.policies.semaphore_config_maps import LABEL
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.kinds import ConfigMap
from policy.service.locks.config_map_writer import FIRST_DELAY, KEPT_WAIT, LONGEST_WAIT, ConfigMapWriter
from tests.policy.cluster.conftest import field, text
from tests.policy.core.builders import cluster_lock_policy, lock_policy, namespace_object, snapshot
from tests.policy.service.world import PATIENCE, Clock

OWNED = (
    'argocd owns key db of ConfigMap limits and gives it "7" in place of "2", and that counts in namespace '
    "team-a: remove the key there, or the definition here"
)
NIGHT: JsonObject = {"name": "night", "schedule": "0 20 * * *", "duration": "10h", "limit": 9}


class RefusingCluster(MemoryCluster):
    """A cluster that refuses to apply some ConfigMaps, and counts how often one is looked at."""

    refused = ""
    reason = ""
    looks = 0

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        self.looks += bool(name)
        return super().list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )

    def apply(
        self, resource: Resource, obj: JsonObject, *, field_manager: str, force: bool = False
    ) -> JsonObject:
        if text(obj, "metadata", "name") == self.refused:
            raise Forbidden(self.reason or f'configmaps "{self.refused}" is forbidden')
        return super().apply(resource, obj, field_manager=field_manager, force=force)


class Term:
    """The writer of ConfigMaps of one leader, over policies that the test sets and a watch that it plays."""

    def __init__(self, cluster: RefusingCluster, clock: Clock) -> None:
        self.cluster = cluster
        self.clock = clock
        self.documents: tuple[Document, ...] = ()
        self.used: set[str] = set()
        self.seconds = 100.0
        self.troubles: list[str] = []
        self.findings: Mapping[PolicyName, tuple[Finding, ...]] = {}
        self.passed = Event()
        self.config_map_writer = ConfigMapWriter(
            cluster=cluster,
            snapshot=self.snapshot,
            in_use=lambda lock: lock in self.used,
            clock=clock,
            stopwatch=lambda: self.seconds,
            trouble=self._note,
            found=self._take,
            pause=0.0,
        )

    def snapshot(self) -> Snapshot:
        """Return what the watches show now."""
        present = [msgspec.convert(item, ConfigMap) for item in self.cluster.list(CONFIG_MAPS).items]
        return snapshot(*self.documents, *present)

    def passes(self, *documents: Document, seconds: float = 0.0) -> float:
        """Put policies in force, let time pass, and make a pass."""
        self.documents = documents or self.documents
        self.seconds += seconds
        return self.config_map_writer.run_pass()

    def said(self) -> dict[str, list[tuple[str, str]]]:
        """Return the findings: kind and message."""
        return {
            str(name): [(each.kind, str(each)) for each in found] for name, found in self.findings.items()
        }

    def _note(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")

    def _take(self, findings: Mapping[PolicyName, tuple[Finding, ...]]) -> None:
        self.findings = findings
        self.passed.set()


@pytest.fixture
def term(clock: Clock) -> Term:
    """Return a writer that has done nothing yet."""
    return Term(RefusingCluster(clock=clock, rng=Random(3)), clock)


def defined(key: str, limit: int, config_map: str = "limits", **more: JsonValue) -> JsonObject:
    """Return a definition."""
    return {"configMap": config_map, "key": key, "limit": limit, **more}


def data(term: Term, name: str = "limits", namespace: str = "team-a") -> JsonValue:
    """Return the data of a ConfigMap."""
    return field(term.cluster.get(CONFIG_MAPS, name, namespace=namespace), "data")


def edit(term: Term, **values: JsonValue) -> None:
    """Change keys by hand."""
    term.cluster.patch(CONFIG_MAPS, "limits", MergePatch({"data": values}), namespace="team-a")


def test_a_foreign_value_that_is_no_number_is_not_shown(term: Term) -> None:
    """Conditions are for all readers of policies; the data of a ConfigMap may not be."""
    foreign: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": "team-a"},
        "data": {"db": "hunter2"},
    }
    term.cluster.apply(CONFIG_MAPS, foreign, field_manager="argocd")
    term.passes(lock_policy("p", semaphores=[defined("db", 2)]))
    ((_, message),) = next(iter(term.said().values()))
    assert 'gives it a value that is no number in place of "2"' in message
    assert "hunter2" not in message


def test_definitions_are_written_and_edits_follow(term: Term) -> None:
    """An edit of a policy is an edit of the key; what else is in the ConfigMap stays."""
    limits: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": "team-a"},
        "data": {"foreign": "x"},
    }
    term.cluster.create(CONFIG_MAPS, limits)
    term.passes(lock_policy(semaphores=[defined("db", 2), defined("gpu", 1, "other")]))
    assert data(term) == {"foreign": "x", "db": "2"}
    assert data(term, "other") == {"gpu": "1"}
    term.passes(lock_policy(semaphores=[defined("db", 5), defined("gpu", 1, "other")]))
    assert data(term) == {"foreign": "x", "db": "5"}
    assert term.troubles == []


def test_a_policy_of_the_cluster_is_written_into_every_namespace_that_it_selects(term: Term) -> None:
    """Also into those that come later; a namespace's own definition counts before it."""
    everywhere = cluster_lock_policy(
        namespaceSelector={"matchLabels": {"team": "yes"}}, semaphores=[defined("db", 2)]
    )
    own = lock_policy(semaphores=[defined("db", 7)])
    spaces = [
        namespace_object(name, team=team)
        for name, team in (("team-a", "yes"), ("team-b", "yes"), ("x", "no"))
    ]
    term.passes(everywhere, own, *spaces)
    found = {
        text(item, "metadata", "namespace"): field(item, "data")
        for item in term.cluster.list(CONFIG_MAPS).items
    }
    assert found == {"team-a": {"db": "7"}, "team-b": {"db": "2"}}
    term.passes(everywhere, own, *spaces, namespace_object("team-c", team="yes"))
    assert data(term, namespace="team-c") == {"db": "2"}


def test_a_pass_over_what_is_right_reads_and_writes_nothing(term: Term) -> None:
    """Policies and ConfigMaps change all the time somewhere."""
    term.passes(lock_policy(semaphores=[defined("db", 2)]))
    term.passes()
    version = term.cluster.list(CONFIG_MAPS).resource_version
    looks = term.cluster.looks
    assert term.passes() == LONGEST_WAIT
    assert term.cluster.looks == looks
    assert term.cluster.list(CONFIG_MAPS).resource_version == version


def test_a_window_changes_the_key_when_it_opens_and_closes(term: Term) -> None:
    """The pass says when the next one is due."""
    policy = lock_policy(semaphores=[defined("db", 2, windows=[NIGHT])])
    assert term.passes(policy) == LONGEST_WAIT
    term.clock.advance(timedelta(hours=7, minutes=59, seconds=30))
    assert term.passes() == 30.0
    assert data(term) == {"db": "2"}
    term.clock.advance(timedelta(seconds=30))
    term.passes()
    assert data(term) == {"db": "9"}
    term.clock.advance(timedelta(hours=10))
    term.passes()
    assert data(term) == {"db": "2"}


def test_what_is_lost_is_written_again(term: Term) -> None:
    """A key that was removed, and a ConfigMap that was deleted."""
    policy = lock_policy(semaphores=[defined("db", 2), defined("gpu", 1)])
    term.passes(policy)
    edit(term, db=None)
    term.passes()
    assert data(term) == {"db": "2", "gpu": "1"}
    term.cluster.delete(CONFIG_MAPS, "limits", namespace="team-a")
    term.passes()
    assert data(term) == {"db": "2", "gpu": "1"}


def test_the_key_of_another_owner_is_a_finding_and_is_not_forced(term: Term) -> None:
    """The other keys are written all the same; once the key is given up ours is written."""
    owned: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": "team-a"},
        "data": {"db": "7"},
    }
    term.cluster.apply(CONFIG_MAPS, owned, field_manager="argocd")
    term.passes(lock_policy(semaphores=[defined("gpu", 1), defined("db", 2)]))
    assert data(term) == {"db": "7", "gpu": "1"}
    assert term.said() == {
        "SynchronizationPolicy team-a/locks": [
            (
                FindingKind.OWNED_ELSEWHERE,
                f"spec.semaphores[1]: {OWNED}",
            )
        ]
    }
    term.cluster.apply(CONFIG_MAPS, {**owned, "data": {}}, field_manager="argocd")
    term.passes()
    assert data(term) == {"db": "2", "gpu": "1"}
    assert term.said() == {}
    assert term.troubles == []


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (lock_policy(semaphores=[defined("db", 2)]), "a value that is no number"),
        (cluster_lock_policy(semaphores=[defined("db", 2)]), "another value"),
    ],
)
def test_the_value_of_another_owner_is_shown_only_where_it_is_a_number_of_the_own_namespace(
    policy: Document, told: str, term: Term
) -> None:
    """A policy may define any key, and its status is there to read for users that may read no ConfigMap."""
    owned: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": "team-a"},
        "data": {"db": "hunter2"},
    }
    term.cluster.apply(CONFIG_MAPS, owned, field_manager="argocd")
    term.passes(policy, namespace_object("team-a"))
    ((found,),) = term.said().values()
    assert f'gives it {told} in place of "2"' in found[1]
    assert "hunter2" not in found[1]


def test_an_edit_by_hand_counts_until_it_is_taken_back(term: Term) -> None:
    """An edit in an emergency stays; the policy shows that its own value does not count."""
    term.passes(lock_policy(semaphores=[defined("db", 2)]))
    edit(term, db="50")
    term.passes()
    assert data(term) == {"db": "50"}
    assert 'gives it "50" in place of "2"' in term.said()["SynchronizationPolicy team-a/locks"][0][1]
    edit(term, db="2")
    term.passes()
    assert term.said() == {}


def test_a_config_map_that_may_not_be_written_is_a_finding_and_tried_again(term: Term) -> None:
    """It delays no other, and the message gives what to set."""
    term.cluster.refused = "secret"
    wait = term.passes(lock_policy(semaphores=[defined("db", 2, "secret"), defined("gpu", 1, "zz")]))
    assert wait == FIRST_DELAY
    assert data(term, "zz") == {"gpu": "1"}
    ((kind, message),) = term.said()["SynchronizationPolicy team-a/locks"]
    assert kind == FindingKind.NOT_WRITTEN
    assert message == (
        'spec.semaphores[0]: ConfigMap secret of namespace team-a cannot be written: configmaps "secret" is '
        "forbidden; the chart's values semaphores.configMaps say which ConfigMaps may be"
    )
    assert len(term.troubles) == 1
    assert term.passes(seconds=0.5) == 0.5
    assert len(term.troubles) == 1
    term.cluster.refused = ""
    term.passes(seconds=0.5)
    assert data(term, "secret") == {"db": "2"}
    assert term.said() == {}


def test_a_namespace_that_is_being_deleted_is_no_fault_of_the_policy(term: Term) -> None:
    """Nothing is reported, and nothing is left to do when it is deleted."""
    term.cluster.refused = "limits"
    term.cluster.reason = "unable to create new content in namespace team-a because it is being terminated"
    term.passes(lock_policy(semaphores=[defined("db", 2)]))
    assert (term.said(), term.troubles) == ({}, [])
    assert term.passes(namespace_object("team-b")) == LONGEST_WAIT


def test_a_key_keeps_its_last_value_while_its_lock_is_used_after_the_policy_was_deleted(term: Term) -> None:
    """Also where the next leader never knew the policy."""
    term.passes(lock_policy(semaphores=[defined("db", 2), defined("gpu", 1)]))
    term.used = {"team-a/ConfigMap/limits/db"}
    gone = namespace_object("team-a")
    assert term.passes(gone) == KEPT_WAIT
    assert data(term) == {"db": "2"}
    following = Term(term.cluster, term.clock)
    following.used = term.used
    assert following.passes(gone) == KEPT_WAIT
    assert data(following) == {"db": "2"}
    following.used = set()
    following.passes(seconds=KEPT_WAIT)
    stored = following.cluster.get(CONFIG_MAPS, "limits", namespace="team-a")
    assert not field(stored, "data")
    assert not field(stored, "metadata", "labels", LABEL)
    assert Term(term.cluster, term.clock).passes(gone) == LONGEST_WAIT


def test_it_runs_until_it_is_stopped_and_is_woken_by_changes(term: Term) -> None:
    """As a duty of the leader."""
    term.documents = (lock_policy(semaphores=[defined("db", 2)]),)
    thread = Thread(target=term.config_map_writer.run, daemon=True)
    thread.start()
    assert term.passed.wait(PATIENCE)
    assert data(term) == {"db": "2"}
    term.documents = (lock_policy(semaphores=[defined("db", 3)]),)
    term.passed.clear()
    term.config_map_writer.wake()
    assert term.passed.wait(PATIENCE)
    assert data(term) == {"db": "3"}
    term.config_map_writer.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
