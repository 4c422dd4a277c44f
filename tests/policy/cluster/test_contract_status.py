"""What every cluster does with a status that is written apart from the rest of its object."""

import pytest

from policy.cluster.errors import Conflict, NotFound
from policy.cluster.protocol import (
    STATUS,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    EventType,
    JsonPatch,
    MergePatch,
    Patch,
)
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import Place, field, text

SEEN: JsonObject = {"observedGeneration": 1, "running": 3}
READY: JsonObject = {
    "type": "Ready",
    "status": "True",
    "reason": "InForce",
    "message": "in force",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-11-23T12:00:00Z",
}


def _add(place: Place, **parts: JsonObject) -> JsonObject:
    """Create a quota, with more parts than a spec where they are given."""
    quota: JsonObject = {
        "apiVersion": WORKFLOW_QUOTAS.api_version,
        "kind": WORKFLOW_QUOTAS.kind,
        "metadata": {"name": "a"},
        "spec": {"limits": {"workflows": 1}},
        **parts,
    }
    return place.cluster.create(WORKFLOW_QUOTAS, quota, namespace=place.namespace)


def _write(place: Place, patch: Patch, *, subresource: str = STATUS, name: str = "a") -> JsonObject:
    """Patch the quota, by default its status."""
    return place.cluster.patch(
        WORKFLOW_QUOTAS, name, patch, namespace=place.namespace, subresource=subresource
    )


def test_a_status_write_changes_the_status_and_moves_the_version_only(place: Place) -> None:
    """The generation counts what the author wants, and the author wants the same as before."""
    made = _add(place)
    stored = _write(place, MergePatch({"status": SEEN}))
    assert field(stored, "status") == SEEN
    assert field(stored, "spec") == field(made, "spec")
    assert field(stored, "metadata", "generation") == 1
    assert text(stored, "metadata", "resourceVersion") != text(made, "metadata", "resourceVersion")
    assert place.get("a", WORKFLOW_QUOTAS) == stored


def test_a_status_write_passes_over_whatever_else_it_brings(place: Place) -> None:
    """A right to write a status allows to write neither limits nor labels."""
    made = _add(place)
    stored = _write(
        place,
        MergePatch(
            {"status": SEEN, "spec": {"limits": {"workflows": 9}}, "metadata": {"labels": {"a": "b"}}}
        ),
    )
    assert field(stored, "spec") == field(made, "spec")
    assert field(stored, "metadata", "labels") is None
    assert field(stored, "status") == SEEN


def test_an_author_can_neither_bring_nor_change_the_status(place: Place) -> None:
    """A create drops it, and a write of the object leaves it as it is; its other fields count."""
    made = _add(place, status={"running": 99})
    assert field(made, "status") is None
    _write(place, MergePatch({"status": SEEN}))
    changed = _write(
        place, MergePatch({"status": {"running": 99}, "spec": {"onExceed": "Deny"}}), subresource=""
    )
    assert field(changed, "status") == SEEN
    assert field(changed, "spec", "onExceed") == "Deny"
    assert field(changed, "metadata", "generation") == 2
    bare = {key: value for key, value in changed.items() if key != "status"}
    assert place.cluster.replace(WORKFLOW_QUOTAS, bare) == changed


def test_the_same_status_again_does_not_change_the_version(place: Place) -> None:
    """Repeating a status write is free, with conditions in it as well: no new version and no event."""
    _add(place)
    patch = MergePatch({"status": {**SEEN, "conditions": [READY]}})
    stored = _write(place, patch)
    assert _write(place, patch) == stored
    assert place.get("a", WORKFLOW_QUOTAS) == stored


def test_a_status_write_may_insist_on_the_version_that_it_is_about(place: Place) -> None:
    """So a writer never overwrites what it has not seen, nor the object that took the name."""
    version = text(_add(place), "metadata", "resourceVersion")
    conditional = MergePatch({"metadata": {"resourceVersion": version}, "status": SEEN})
    stored = _write(place, conditional)
    late = MergePatch({"metadata": {"resourceVersion": version}, "status": {"running": 4}})
    with pytest.raises(Conflict):
        _write(place, late)
    assert place.get("a", WORKFLOW_QUOTAS) == stored


def test_a_json_patch_writes_a_status_too(place: Place) -> None:
    """Both forms of a patch have the same effect."""
    _add(place)
    _write(place, MergePatch({"status": SEEN}))
    stored = _write(place, JsonPatch((PatchOp(Op.REPLACE, "/status/running", 5),)))
    assert field(stored, "status") == {**SEEN, "running": 5}


def test_a_status_of_what_is_not_there_is_not_found(place: Place) -> None:
    """Neither of an absent object, nor of a kind that keeps its status with the rest."""
    with pytest.raises(NotFound):
        _write(place, MergePatch({"status": SEEN}))
    place.add("a")
    with pytest.raises(NotFound):
        place.cluster.patch(
            WORKFLOWS,
            "a",
            MergePatch({"status": {"phase": "Running"}}),
            namespace=place.namespace,
            subresource=STATUS,
        )


def test_a_watch_sees_a_status_write_as_a_change_of_the_object(place: Place) -> None:
    """The generation has to show watchers that the spec did not change."""
    made = _add(place)
    since = text(made, "metadata", "resourceVersion")
    stored = _write(place, MergePatch({"status": SEEN}))
    events = place.cluster.watch(WORKFLOW_QUOTAS, since=since, namespace=place.namespace, timeout=PATIENCE)
    event = next(event for event in events if event.type is not EventType.BOOKMARK)
    assert (event.type, event.object) == (EventType.MODIFIED, stored)
