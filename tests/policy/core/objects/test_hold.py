"""A hold writes our marks once, is let go without a trace, and trusts nothing that an object brings."""

from collections.abc import Iterable
from typing import Final

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects import well_known
from policy.core.objects.hold import (
    QuotaMarks,
    has_own_status,
    hold_status_patch,
    is_held,
    mark_patch,
    original_instance_id,
    original_labels,
    quota_marks_of,
    refresh_patch,
    release_patch,
)
from policy.core.objects.json_patch import JsonObject, JsonValue, PatchOp
from policy.core.objects.workflow import Metadata
from policy.core.values.amounts import UNLIMITED, Amount
from tests.policy.core.builders import NOW, at, decoded, patched, texts, without, workflow

MARKS: Final = QuotaMarks(Amount(4), 2, "ann")
MESSAGE: Final = "queued by lockkeeper: position 1 of 1 in team-a"
OURS: Final = (well_known.TASKS, well_known.PRIORITY, well_known.USER, well_known.HOLDS)

_label_values = st.sampled_from(("", "prod", well_known.HOLD_VALUE, "1"))
_annotation_values = st.sampled_from(("", "prod", "1"))
_label_keys = st.sampled_from((well_known.INSTANCE_ID, well_known.RESERVATION, "team"))
_annotation_keys = st.sampled_from(
    (
        well_known.ORIGINAL_INSTANCE_ID,
        well_known.HOLDS,
        well_known.TASKS,
        well_known.PRIORITY,
        well_known.USER,
        "note",
    )
)


@st.composite
def _anything(draw: st.DrawFn) -> JsonObject:
    """Draw a Workflow whose labels and annotations are absent, null, foreign or stale marks of ours."""
    obj = workflow()
    metadata = texts(obj, "metadata")
    for name, keys, values in (
        ("labels", _label_keys, _label_values),
        ("annotations", _annotation_keys, _annotation_values),
    ):
        shape = draw(st.sampled_from(("absent", "null", "map")))
        if shape != "absent":
            metadata[name] = dict(draw(st.dictionaries(keys, values))) if shape == "map" else None
    return obj


@st.composite
def _fresh(draw: st.DrawFn) -> JsonObject:
    """Draw a Workflow that never met us: any instance id but our hold, no marks."""
    obj = workflow(uid="uid-1", resourceVersion="7")
    labels: dict[str, JsonValue] = {}
    if draw(st.booleans()):
        labels[well_known.INSTANCE_ID] = draw(st.sampled_from(("", "prod", "a/b~c")))
    if draw(st.booleans()):
        labels["team"] = "etl"
    annotations: dict[str, JsonValue] = {}
    if draw(st.booleans()):
        annotations["note"] = "x"
    for name, given_map in (("labels", labels), ("annotations", annotations)):
        if draw(st.booleans()) or given_map:
            texts(obj, "metadata")[name] = given_map
    return obj


anything = _anything()
fresh = _fresh()
marks_ones = st.builds(
    QuotaMarks,
    tasks=st.one_of(st.just(UNLIMITED), st.integers(0, 10**6).map(Amount)),
    priority=st.integers(-(2**31), 2**31 - 1),
    user=st.text(max_size=20),
)
reservations = st.sampled_from(("", "request-1"))


def _metadata(obj: JsonObject) -> Metadata:
    found = decoded(obj).metadata
    assert found is not None
    return found


def _marked(obj: JsonObject, marks: QuotaMarks = MARKS, *, reservation: str = "", hold: bool) -> JsonObject:
    return patched(obj, mark_patch(_metadata(obj), marks, reservation=reservation, hold=hold))


def _held(obj: JsonObject) -> JsonObject:
    held = _marked(obj, hold=True)
    return patched(held, hold_status_patch(decoded(held), MESSAGE))


def _released(obj: JsonObject) -> JsonObject:
    return patched(obj, release_patch(_metadata(obj), NOW, has_status="status" in obj))


@given(anything, marks_ones, reservations, st.booleans())
def test_marking_a_marked_object_changes_nothing(
    obj: JsonObject,
    marks: QuotaMarks,
    reservation: str,
    hold: bool,  # noqa: FBT001
) -> None:
    """Whatever an object brings, one pass is enough; the validating side relies on that."""
    marked = _marked(obj, marks, reservation=reservation, hold=hold)
    assert mark_patch(_metadata(marked), marks, reservation=reservation, hold=hold) == []


@given(anything, marks_ones, reservations, st.booleans())
def test_marks_are_those_of_the_decision_whatever_the_object_had(
    obj: JsonObject,
    marks: QuotaMarks,
    reservation: str,
    hold: bool,  # noqa: FBT001
) -> None:
    """Marks of an earlier life (argo resubmit copies them) are overwritten or removed."""
    marked = _marked(obj, marks, reservation=reservation, hold=hold)
    metadata = _metadata(marked)
    assert quota_marks_of(metadata) == marks
    assert (
        is_held(metadata.labels) == hold
        or texts(obj, "metadata", "annotations").get(well_known.ORIGINAL_INSTANCE_ID) == well_known.HOLD_VALUE
    )
    assert texts(marked, "metadata", "labels").get(well_known.RESERVATION, "") == reservation
    assert texts(marked, "metadata", "annotations").get(well_known.HOLDS) == ("1" if hold else None)


