"""What every cluster does with JSON patches (RFC 6902) and merge patches (RFC 7396)."""

import pytest

from policy.cluster.errors import Conflict, Invalid, NotFound
from policy.cluster.protocol import WORKFLOWS, JsonPatch, MergePatch, Patch
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp, pointer, set_entries
from tests.policy.cluster.conftest import Place, field, text


def _patch(place: Place, patch: Patch, name: str = "a") -> JsonObject:
    """Patch a Workflow of the place."""
    return place.cluster.patch(WORKFLOWS, name, patch, namespace=place.namespace)


def test_json_patch_operations_apply_in_order(place: Place) -> None:
    """Later operations see what earlier ones made; keys with slashes are reached by escaping."""
    place.add("a", labels={"workflows.argoproj.io/phase": "Running", "x": "y"})
    stored = _patch(
        place,
        JsonPatch(
            (
                PatchOp(Op.TEST, "/spec/entrypoint", "main"),
                PatchOp(Op.ADD, "/spec/arguments", {"parameters": []}),
                PatchOp(Op.ADD, "/spec/arguments/parameters/-", {"name": "n", "value": "1"}),
                PatchOp(Op.REPLACE, "/spec/entrypoint", "other"),
                PatchOp(
                    Op.REPLACE, pointer("metadata", "labels", "workflows.argoproj.io/phase"), "Succeeded"
                ),
                PatchOp(Op.REMOVE, "/metadata/labels/x"),
            )
        ),
    )
    assert stored["spec"] == {
        "entrypoint": "other",
        "arguments": {"parameters": [{"name": "n", "value": "1"}]},
    }
    assert field(stored, "metadata", "labels") == {"workflows.argoproj.io/phase": "Succeeded"}
    assert place.get("a") == stored


@pytest.mark.parametrize(
    "failing",
    [
        PatchOp(Op.TEST, "/spec/entrypoint", "something else"),
        PatchOp(Op.TEST, "/spec/absent", "x"),
        PatchOp(Op.REMOVE, "/spec/absent"),
        PatchOp(Op.ADD, "/metadata/labels/team", "etl"),
        PatchOp(Op.ADD, "/spec/entrypoint/below", "x"),
    ],
    ids=["test differs", "test absent", "remove absent", "no map", "below a string"],
)
def test_one_failing_operation_fails_the_whole_json_patch(place: Place, failing: PatchOp) -> None:
    """All operations or none: the ones before the failing one leave no trace.

    What `replace` does to an absent member is left open: RFC 6902 refuses it, the API server adds it.
    """
    made = place.add("a")
    with pytest.raises(Invalid):
        _patch(place, JsonPatch((PatchOp(Op.ADD, "/spec/priority", 5), failing)))
    assert place.get("a") == made


def test_a_json_patch_can_test_the_stored_version(place: Place) -> None:
    """`test` on metadata.resourceVersion is compare-and-swap; a miss is Invalid, as for any test."""
    version = text(place.add("a"), "metadata", "resourceVersion")
    swap = JsonPatch(
        (PatchOp(Op.TEST, "/metadata/resourceVersion", version), PatchOp(Op.ADD, "/spec/priority", 1))
    )
    moved = _patch(place, swap)
    with pytest.raises(Invalid):
        _patch(place, swap)
    assert place.get("a") == moved


def test_a_version_in_a_patch_is_a_precondition(place: Place) -> None:
    """A patch that sets a resourceVersion applies only to an object at that version."""
    version = text(place.add("a"), "metadata", "resourceVersion")
    conditional = MergePatch({"metadata": {"resourceVersion": version}, "spec": {"priority": 1}})
    moved = _patch(place, conditional)
    for stale in (conditional, JsonPatch((PatchOp(Op.REPLACE, "/metadata/resourceVersion", version),))):
        with pytest.raises(Conflict):
            _patch(place, stale)
    assert place.get("a") == moved


def test_a_patch_cannot_change_the_identity_of_an_object(place: Place) -> None:
    """Name, namespace and uid are fixed; which refusal it is, is the server's business."""
    made = place.add("a")
    for key in ("name", "namespace", "uid"):
        with pytest.raises((Invalid, Conflict)):
            _patch(place, MergePatch({"metadata": {key: "another"}}))
    with pytest.raises(Invalid):
        _patch(place, MergePatch({"kind": "CronWorkflow"}))
    assert place.get("a") == made


def test_a_patch_of_an_absent_object_is_not_found(place: Place) -> None:
    """A patch never creates."""
    with pytest.raises(NotFound):
        _patch(place, MergePatch({"spec": {}}))


def test_setting_entries_twice_changes_nothing_the_second_time(place: Place) -> None:
    """The operations of `set_entries` fit the object both with and without the map."""
    place.add("a")
    path = "/metadata/annotations"
    entries = [("lockkeeper.dev/tasks", "5"), ("lockkeeper.dev/user", "ann")]
    made = _patch(place, JsonPatch(tuple(set_entries(path, None, entries[:1]))))
    stored = _patch(
        place, JsonPatch(tuple(set_entries(path, field(made, "metadata", "annotations"), entries)))
    )
    assert field(stored, "metadata", "annotations") == dict(entries)
    again = set_entries(path, field(stored, "metadata", "annotations"), entries)
    assert again == []
    assert _patch(place, JsonPatch(tuple(again))) == stored


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, "bar", "bar"),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_are_those_of_rfc_7396(
    place: Place, target: JsonValue, patch: JsonValue, result: JsonValue
) -> None:
    """The examples of the RFC's appendix, one level down because objects of the API are never bare values."""
    obj = place.workflow("a")
    place.cluster.create(WORKFLOWS, {**obj, "spec": {"example": target}}, namespace=place.namespace)
    assert _patch(place, MergePatch({"spec": {"example": patch}}))["spec"] == {"example": result}
