"""The hold: how a Workflow waits without Argo touching it, and how it is released.

A held Workflow has the instance id of no Argo controller. No other hold avoids taking a slot, a lock or time
of its deadline (argo-workflows A.1-A.3, argo-verified 10). No other client writes its status meanwhile.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp, pointer, set_entries
from policy.core.objects.workflow import EMPTY_METADATA, HIGHEST_PRIORITY, LOWEST_PRIORITY, Metadata, Workflow
from policy.core.values.amounts import UNLIMITED, Amount

LABELS: Final = pointer("metadata", "labels")
ANNOTATIONS: Final = pointer("metadata", "annotations")
STATUS: Final = pointer("status")
_UID: Final = pointer("metadata", "uid")
_MESSAGE: Final = pointer("status", "message")
_STARTED_AT: Final = pointer("status", "startedAt")
INSTANCE_LABEL: Final = LABELS + pointer(well_known.INSTANCE_ID)
_TASKS_ANNOTATION: Final = ANNOTATIONS + pointer(well_known.TASKS)
_GO_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
"""The form in which Go writes a time of a whole second."""
_FAILED: Final = "Failed"
_HELD_MESSAGE: Final = f'"{well_known.HELD_MESSAGE_PREFIX}'.encode()
_NONE: Final[Mapping[str, str]] = {}
_RECORDED: Final = (*well_known.REFERENCES, well_known.GROUPS)
_OURS: Final = frozenset((*well_known.OUR_LABELS, *well_known.OUR_ANNOTATIONS))
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_EMPTY_VALUES: Final = frozenset({b"null", b'""', b"{}", b"[]", b"0", b"false"})


class QuotaMarks(msgspec.Struct, frozen=True):
    """What admission writes on a governed Workflow: the tracker reads metadata alone, without the spec."""

    tasks: Amount
    priority: int
    user: str


class HoldOrigin(msgspec.Struct, frozen=True):
    """The history of a Workflow, as far as its marks show.

    `holds` is how often it was held before. `retried` is whether it ran before: `argo retry` lets a completed
    Workflow run again. The others are marks of children and of runs of a CronWorkflow.
    """

    holds: int = 0
    retried: bool = False
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


NEW: Final = HoldOrigin()


def mark_patch(
    present: Metadata | None, marks: QuotaMarks, *, reservation: str, hold: bool, origin: HoldOrigin = NEW
) -> list[PatchOp]:
    """Return the operations that write our labels and annotations, overwriting what came with the object.

    `reservation` is the request's uid where a slot is reserved, or "". For an object that has all of them
    already, there are none.
    """
    metadata = present or EMPTY_METADATA
    labels: dict[str, str] = {**origin.labels}
    annotations = {
        well_known.TASKS: written_tasks(marks.tasks),
        well_known.PRIORITY: str(marks.priority),
        well_known.USER: marks.user,
        **origin.annotations,
    }
    if reservation:
        labels[well_known.RESERVATION] = reservation
    holds = origin.holds + 1 if hold else origin.holds
    if holds:  # A number that was used identifies a release for ever (protocol rule 8).
        annotations[well_known.HOLDS] = str(holds)
    if hold:
        original = original_instance_id(metadata)
        labels[well_known.INSTANCE_ID] = well_known.HOLD_VALUE
        if origin.retried:
            annotations[well_known.RETRIED] = "true"
        if original is not None:
            annotations[well_known.ORIGINAL_INSTANCE_ID] = original
    stale = unmark_patch(metadata, labels, annotations)
    patch = [PatchOp(Op.ADD, pointer("metadata"), {})] if present is None else []
    patch += set_entries(LABELS, metadata.labels, labels.items())
    patch += set_entries(ANNOTATIONS, metadata.annotations, annotations.items())
    return patch + stale


def written_tasks(tasks: Amount) -> str:
    """Return a number of tasks as the mark has it."""
    return well_known.UNBOUNDED if tasks.value is None else str(tasks.value)


def unmark_patch(
    metadata: Metadata, labels: Mapping[str, str] = _NONE, annotations: Mapping[str, str] = _NONE
) -> list[PatchOp]:
    """Return the removals of our marks except those given; `argo resubmit` copies them onto new objects.

    A Workflow that is to run and that no quota governs has none: what a user wrote there would be read if a
    quota governed it later, or to charge its children.
    """
    removals = []
    for path, present, due, ours in (
        (LABELS, metadata.labels, labels, well_known.OUR_LABELS),
        (ANNOTATIONS, metadata.annotations, annotations, well_known.OUR_ANNOTATIONS),
    ):
        if not present or _OURS.isdisjoint(present):
            continue
        stale = [key for key in ours if key in present and key not in due]
        removals += [PatchOp(Op.REMOVE, path + pointer(key)) for key in stale]
    held_before = (metadata.labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE
    if held_before and well_known.INSTANCE_ID not in labels:
        removals.append(_restore(original_instance_id(metadata)))
    return removals


def original_instance_id(metadata: Metadata) -> str | None:
    """Return the instance id that the Workflow has without our hold."""
    value = (metadata.labels or {}).get(well_known.INSTANCE_ID)
    if value == well_known.HOLD_VALUE:
        value = (metadata.annotations or {}).get(well_known.ORIGINAL_INSTANCE_ID)
    return None if value == well_known.HOLD_VALUE else value


def original_labels(metadata: Metadata) -> Mapping[str, str]:
    """Return the labels that a Workflow has without our hold: selectors of policies match these.

    What the Workflow refers to, where that is recorded, is under the keys of those annotations; its keys in
    groups are under the texts of these keys, which are no names of labels.
    """
    labels = metadata.labels or {}
    if metadata.annotations and (referring := references_of(metadata)):
        groups = referring.pop(well_known.GROUPS, "")
        labels = {**labels, **referring, **read_group_keys(groups)}
    if labels.get(well_known.INSTANCE_ID) != well_known.HOLD_VALUE:
        return labels
    original = original_instance_id(metadata)
    others = {key: value for key, value in labels.items() if key != well_known.INSTANCE_ID}
    return others if original is None else {**others, well_known.INSTANCE_ID: original}


def references_of(metadata: Metadata) -> dict[str, str]:
    """Return the annotations of a Workflow that record what it refers to, and its keys in groups."""
    annotations = metadata.annotations or {}
    return {key: annotations[key] for key in _RECORDED if key in annotations}


def read_group_keys(text: str) -> dict[str, str]:
    """Return the keys of groups that an annotation records; of one that is not ours, none."""
    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {}


def written_group_keys(keys: Mapping[str, str]) -> str:
    """Return keys of groups as the annotation has them."""
    return msgspec.json.encode(dict(keys), order="sorted").decode()


def holds_of(metadata: Metadata) -> int:
    """Return how often a Workflow was held."""
    value = (metadata.annotations or {}).get(well_known.HOLDS, "")
    return int(value) if _NUMBER.fullmatch(value) and value[0] != "-" else 0


def hold_status_patch(workflow: Workflow, message: str) -> list[PatchOp]:
    """Return the operation that shows `Pending` and the message, unless the status shows a hold already.

    Of a Workflow that ran before, only the message changes: Argo continues from the rest of its status.
    """
    shown = (workflow.status or {}).get("message")
    if shows_hold(workflow.status) or (shown is not None and bytes(shown).strip().startswith(_HELD_MESSAGE)):
        return []
    if _filled(workflow.status):
        return [PatchOp(Op.ADD, _MESSAGE, message)]
    status: JsonObject = {"phase": well_known.HELD_PHASE, "message": message}
    return [PatchOp(Op.ADD, STATUS, status)]


def has_own_status(workflow: Workflow) -> bool:
    """Return whether a Workflow has a status that is not ours: of an earlier run, or one its creator wrote.

    Argo's typed clients send null times; those are empty. Ours, from an earlier pass, is removed where
    nothing is held.
    """
    return bool(_filled(workflow.status)) and not shows_hold(workflow.status)


def _filled(status: Mapping[str, msgspec.Raw] | None) -> dict[str, bytes]:
    if not status:
        return {}
    filled = {}
    for key, value in status.items():
        raw = bytes(value)
        if raw not in _EMPTY_VALUES and (raw := raw.strip()) not in _EMPTY_VALUES:
            filled[key] = raw
    return filled


def shows_hold(status: Mapping[str, msgspec.Raw] | None) -> bool:
    """Return whether a status is exactly what a hold shows."""
    if not status or "phase" not in status or "message" not in status:
        return False  # Most objects come from typed clients, which send neither.
    filled = _filled(status)
    return (
        filled.keys() == {"phase", "message"}
        and filled["phase"] == f'"{well_known.HELD_PHASE}"'.encode()
        and filled["message"].startswith(_HELD_MESSAGE)
    )


def is_held(labels: Mapping[str, str] | None) -> bool:
    """Return whether an object with these labels is held by us."""
    return (labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE


def is_completed(metadata: Metadata) -> bool:
    """Return whether Argo has marked a Workflow as completed; it then counts no more."""
    return (metadata.labels or {}).get(well_known.COMPLETED) == "true"


def release_patch(
    metadata: Metadata, now: datetime, *, has_status: bool, tasks: Amount | None = None
) -> tuple[PatchOp, ...]:
    """Return the one patch that releases a Workflow (protocol rule 6).

    One that ran before keeps its status, but starts now: its deadline would have passed while it waited
    (argo-verified 11). `tasks` are given for one whose tasks were counted again.
    """
    patch = _back_to_argo(metadata)
    if tasks is not None:
        patch.append(PatchOp(Op.ADD, _TASKS_ANNOTATION, written_tasks(tasks)))
    if has_status and _is_retried(metadata):
        patch.append(PatchOp(Op.ADD, _STARTED_AT, now.astimezone(UTC).strftime(_GO_TIME)))
        patch.append(PatchOp(Op.ADD, _MESSAGE, ""))
    elif has_status:
        patch.append(PatchOp(Op.REMOVE, STATUS))
    return tuple(patch)


def _back_to_argo(metadata: Metadata) -> list[PatchOp]:
    """Return the operations that end a hold, if uid, resourceVersion and hold are what we know."""
    annotations = metadata.annotations or {}
    stale = [key for key in (well_known.ORIGINAL_INSTANCE_ID, well_known.RETRIED) if key in annotations]
    return [
        PatchOp(Op.TEST, _UID, metadata.uid),
        PatchOp(Op.TEST, pointer("metadata", "resourceVersion"), metadata.resource_version),
        PatchOp(Op.TEST, INSTANCE_LABEL, well_known.HOLD_VALUE),
        _restore(original_instance_id(metadata)),
        *(PatchOp(Op.REMOVE, ANNOTATIONS + pointer(key)) for key in stale),
    ]


def _is_retried(metadata: Metadata) -> bool:
    return well_known.RETRIED in (metadata.annotations or {})


def _restore(original: str | None) -> PatchOp:
    if original is None:
        return PatchOp(Op.REMOVE, INSTANCE_LABEL)
    return PatchOp(Op.REPLACE, INSTANCE_LABEL, original)


def refresh_patch(metadata: Metadata, message: str) -> tuple[PatchOp, ...]:
    """Return the patch that shows a new message on a Workflow that is still held."""
    status: JsonValue = {"phase": well_known.HELD_PHASE, "message": message}
    return (
        PatchOp(Op.TEST, _UID, metadata.uid),
        PatchOp(Op.TEST, INSTANCE_LABEL, well_known.HOLD_VALUE),
        PatchOp(Op.ADD, _MESSAGE, message) if _is_retried(metadata) else PatchOp(Op.ADD, STATUS, status),
    )


def give_up_patch(metadata: Metadata, message: str, now: datetime) -> tuple[PatchOp, ...]:
    """Return the patch that ends a held Workflow for good: it failed, is completed, and is Argo's again.

    Argo does not run what has the completed label, but it does clean it up.
    """
    at = now.astimezone(UTC).strftime(_GO_TIME)
    status: JsonObject = {"phase": _FAILED, "message": message, "startedAt": at, "finishedAt": at}
    patch = [
        *_back_to_argo(metadata),
        PatchOp(Op.ADD, LABELS + pointer(well_known.COMPLETED), "true"),
        PatchOp(Op.ADD, LABELS + pointer(well_known.PHASE), _FAILED),
    ]
    if not _is_retried(metadata):
        return (*patch, PatchOp(Op.ADD, STATUS, status))
    # One that ran before keeps the record of its run.
    return (*patch, *(PatchOp(Op.ADD, STATUS + pointer(key), value) for key, value in status.items()))


def quota_marks_of(metadata: Metadata) -> QuotaMarks:
    """Return the quota marks in an object's metadata."""
    annotations = metadata.annotations or {}
    return parse_quota_marks(
        *(annotations.get(each, "") for each in (well_known.TASKS, well_known.PRIORITY, well_known.USER))
    )


def parse_quota_marks(tasks: str, priority: str, user: str) -> QuotaMarks:
    """Return quota marks from their texts; a bypass of admission has none, and its tasks are unbounded."""
    number = int(priority) if _NUMBER.fullmatch(priority) else 0
    return QuotaMarks(
        tasks=Amount(int(tasks)) if _NUMBER.fullmatch(tasks) and tasks[0] != "-" else UNLIMITED,
        # A user may have written any number into the mark; these are the bounds of Argo.
        priority=max(LOWEST_PRIORITY, min(number, HIGHEST_PRIORITY)),
        user=user,
    )
