"""Whoever waits for a Workflow that needs the slot or the lock that it holds itself is warned."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from policy.core.decision.decision import Decision
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.builders import (
    NAMESPACE,
    lock_policy,
    mutate,
    pool,
    quota,
    snapshot,
    template_object,
    validate,
    workflow,
)
from tests.policy.core.lock_graph.graphs import LEAF, calling, dag, leaf, mutexes

QUOTA = (
    "lockkeeper: spec.templates[0].resource: deadlock: this waits for the Workflow that it creates, which "
    f"WorkflowQuota {NAMESPACE}/q counts beside this one: it allows one Workflow, so that both wait for "
    "ever. Set setOwnerReference: true, so that it runs under the slot of this one"
)
LOCK = (
    f"lockkeeper: spec.templates[0].resource: deadlock: {NAMESPACE}/Mutex/stock is held here while this "
    "waits for the Workflow that it creates, which takes it as well: where it takes it, both wait for ever. "
    "Take it in one of the two only"
)


def _read(text: str) -> Sequence[Any]:
    return [msgspec.json.decode(text)]


def _with(*documents: Document) -> Snapshot:
    return msgspec.structs.replace(snapshot(*documents), read_manifest=_read)


def _child(spec: JsonObject, **metadata: JsonValue) -> JsonObject:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}


def _making(child: JsonObject, name: str = "main", **more: JsonValue) -> JsonObject:
    """Return a template that creates a Workflow and waits for it."""
    resource: JsonObject = {
        "action": "create",
        "successCondition": "status.phase == Succeeded",
        "manifest": msgspec.json.encode(child).decode(),
    }
    return {"name": name, "resource": {**resource, **more}}


def _warned(decision: Decision) -> list[str]:
    return [each for each in decision.warnings if "deadlock" in each]


SMALL: JsonObject = {"entrypoint": "go", "templates": [leaf("go")]}
LOCKED: JsonObject = {**SMALL, "synchronization": mutexes("stock")}


def _review(parent: JsonObject, *documents: Document, **metadata: JsonValue) -> list[str]:
    return _warned(mutate(workflow(parent, **metadata), _with(*documents)))


def _spec(*templates: JsonObject, **more: JsonValue) -> JsonObject:
    return {"entrypoint": "main", "templates": list(templates), **more}


def test_a_child_without_owner_under_one_quota_is_told() -> None:
    """With the whole sentence; with an owner reference, or where nothing waits, there is none."""
    one = quota("q", limits={"workflows": 1})
    assert _review(_spec(_making(_child(SMALL))), one) == [QUOTA]
    assert not _review(_spec(_making(_child(SMALL), setOwnerReference=True)), one)
    assert not _review(_spec(_making(_child(SMALL), successCondition="")), one)
    assert not _review(_spec(_making(_child(SMALL), action="get")), one)
    assert not _review(_spec(_making({**_child(SMALL), "kind": "CronWorkflow"})), one)


def test_of_a_larger_quota_it_is_possible() -> None:
    """Enough of them at once have all its places."""
    (found,) = _review(_spec(_making(_child(SMALL))), quota("q", limits={"workflows": 5}))
    assert "possible deadlock" in found
    assert "once such as this have all its places, all wait for ever" in found
    assert not _review(_spec(_making(_child(SMALL))), quota("q", limits={"workflows": 5}, onExceed="Warn"))


def test_a_child_of_another_namespace_can_have_no_owner() -> None:
    """Kubernetes removes an object whose owner is elsewhere, so the fix is another one."""
    wide = pool("q", limits={"workflows": 1})
    for owned in (False, True):
        child = _making(_child(SMALL, namespace="other"), setOwnerReference=owned)
        (found,) = _review(_spec(child), wide)
        assert found.endswith(
            "An owner is of the same namespace: create it there, with setOwnerReference: true"
        )


def test_quotas_that_do_not_count_both_are_no_danger() -> None:
    """By the labels of the manifest, and by its namespace."""
    some = quota("q", limits={"workflows": 1}, selector={"matchLabels": {"size": "big"}})
    parent = _spec(_making(_child(SMALL, labels={"size": "small"})))
    assert not _review(parent, some, labels={"size": "big"})
    assert not _review(_spec(_making(_child(SMALL, namespace="other"))), quota("q", limits={"workflows": 1}))
    both = _spec(_making(_child(SMALL, labels={"size": "big"})))
    assert len(_review(both, some, labels={"size": "big"})) == 1


def test_one_lock_in_both_is_told_whoever_owns_the_child() -> None:
    """At the Workflow, at a template above, or at the template itself."""
    policy = lock_policy("locks")
    child = _child({"workflowTemplateRef": {"name": "child"}})
    documents = (policy, template_object("child", LOCKED))
    assert _review(_spec(_making(child), synchronization=mutexes("stock")), *documents) == [LOCK]
    assert (
        len(
            _review(
                _spec(_making(child, setOwnerReference=True), synchronization=mutexes("stock")), *documents
            )
        )
        == 1
    )
    assert _review(_spec({**_making(child), "synchronization": mutexes("stock")}), *documents) == [LOCK]
    above = _spec(dag("main", calling("make"), mutexes=("stock",)), _making(child, "make"))
    (found,) = _review(above, *documents)
    assert "spec.templates[1].resource" in found
    assert not _review(_spec(_making(child), synchronization=mutexes("other")), *documents)
    assert not _review(_spec(_making(child), synchronization=mutexes("stock")), policy)


def test_inline_templates_and_references_are_followed() -> None:
    """What a Workflow refers to is told at the Workflow that has the labels of the quota."""
    one = quota("q", limits={"workflows": 1})
    inline: JsonObject = {"name": "x", "inline": {"resource": _making(_child(SMALL))["resource"]}}
    (found,) = _review(_spec(dag("main", inline)), one)
    assert "spec.templates[0].dag.tasks[0].inline.resource" in found
    base = template_object("base", _spec(_making(_child(SMALL))))
    (other,) = _review({"workflowTemplateRef": {"name": "base"}}, one, base)
    assert other.startswith("lockkeeper: spec: WorkflowTemplate base spec.templates[0].resource: deadlock")


@pytest.mark.parametrize("manifest", ["{", '{"kind": "Workflow"}', "{{inputs.parameters.manifest}} Workflow"])
def test_a_manifest_that_is_not_fixed_is_silent(manifest: str) -> None:
    """What only the run gives is not guessed at."""

    def read(text: str) -> Sequence[Any]:
        try:
            return _read(text)
        except msgspec.DecodeError:
            return ()

    parent = _spec({**_making(_child(SMALL)), "resource": {**LEAF, "manifest": manifest}})
    found = msgspec.structs.replace(_with(quota("q", limits={"workflows": 1})), read_manifest=read)
    assert not _warned(mutate(workflow(parent), found))


def test_the_validating_side_says_nothing_twice() -> None:
    """Its warnings would come beside those of the mutating side."""
    found = _with(quota("q", limits={"workflows": 1}))
    assert not validate(workflow(_spec(_making(_child(SMALL)))), found).warnings
