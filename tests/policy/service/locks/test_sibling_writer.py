"""The leader creates the siblings of templates that policies need, and deletes unused ones."""

from collections.abc import Mapping
from random import Random
from threading import Event, Thread
from typing import Final

import msgspec
import pytest

from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_TEMPLATES,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    MergePatch,
    Resource,
)
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.read_extent import WHOLE, Extent
from policy.core.objects.workflow import TemplateObject
from policy.core.policies.conflicts import Finding, FindingKind, PolicyName
from policy.core.policies.snapshot import Document, Snapshot
from policy.service.locks.config_map_writer import TERMINATING
from policy.service.locks.sibling_writer import (
    FIRST_DELAY,
    KEPT,
    LONGEST_WAIT,
    SEEN_WITHIN,
    SiblingWriter,
)
from policy.sources.last_good_objects import LastGoodObjects
from policy.sources.namespace_bounds import Scope
from policy.sources.related_objects import PartialObject, template_reducer
from tests.policy.cluster.conftest import field, text
from tests.policy.core.builders import at, cluster_lock_policy, lock_policy, namespace_object, rule, snapshot
from tests.policy.service.world import PATIENCE, Clock

MUTEX: Final = rule("r", {"mutex": "db"})
POLICY: Final = lock_policy(match={"referenced": "Sibling"}, inject=[MUTEX])
WARNING: Final = lock_policy(inject=[MUTEX])
ELSEWHERE: Final = lock_policy("elsewhere", namespace="team-z", inject=[MUTEX])
LOCKS: Final = PolicyName("SynchronizationPolicy", "team-a", "locks")


class RefusingCluster(MemoryCluster):
    """A cluster that refuses to create some templates, or changes what is created."""

    refused = ""
    reason = "workflowtemplates is forbidden"
    changed: JsonObject | None = None
    writes = 0

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        self.writes += 1
        if self.refused and text(obj, "metadata", "name").startswith(self.refused):
            raise Forbidden(self.reason)
        if well_known.SIBLING in str(obj) and self.changed is not None:
            obj = {**obj, **self.changed}
        return super().create(resource, obj, namespace=namespace, dry_run=dry_run)