@given(anything, st.booleans())
def test_marking_leaves_labels_and_annotations_of_others_alone(obj: JsonObject, hold: bool) -> None:  # noqa: FBT001
    """Only our own keys and the instance id change."""
    marked = _marked(obj, reservation="r", hold=hold)
    for name in ("labels", "annotations"):
        ours = (*OURS, well_known.RESERVATION, well_known.INSTANCE_ID, well_known.ORIGINAL_INSTANCE_ID)
        assert without(texts(marked, "metadata", name), *ours) == without(texts(obj, "metadata", name), *ours)
    assert without(marked, "metadata") == without(obj, "metadata")


@given(fresh)
def test_a_release_restores_the_object_as_it_was(obj: JsonObject) -> None:
    """But for tasks, priority, user and holds, a Workflow that waited is the one that was created."""
    released = _released(_held(obj))
    assert without(released, "metadata", "status") == without(obj, "metadata")
    assert "status" not in released
    assert texts(released, "metadata", "labels") == texts(obj, "metadata", "labels")
    kept = without(texts(released, "metadata", "annotations"), *OURS)
    assert kept == texts(obj, "metadata", "annotations")
    before, after = texts(obj, "metadata"), texts(released, "metadata")
    assert without(after, "labels", "annotations") == without(before, "labels", "annotations")


@given(fresh)
def test_the_instance_id_of_a_held_workflow_is_remembered(obj: JsonObject) -> None:
    """A Workflow of another controller returns to that controller, and an unlabelled one to none."""
    own = texts(obj, "metadata", "labels").get(well_known.INSTANCE_ID)
    held = _metadata(_held(obj))
    assert is_held(held.labels)
    assert original_instance_id(held) == own
    assert original_instance_id(_metadata(obj)) == own
    assert original_labels(held) == original_labels(_metadata(obj)) == texts(obj, "metadata", "labels")


@given(fresh)
def test_a_held_workflow_that_is_resubmitted_is_held_anew_and_released_as_the_first_one(
    obj: JsonObject,
) -> None:
    """Resubmitting copies hold and original id; the second hold still knows the true original."""
    resubmitted = without(_held(obj), "status")
    released = _released(_held(resubmitted))
    assert texts(released, "metadata", "labels") == texts(obj, "metadata", "labels")


@given(fresh)
def test_a_held_workflow_that_is_resubmitted_where_nothing_holds_any_more_is_released(
    obj: JsonObject,
) -> None:
    """Where the quota was deleted, the copied hold would hold it for ever."""
    again = _marked(_held(obj), hold=False)
    assert texts(again, "metadata", "labels") == texts(obj, "metadata", "labels")
    kept = without(texts(again, "metadata", "annotations"), *OURS)
    assert kept == texts(obj, "metadata", "annotations")


@pytest.mark.parametrize("hold", [True, False])
def test_our_own_hold_is_nobodys_original_instance_id(hold: bool) -> None:  # noqa: FBT001
    """A forged annotation may not make the release put the hold back."""
    forged = workflow(
        uid="uid-1",
        resourceVersion="7",
        labels={well_known.INSTANCE_ID: well_known.HOLD_VALUE},
        annotations={well_known.ORIGINAL_INSTANCE_ID: well_known.HOLD_VALUE},
    )
    marked = _marked(forged, hold=hold)
    after = _released(marked) if hold else marked
    assert not is_held(_metadata(after).labels)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "uid"), "uid-2"),
        (("metadata", "resourceVersion"), "8"),
        (("metadata", "labels", well_known.INSTANCE_ID), "prod"),
    ],
)
def test_a_release_does_nothing_to_an_object_that_moved_on(path: tuple[str, ...], value: str) -> None:
    """The patch tests uid, resourceVersion and hold (rule 6), so that a late one frees nothing."""
    held = _held(workflow(uid="uid-1", resourceVersion="7"))
    release = release_patch(_metadata(held), NOW, has_status=True)
    texts(held, *path[:-1])[path[-1]] = value
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        patched(held, release)


def test_a_release_of_a_workflow_without_status_does_not_try_to_remove_one() -> None:
    """A removal of nothing would fail the whole patch."""
    held = _marked(workflow(uid="uid-1", resourceVersion="7"), hold=True)
    released = patched(held, release_patch(_metadata(held), NOW, has_status=False))
    assert not is_held(_metadata(released).labels)


@pytest.mark.parametrize("shown", [True, False])
def test_a_refresh_shows_a_new_message_on_what_is_still_held(shown: bool) -> None:  # noqa: FBT001
    """Only the status changes, and one that a user removed is written again."""
    fresh_one = workflow(uid="uid-1", resourceVersion="7")
    held = _held(fresh_one) if shown else _marked(fresh_one, hold=True)
    refreshed = patched(held, refresh_patch(_metadata(held), f"{well_known.HELD_MESSAGE_PREFIX}: position 9"))
    assert at(refreshed, "status") == {"phase": "Pending", "message": "queued by lockkeeper: position 9"}
    assert without(refreshed, "status") == without(held, "status")