class Term:
    """One leader's work, over policies that the test sets and templates as the watch shows them."""

    def __init__(self, cluster: RefusingCluster) -> None:
        self.cluster = cluster
        self.documents: tuple[Document, ...] = (POLICY,)
        self.extent = WHOLE
        self.seconds = 100.0
        self.troubles: list[str] = []
        self.findings: Mapping[PolicyName, tuple[Finding, ...]] = {}
        self.passed = Event()
        self.shown: tuple[TemplateObject, ...] = ()
        self.siblings = SiblingWriter(
            cluster=cluster,
            snapshot=self.snapshot,
            stopwatch=lambda: self.seconds,
            trouble=self._note,
            found=self._take,
            pause=0.0,
        )

    def show(self) -> None:
        """Let the watch show what is in the cluster, as the sources store it."""
        found: list[TemplateObject] = []
        for resource in WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES:
            objects = LastGoodObjects(resource=resource)
            objects.reset(self.cluster.list(resource).items)
            found += [each for each in objects.documents.values() if isinstance(each, TemplateObject)]
        self.shown = tuple(found)

    def snapshot(self) -> Snapshot:
        """Return the policies and what the watch has shown."""
        reads = self.extent.reads_templates
        shown = [each for each in self.shown if reads(each.metadata.namespace or "")]
        return msgspec.structs.replace(snapshot(*self.documents, *shown), extent=self.extent)

    def passes(self, *documents: Document, seconds: float = 0.0) -> float:
        """Put policies in force, let time pass and the watch show everything, and make a pass."""
        self.documents = documents or self.documents
        self.seconds += seconds
        self.show()
        return self.siblings.run_pass()

    def names(self, namespace: str = "team-a") -> list[str]:
        """Return the siblings in a namespace."""
        found = self.cluster.list(WORKFLOW_TEMPLATES, namespace=namespace, labels=well_known.SIBLING).items
        return [text(each, "metadata", "name") for each in found]

    def said(self) -> list[str]:
        """Return what there is to say about the policy."""
        return [str(each) for each in self.findings.get(LOCKS, ())]

    def _note(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")

    def _take(self, findings: Mapping[PolicyName, tuple[Finding, ...]]) -> None:
        self.findings = findings
        self.passed.set()


@pytest.fixture
def term(clock: Clock) -> Term:
    """Return the work of a term with a template that lacks a lock."""
    made = Term(RefusingCluster(clock=clock, rng=Random(3)))
    made.cluster.create(WORKFLOW_TEMPLATES, template("base"))
    return made


def template(name: str, image: str = "a", **metadata: JsonValue) -> JsonObject:
    """Return a template."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name, "namespace": "team-a", **metadata},
        "spec": {"entrypoint": "load", "templates": [{"name": "load", "container": {"image": image}}]},
    }


def edit(term: Term, name: str, image: str) -> None:
    """Change a template by hand."""
    spec = template(name, image)["spec"]
    term.cluster.patch(WORKFLOW_TEMPLATES, name, MergePatch({"spec": spec}), namespace="team-a")


def uses(term: Term, sibling: str, **labels: JsonValue) -> None:
    """Create a Workflow that names a sibling."""
    mark = sibling.rpartition("-")[2]
    obj: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "generateName": "w-",
            "namespace": "team-a",
            "labels": {well_known.SIBLING: mark, **labels},
        },
        "spec": {"workflowTemplateRef": {"name": sibling}},
    }
    term.cluster.create(WORKFLOWS, obj)


def test_a_sibling_is_created_with_the_locks_and_deleted_with_its_origin(term: Term) -> None:
    """Kubernetes removes what belongs to something that is gone."""
    term.passes()
    (name,) = term.names()
    made = term.cluster.get(WORKFLOW_TEMPLATES, name, namespace="team-a")
    assert at(made, "spec", "templates", 0, "synchronization") == {"mutexes": [{"name": "db"}]}
    assert (term.troubles, term.said()) == ([], [])
    term.cluster.delete(WORKFLOW_TEMPLATES, "base", namespace="team-a")
    assert term.names() == []


def test_a_pass_over_what_is_right_writes_nothing(term: Term) -> None:
    """Neither before the watch has shown what was made nor afterwards: its output is none of its input."""
    term.passes()
    writes = term.cluster.writes
    assert term.siblings.run_pass() <= SEEN_WITHIN
    assert term.passes() == LONGEST_WAIT
    assert term.passes(seconds=SEEN_WITHIN) == LONGEST_WAIT
    assert term.cluster.writes == writes


def test_an_edit_of_a_template_makes_another_sibling_and_the_old_one_is_deleted_when_unused(
    term: Term,
) -> None:
    """Not at once: a webhook may not have seen the edit. A completed Workflow does not count."""
    term.passes()
    (old,) = term.names()
    uses(term, old)
    uses(term, old, **{well_known.COMPLETED: "true"})
    edit(term, "base", "b")
    term.passes()
    (new,) = set(term.names()) - {old}
    term.passes(seconds=KEPT)
    term.passes(seconds=KEPT)
    assert set(term.names()) == {old, new}
    (live,) = term.cluster.list(WORKFLOWS, labels=f"{well_known.COMPLETED}!=true").items
    term.cluster.delete(WORKFLOWS, text(live, "metadata", "name"), namespace="team-a")
    term.passes(seconds=KEPT - 1)
    assert set(term.names()) == {old, new}
    term.passes(seconds=1)
    assert term.names() == [new]
    assert term.passes() == LONGEST_WAIT


def test_a_policy_that_is_deleted_for_a_while_creates_nothing_again(term: Term) -> None:
    """What is wanted again before its time stays, and then has its whole time again."""
    term.passes()
    names = term.names()
    term.passes(WARNING, seconds=KEPT)
    term.passes(POLICY, seconds=KEPT - 1)
    term.passes(WARNING)
    term.passes(WARNING, seconds=KEPT - 1)
    assert term.names() == names
    term.passes(WARNING, seconds=1)
    assert term.names() == []


def test_siblings_of_a_namespace_that_no_policy_speaks_about_any_more_go(term: Term) -> None:
    """Its templates are not read then; what this leader made there is remembered all the same."""
    term.passes()
    assert len(term.names()) == 1
    term.extent = Extent(templates=frozenset())
    term.passes(ELSEWHERE)
    term.passes(ELSEWHERE, seconds=KEPT - 1)
    assert len(term.names()) == 1
    term.passes(ELSEWHERE, seconds=1)
    assert term.names() == []
    assert term.passes(ELSEWHERE) == LONGEST_WAIT


def test_a_new_leader_finds_siblings_where_no_policy_speaks_any_more(term: Term) -> None:
    """It asks for them once, by their label."""
    term.passes()
    after = Term(term.cluster)
    after.extent = Extent(templates=frozenset())
    after.passes(ELSEWHERE)
    assert len(after.names()) == 1
    after.passes(ELSEWHERE, seconds=KEPT)
    assert after.names() == []


def test_what_cannot_be_created_is_reported_with_the_right_that_is_missing(term: Term) -> None:
    """It is tried again, later each time; the others are made meanwhile."""
    term.cluster.create(WORKFLOW_TEMPLATES, template("good"))
    term.cluster.refused = "base"
    assert term.passes() == FIRST_DELAY
    assert [name.partition("-")[0] for name in term.names()] == ["good"]
    (said,) = term.said()
    assert said == (
        "spec.match.referenced: the sibling of WorkflowTemplate base in namespace team-a cannot be made: "
        "workflowtemplates is forbidden; the chart's value siblings.enabled gives the right to make it"
    )
    assert {each.kind for each in term.findings[LOCKS]} == {FindingKind.NOT_WRITTEN}
    assert term.passes(seconds=FIRST_DELAY) == 2 * FIRST_DELAY
    assert len(term.troubles) == 2
    term.cluster.refused = ""
    term.passes()
    assert len(term.names()) == 1
    term.passes(seconds=2 * FIRST_DELAY)
    assert len(term.names()) == 2
    assert term.said() == []


def test_a_namespace_that_is_being_deleted_is_no_fault(term: Term) -> None:
    """It is tried again, in silence."""
    term.cluster.refused, term.cluster.reason = "base", f"forbidden {TERMINATING}"
    assert term.passes() == FIRST_DELAY
    assert (term.troubles, term.said()) == ([], [])


def test_what_the_watch_has_not_shown_yet_is_no_trouble(term: Term) -> None:
    """Another leader made it a moment ago; an unwanted one is gone already."""
    term.passes()
    other = Term(term.cluster)
    other.siblings.run_pass()
    other.shown = term.shown
    other.siblings.run_pass()
    term.passes(WARNING)
    for name in term.names():
        term.cluster.delete(WORKFLOW_TEMPLATES, name, namespace="team-a")
    term.seconds += KEPT
    term.siblings.run_pass()
    assert (term.troubles, other.troubles) == ([], [])


def test_a_sibling_that_was_edited_is_replaced_and_reported(term: Term) -> None:
    """It is never edited: a Workflow may use it meanwhile."""
    term.passes()
    (name,) = term.names()
    term.passes()
    edit(term, name, "evil")
    before = term.cluster.get(WORKFLOW_TEMPLATES, name, namespace="team-a")
    term.passes()
    after = term.cluster.get(WORKFLOW_TEMPLATES, name, namespace="team-a")
    assert at(after, "spec", "templates", 0, "synchronization") is not None
    assert field(after, "metadata", "uid") != field(before, "metadata", "uid")
    (said,) = term.said()
    assert "was changed, and is written again" in said
    term.passes()
    assert term.said() == []


def test_a_webhook_that_changes_every_sibling_gets_ever_longer_to_be_fixed(term: Term) -> None:
    """Or it would be made and deleted once a second."""
    term.cluster.changed = {"spec": {"entrypoint": "other"}}
    term.passes()
    for _ in range(20):
        term.passes(seconds=30)
    assert term.cluster.writes < 15
    assert len(term.said()) == 1


def test_a_template_of_another_writer_under_the_name_is_left_alone_and_reported(term: Term) -> None:
    """It has no label of ours, so it is not ours to delete."""
    term.passes()
    (name,) = term.names()
    term.cluster.delete(WORKFLOW_TEMPLATES, name, namespace="team-a")
    term.cluster.create(WORKFLOW_TEMPLATES, template(name))
    term.passes(seconds=SEEN_WITHIN)
    assert term.names() != []  # That of the other one: it lacks locks as well.
    (said,) = term.said()
    assert said.endswith(f"WorkflowTemplate {name} belongs to another owner: delete it")


def test_one_that_is_lost_is_made_again(term: Term) -> None:
    """A user that deletes it by hand stops Workflows for a short time."""
    term.passes()
    (name,) = term.names()
    term.cluster.delete(WORKFLOW_TEMPLATES, name, namespace="team-a")
    term.passes(seconds=SEEN_WITHIN)
    assert term.names() == [name]


def test_a_template_of_the_cluster_gets_one_in_each_governed_namespace(term: Term) -> None:
    """Also in those that come later."""
    everywhere = cluster_lock_policy(
        namespaceSelector={"matchLabels": {"team": "yes"}}, match={"referenced": "Sibling"}, inject=[MUTEX]
    )
    obj: JsonObject = {
        **template("shared"),
        "kind": "ClusterWorkflowTemplate",
        "metadata": {"name": "shared"},
    }
    term.cluster.create(CLUSTER_WORKFLOW_TEMPLATES, obj)
    spaces = [namespace_object(name, team="yes") for name in ("team-b", "team-c")]
    term.passes(everywhere, namespace_object("team-a"), *spaces[:1])
    assert (len(term.names("team-b")), term.names("team-a"), term.names("team-c")) == (1, [], [])
    term.passes(everywhere, *spaces)
    assert len(term.names("team-c")) == 1


def test_a_next_leader_takes_over_what_is_there(term: Term) -> None:
    """It creates nothing again, and gives what is unwanted its whole time."""
    term.passes()
    term.passes(WARNING, seconds=KEPT)
    names = term.names()
    after = Term(term.cluster)
    after.passes(WARNING, seconds=KEPT)
    assert after.names() == names
    after.passes(seconds=KEPT)
    assert after.names() == []


def test_it_works_until_it_is_stopped_and_wakes_at_a_change(term: Term) -> None:
    """The loop itself, on a thread."""
    term.show()
    thread = Thread(target=term.siblings.run)
    thread.start()
    assert term.passed.wait(PATIENCE)
    term.passed.clear()
    term.siblings.wake()
    assert term.passed.wait(PATIENCE)
    term.siblings.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert len(term.names()) == 1


def test_of_the_metadata_of_a_template_its_identity_is_stored() -> None:
    """Its uid and the marks of siblings; other metadata would make every edit of a label a change."""
    labels: JsonValue = {well_known.SIBLING: "lk0123456789", "other": "x"}
    obj = template("base", uid="u1", labels=labels, annotations={"big": "x" * 1000})
    read = msgspec.json.decode(msgspec.json.encode(obj), type=PartialObject)
    reduce = template_reducer(WORKFLOW_TEMPLATES.api_version, WORKFLOW_TEMPLATES.kind)
    reduced = reduce(read, read.facts(), Scope("etl"))
    assert reduced is not None
    assert isinstance(reduced.document, TemplateObject)
    metadata = reduced.document.metadata
    assert msgspec.to_builtins(metadata)["labels"] == {well_known.SIBLING: "lk0123456789"}
    assert (metadata.uid, metadata.annotations) == ("u1", None)