@pytest.mark.parametrize(
    ("path", "value"),
    [(("metadata", "uid"), "uid-2"), (("metadata", "labels", well_known.INSTANCE_ID), "prod")],
)
def test_a_refresh_writes_no_status_on_a_workflow_that_was_released(
    path: tuple[str, ...], value: str
) -> None:
    """The status of a running Workflow is Argo's."""
    held = _held(workflow(uid="uid-1", resourceVersion="7"))
    refresh = refresh_patch(_metadata(held), MESSAGE)
    texts(held, *path[:-1])[path[-1]] = value
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        patched(held, refresh)


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"startedAt": None, "finishedAt": None},
        {"phase": "", "nodes": {}, "conditions": [], "progress": None, "estimatedDuration": 0},
        {"phase": "Pending", "message": MESSAGE},
        {"phase": "Pending", "message": MESSAGE, "startedAt": None, "finishedAt": None},
    ],
)
def test_null_times_and_our_own_message_are_no_status_of_its_own(status: JsonValue) -> None:
    """Argo's Go clients write null times; a second pass of the webhook sees what the first one wrote."""
    assert not has_own_status(decoded({**workflow(), "status": status}))


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Running"},
        {"phase": "Pending", "message": "waiting for a lock"},
        {"message": MESSAGE},
        {"phase": "Running", "message": MESSAGE},
        {"phase": "Pending", "message": MESSAGE, "storedWorkflowTemplateSpec": {"templates": []}},
        {"phase": "Pending", "message": MESSAGE, "nodes": {"n": {}}},
        {"storedTemplates": {"t": {}}},
        {"startedAt": "2026-01-01T00:00:00Z"},
        {"artifactGCStatus": {"notSpecified": True}},
        {"offloadNodeStatusVersion": "fnv:1"},
        {"estimatedDuration": 1},
    ],
)
def test_a_status_that_argo_would_act_on_is_foreign(status: JsonValue) -> None:
    """Templates stored in a status are run; our message beside them does not hide them."""
    assert has_own_status(decoded({**workflow(), "status": status}))


@pytest.mark.parametrize("status", [None, {}, {"startedAt": None}])
def test_a_hold_shows_itself_in_the_status_once(status: JsonValue) -> None:
    """`kubectl get wf` shows the wait; a later pass with another position leaves it."""
    obj: JsonObject = {**workflow(), "status": status}
    shown = patched(obj, hold_status_patch(decoded(obj), MESSAGE))
    assert at(shown, "status") == {"phase": "Pending", "message": MESSAGE}
    assert hold_status_patch(decoded(shown), f"{MESSAGE} and more") == []


def test_a_bypass_of_admission_counts_as_an_unbounded_workflow_without_a_user() -> None:
    """Without marks the tracker counts with the worst case."""
    assert quota_marks_of(Metadata()) == QuotaMarks(UNLIMITED, 0, "")


@pytest.mark.parametrize(
    ("tasks", "priority", "marks"),
    [
        ("5", "-3", QuotaMarks(Amount(5), -3, "")),
        (well_known.UNBOUNDED, "0", QuotaMarks(UNLIMITED, 0, "")),
        ("", "", QuotaMarks(UNLIMITED, 0, "")),
        ("-1", "--1", QuotaMarks(UNLIMITED, 0, "")),
        ("٣", "٣", QuotaMarks(UNLIMITED, 0, "")),  # Arabic-Indic digits
        ("²", "²", QuotaMarks(UNLIMITED, 0, "")),  # isdigit() is true of it, int() fails
        ("1e3", "1.5", QuotaMarks(UNLIMITED, 0, "")),
        ("1_0", " 1", QuotaMarks(UNLIMITED, 0, "")),
    ],
)
def test_marks_that_a_user_edited_do_not_stop_the_tracker(
    tasks: str, priority: str, marks: QuotaMarks
) -> None:
    """Any user may write annotations; nonsense counts as the worst case."""
    metadata = Metadata(annotations={well_known.TASKS: tasks, well_known.PRIORITY: priority})
    assert quota_marks_of(metadata) == marks


@pytest.mark.parametrize("key", [well_known.TASKS, well_known.PRIORITY])
def test_a_mark_of_very_many_digits_does_not_stop_the_tracker(key: str) -> None:
    """Python refuses to read very long integers; an annotation may have 256 kB."""
    assert quota_marks_of(Metadata(annotations={key: "9" * 5000})) == QuotaMarks(UNLIMITED, 0, "")


def _paths(patch: Iterable[PatchOp]) -> list[str]:
    return [operation.path for operation in patch]


def test_a_reservation_alone_does_not_hold() -> None:
    """A quota that denies leaves the instance id alone."""
    patch = mark_patch(Metadata(labels={well_known.INSTANCE_ID: "prod"}), MARKS, reservation="r", hold=False)
    assert _paths(patch) == ["/metadata/labels/lockkeeper.dev~1reservation", "/metadata/annotations"]
