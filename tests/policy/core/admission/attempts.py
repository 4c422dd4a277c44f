"""What people try by an update, as merge patches: docs/security.md has the same list, for people.

Each is tried on the decision itself, and by kubectl on a real API server.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Decision, Operation, Review, Side
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Metadata
from policy.core.policies.snapshot import Snapshot
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    USER,
    decoded,
    lock_policy,
    mutate,
    patched,
    quota,
    rule,
    snapshot,
    texts,
    workflow,
)

ARGO: Final = "system:serviceaccount:argo:argo"
SERVER: Final = "system:serviceaccount:argo:argo-server"
LOCK: Final[JsonObject] = {"mutexes": [{"name": "loads"}]}
POLICIES: Final = (
    quota(
        "main",
        limits={"workflows": 1, "tasks": 10},
        perWorkflow={"maxTasks": 5, "defaultTasks": 2},
    ),
    quota("etl", selector={"matchLabels": {"team": "etl"}}, limits={"workflows": 1}),
    quota(
        "nightly", selector={"matchLabels": {well_known.CRON_WORKFLOW: "nightly"}}, limits={"workflows": 1}
    ),
    lock_policy(inject=[rule("loads", {"mutex": "loads"}, names=["load"])]),
)
RETRY: Final[JsonObject] = {
    "metadata": {"labels": {well_known.COMPLETED: None}},
    "status": {
        "phase": None,
        "message": None,
        "finishedAt": None,
        "startedAt": "2026-03-01T12:00:00Z",
        "nodes": {"pod": None},
        "storedWorkflowTemplateSpec": {"shutdown": None},
    },
}
"""What `argo retry` changes (argo-verified 11)."""
STORED: Final[JsonObject] = {"templates": [{"name": "main", "container": {"image": "other"}}]}


class State(StrEnum):
    """Where a Workflow is in its life."""

    HELD = "held"
    RUNNING = "running"
    FINISHED = "finished"
    DELETED = "held, deleted, with a finalizer"
    ENDING = "running, deleted, with a finalizer"


class Attempt(msgspec.Struct, frozen=True):
    """A merge patch on a Workflow in some state, and the reason for which it is refused."""

    state: State
    change: JsonObject
    code: Code
    user: str = USER


def label(key: str, value: str | None) -> JsonObject:
    """Return the patch of one label."""
    return {"metadata": {"labels": {key: value}}}


def note(key: str, value: str | None) -> JsonObject:
    """Return the patch of one annotation."""
    return {"metadata": {"annotations": {key: value}}}


def retry(status: JsonObject) -> JsonObject:
    """Return the patch of a retry that changes more of the status."""
    return merge_patches(RETRY, {"status": status})


def merge_patches(one: JsonObject, other: JsonObject) -> JsonObject:
    """Return one merge patch that does what two do; unlike `merge` it keeps what they remove."""
    made = {**one, **other}
    for key in one.keys() & other.keys():
        had, has = one[key], other[key]
        if isinstance(had, dict) and isinstance(has, dict):
            made[key] = merge_patches(had, has)
    return made


def load(**more: JsonValue) -> JsonObject:
    """Return the template that the lock policy selects."""
    return {"name": "load", "container": {"image": "a", "command": ["true"]}, **more}


ATTEMPTS: Final[Mapping[str, Attempt]] = {
    "hold-removed": Attempt(State.HELD, label(well_known.INSTANCE_ID, None), Code.HOLD_REMOVED),
    "hold-replaced": Attempt(State.HELD, label(well_known.INSTANCE_ID, "prod"), Code.HOLD_REMOVED),
    "all-labels-removed": Attempt(State.HELD, {"metadata": {"labels": None}}, Code.HOLD_REMOVED),
    "hold-removed-by-argo-server": Attempt(
        State.HELD, label(well_known.INSTANCE_ID, None), Code.HOLD_REMOVED, SERVER
    ),
    "hold-removed-while-deleted": Attempt(
        State.DELETED, label(well_known.INSTANCE_ID, None), Code.HOLD_REMOVED
    ),
    "original-instance-forged": Attempt(
        State.HELD, note(well_known.ORIGINAL_INSTANCE_ID, "prod"), Code.GUARDED_MARK
    ),
    "tasks-mark-lowered": Attempt(State.HELD, note(well_known.TASKS, "0"), Code.GUARDED_MARK),
    "priority-mark-raised": Attempt(State.HELD, note(well_known.PRIORITY, "1000"), Code.GUARDED_MARK),
    "user-mark-changed": Attempt(State.HELD, note(well_known.USER, "bob"), Code.GUARDED_MARK),
    "count-of-holds-changed": Attempt(State.HELD, note(well_known.HOLDS, "7"), Code.GUARDED_MARK),
    "all-annotations-removed": Attempt(State.RUNNING, {"metadata": {"annotations": None}}, Code.GUARDED_MARK),
    "reservation-claimed": Attempt(State.RUNNING, label(well_known.RESERVATION, "stolen"), Code.GUARDED_MARK),
    "child-mark-invented": Attempt(State.RUNNING, label(well_known.CHILD_OF, "uid-9"), Code.GUARDED_MARK),
    "slot-inheritance-invented": Attempt(State.HELD, note(well_known.INHERITS, "uid-9"), Code.GUARDED_MARK),
    "retry-mark-invented": Attempt(State.HELD, note(well_known.RETRIED, "true"), Code.GUARDED_MARK),
    "self-held": Attempt(
        State.RUNNING, label(well_known.INSTANCE_ID, well_known.HOLD_VALUE), Code.OUT_OF_SIGHT
    ),
    "moved-to-another-controller": Attempt(
        State.RUNNING, label(well_known.INSTANCE_ID, "nobody"), Code.OUT_OF_SIGHT
    ),
    "marked-completed": Attempt(State.RUNNING, label(well_known.COMPLETED, "true"), Code.OUT_OF_SIGHT),
    "marked-completed-while-held": Attempt(
        State.HELD, label(well_known.COMPLETED, "true"), Code.OUT_OF_SIGHT
    ),
    "moved-to-another-quota": Attempt(State.RUNNING, label("team", "other"), Code.OUT_OF_SIGHT),
    "moved-out-of-a-quota": Attempt(State.RUNNING, label("team", None), Code.OUT_OF_SIGHT),
    "phase-forged": Attempt(State.HELD, {"status": {"phase": "Running"}}, Code.FORGED_STATUS),
    "phase-forged-by-argo-server": Attempt(
        State.RUNNING, {"status": {"phase": "Succeeded"}}, Code.FORGED_STATUS, SERVER
    ),
    "over-by-label-and-phase": Attempt(
        State.RUNNING,
        {**label(well_known.COMPLETED, "true"), "status": {"phase": "Succeeded"}},
        Code.FORGED_STATUS,
    ),
    "stored-template-slipped-in": Attempt(
        State.HELD, {"status": {"storedTemplates": {"a": {"name": "a"}}}}, Code.FORGED_STATUS
    ),
    "stored-spec-replaced": Attempt(
        State.RUNNING, {"status": {"storedWorkflowTemplateSpec": STORED}}, Code.FORGED_STATUS
    ),
    "stored-spec-replaced-when-over": Attempt(
        State.FINISHED, {"status": {"storedWorkflowTemplateSpec": STORED}}, Code.FORGED_STATUS
    ),
    "running-step-marked-completed": Attempt(
        State.RUNNING, {"status": {"nodes": {"pod": {"phase": "Succeeded"}}}}, Code.FORGED_STATUS
    ),
    "step-invented": Attempt(
        State.RUNNING, {"status": {"nodes": {"new": {"type": "Pod"}}}}, Code.FORGED_STATUS
    ),
    "lock-holder-forged": Attempt(State.RUNNING, {"status": {"synchronization": None}}, Code.FORGED_STATUS),
    "status-removed": Attempt(State.RUNNING, {"status": None}, Code.FORGED_STATUS),
    "tasks-above-the-cap": Attempt(State.RUNNING, {"spec": {"parallelism": 50}}, Code.TASKS_ABOVE_CAP),
    "tasks-above-what-was-admitted": Attempt(State.RUNNING, {"spec": {"parallelism": 4}}, Code.TASKS_RAISED),
    "tasks-raised-while-held": Attempt(State.HELD, {"spec": {"parallelism": 4}}, Code.TASKS_RAISED),
    "bound-on-tasks-removed": Attempt(State.RUNNING, {"spec": {"parallelism": None}}, Code.NOT_MUTATED),
    "lock-removed": Attempt(State.RUNNING, {"spec": {"templates": [load()]}}, Code.NOT_MUTATED),
    "lock-replaced": Attempt(
        State.HELD,
        {"spec": {"templates": [load(synchronization={"mutexes": [{"name": "mine"}]})]}},
        Code.NOT_MUTATED,
    ),
    "unlocked-template-added": Attempt(
        State.RUNNING,
        {"spec": {"templates": [load(synchronization=LOCK), {**load(), "name": "load"}]}},
        Code.NOT_MUTATED,
    ),
    "instance-set-by-argo": Attempt(
        State.HELD,
        {"spec": {"workflowMetadata": {"labels": {well_known.INSTANCE_ID: "nobody"}}}},
        Code.HOSTILE_METADATA,
    ),
    "end-set-by-argo": Attempt(
        State.HELD,
        {"spec": {"workflowMetadata": {"labelsFrom": {well_known.COMPLETED: {"expression": "'true'"}}}}},
        Code.HOSTILE_METADATA,
    ),
    "marks-set-by-argo": Attempt(
        State.HELD,
        {"spec": {"workflowMetadata": {"annotations": {well_known.TASKS: "0"}}}},
        Code.HOSTILE_METADATA,
    ),
    "quota-left-by-argo": Attempt(
        State.HELD,
        {"spec": {"workflowMetadata": {"labels": {"team": "other"}}}},
        Code.HOSTILE_METADATA,
    ),
    "revived-without-a-retry": Attempt(State.FINISHED, label(well_known.COMPLETED, None), Code.FORGED_STATUS),
    "retried-with-another-program": Attempt(
        State.FINISHED,
        {
            **label(well_known.COMPLETED, None),
            "status": {"phase": None, "storedTemplates": {"a": {"container": {"image": "other"}}}},
        },
        Code.FORGED_STATUS,
    ),
    "retried-with-another-stored-spec": Attempt(
        State.FINISHED,
        {
            **label(well_known.COMPLETED, None),
            "status": {"phase": None, "storedWorkflowTemplateSpec": STORED},
        },
        Code.FORGED_STATUS,
    ),
    "retried-as-one-that-waits": Attempt(State.FINISHED, retry({"phase": "Pending"}), Code.FORGED_STATUS),
    "retried-with-a-lock-of-others": Attempt(
        State.FINISHED,
        retry({"synchronization": {"mutex": {"holding": [{"holder": "x", "mutex": "theirs/Mutex/m"}]}}}),
        Code.FORGED_STATUS,
    ),
    "retried-with-a-step-invented": Attempt(
        State.FINISHED,
        retry({"nodes": {"new": {"type": "Pod", "phase": "Succeeded"}}}),
        Code.FORGED_STATUS,
    ),
    "retried-with-a-step-marked-completed": Attempt(
        State.FINISHED, retry({"nodes": {"wait": {"phase": "Succeeded"}}}), Code.FORGED_STATUS
    ),
    "retried-with-another-template-of-a-step": Attempt(
        State.FINISHED,
        retry({"nodes": {"wait": {"phase": "Running", "templateName": "load"}}}),
        Code.FORGED_STATUS,
    ),
    "retried-with-unreadable-nodes": Attempt(
        State.FINISHED,
        retry({"nodes": None, "compressedNodes": "KLUv/SAA"}),
        Code.FORGED_STATUS,
    ),
    "retried-with-claims-of-others": Attempt(
        State.FINISHED,
        retry({"persistentVolumeClaims": [{"name": "a", "persistentVolumeClaim": {"claimName": "b"}}]}),
        Code.FORGED_STATUS,
    ),
    "retried-with-another-artifact-store": Attempt(
        State.FINISHED,
        retry({"artifactRepositoryRef": {"configMap": "other", "namespace": "theirs"}}),
        Code.FORGED_STATUS,
    ),
    "retried-with-results-invented": Attempt(
        State.FINISHED, retry({"taskResultsCompletionStatus": {"pod": True}}), Code.FORGED_STATUS
    ),
    "tasks-above-the-cap-while-deleted": Attempt(
        State.ENDING, {"spec": {"parallelism": 1000}}, Code.TASKS_ABOVE_CAP
    ),
    "tasks-raised-while-deleted": Attempt(State.ENDING, {"spec": {"parallelism": 4}}, Code.TASKS_RAISED),
    "tasks-mark-lowered-while-deleted": Attempt(State.ENDING, note(well_known.TASKS, "0"), Code.GUARDED_MARK),
    "user-mark-changed-while-deleted": Attempt(State.ENDING, note(well_known.USER, "bob"), Code.GUARDED_MARK),
    "marked-completed-while-deleted": Attempt(
        State.ENDING, label(well_known.COMPLETED, "true"), Code.OUT_OF_SIGHT
    ),
    "hidden-while-deleted": Attempt(State.ENDING, label(well_known.INSTANCE_ID, "nobody"), Code.OUT_OF_SIGHT),
    "moved-to-another-quota-while-deleted": Attempt(State.ENDING, label("team", "other"), Code.OUT_OF_SIGHT),
    "stored-template-slipped-in-while-deleted": Attempt(
        State.ENDING, {"status": {"storedTemplates": {"b": {"name": "b"}}}}, Code.FORGED_STATUS
    ),
    "stored-spec-replaced-while-deleted": Attempt(
        State.ENDING, {"status": {"storedWorkflowTemplateSpec": STORED}}, Code.FORGED_STATUS
    ),
    "lock-removed-while-deleted": Attempt(State.ENDING, {"spec": {"templates": [load()]}}, Code.NOT_MUTATED),
    "priority-mark-raised-while-deleted": Attempt(
        State.DELETED, note(well_known.PRIORITY, "1000"), Code.GUARDED_MARK
    ),
    "slot-inherited-while-deleted": Attempt(
        State.DELETED, note(well_known.INHERITS, "uid-9"), Code.GUARDED_MARK
    ),
    "tasks-raised-while-held-and-deleted": Attempt(
        State.DELETED, {"spec": {"parallelism": 4}}, Code.TASKS_RAISED
    ),
    "moved-out-by-a-label-of-argo": Attempt(
        State.RUNNING, label(well_known.CRON_WORKFLOW, None), Code.OUT_OF_SIGHT
    ),
    "moved-by-a-label-of-argo-while-held": Attempt(
        State.HELD, label(well_known.CRON_WORKFLOW, "other"), Code.OUT_OF_SIGHT
    ),
}
"""By the names that docs/security.md uses."""

FREE: Final[Mapping[str, tuple[State, JsonObject]]] = {
    "stopped": (State.RUNNING, {"spec": {"shutdown": "Stop"}}),
    "terminated while held": (State.HELD, {"spec": {"shutdown": "Terminate"}}),
    "suspended": (State.RUNNING, {"spec": {"suspend": True}}),
    "resumed": (
        State.RUNNING,
        {"status": {"nodes": {"wait": {"phase": "Succeeded", "finishedAt": "2026-03-01T12:00:00Z"}}}},
    ),
    "a label of the user": (State.HELD, label("note", "mine")),
    "an annotation of the user": (State.RUNNING, note("note", "mine")),
    "a finalizer": (State.HELD, {"metadata": {"finalizers": ["example.com/done"]}}),
    "no finalizer any more": (State.DELETED, {"metadata": {"finalizers": None}}),
    "fewer tasks of one that is deleted": (State.DELETED, {"spec": {"parallelism": 1}}),
    "a stop of one that is deleted": (State.DELETED, {"spec": {"shutdown": "Terminate"}}),
    "no finalizer any more while it runs": (State.ENDING, {"metadata": {"finalizers": None}}),
    "fewer tasks while it runs and is deleted": (State.ENDING, {"spec": {"parallelism": 1}}),
    "a stop while it runs and is deleted": (State.ENDING, {"spec": {"shutdown": "Stop"}}),
    "a pause while it runs and is deleted": (State.ENDING, {"spec": {"suspend": True}}),
    "a label of the user while it is deleted": (State.ENDING, label("note", "mine")),
    "fewer tasks": (State.RUNNING, {"spec": {"parallelism": 1}}),
    "parameters": (State.RUNNING, {"spec": {"arguments": {"parameters": [{"name": "a", "value": "2"}]}}}),
    "the spec of one that is over": (State.FINISHED, {"spec": {"parallelism": 50}}),
    "another team when over": (State.FINISHED, label("team", "other")),
    "another instance when over": (State.FINISHED, label(well_known.INSTANCE_ID, "prod")),
    "empty objects as Argo writes them": (State.RUNNING, {"spec": {"arguments": {}, "hooks": {}}}),
}
"""What every user may do."""


def policies() -> Snapshot:
    """Return the policies that the attempts are made under."""
    return snapshot(*POLICIES)


def new() -> JsonObject:
    """Return the Workflow as its author writes it."""
    return workflow(
        {"entrypoint": "load", "parallelism": 2, "templates": [load()]},
        labels={"team": "etl", well_known.CRON_WORKFLOW: "nightly"},
        uid="uid-1",
        resourceVersion="7",
    )


def in_state(state: State) -> JsonObject:
    """Return the Workflow as it is stored."""
    new_one = new()
    held = patched(new_one, mutate(new_one, policies()).patch)
    if state is State.HELD:
        return held
    if state is State.DELETED:
        return merge(held, GOING)
    metadata = msgspec.convert(texts(held, "metadata"), Metadata)
    released = patched(held, hold.release_patch(metadata, NOW, has_status=True))
    running = merge(released, RUN)
    if state is State.ENDING:
        return merge(running, GOING)
    return running if state is State.RUNNING else merge(running, END)


GOING: Final[JsonObject] = {
    "metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z", "finalizers": ["example.com/a"]}
}
RUN: Final[JsonObject] = {
    "metadata": {"labels": {well_known.COMPLETED: "false", well_known.PHASE: "Running"}},
    "status": {
        "phase": "Running",
        "startedAt": "2026-03-01T11:00:00Z",
        "storedTemplates": {"a": {"name": "a", "container": {"image": "a"}}},
        "storedWorkflowTemplateSpec": {"entrypoint": "load", "shutdown": "Stop"},
        "synchronization": {"mutex": {"holding": [{"holder": "a", "mutex": "loads"}]}},
        "nodes": {
            "pod": {"type": "Pod", "phase": "Running", "templateName": "load"},
            "wait": {"type": "Suspend", "phase": "Running", "templateName": "wait"},
        },
    },
}
END: Final[JsonObject] = {
    "metadata": {"labels": {well_known.COMPLETED: "true", well_known.PHASE: "Failed"}},
    "status": {"phase": "Failed", "message": "child failed", "finishedAt": "2026-03-01T11:30:00Z"},
}


def update(
    old: JsonObject, obj: JsonObject, side: Side = Side.MUTATE, *, user: str = USER, uid: str = "update-1"
) -> Review:
    """Return the review of an update."""
    return Review(
        uid=uid,
        side=side,
        operation=Operation.UPDATE,
        namespace=NAMESPACE,
        user=user,
        dry_run=False,
        workflow=decoded(obj),
        old=decoded(old),
        raw=msgspec.Raw(msgspec.json.encode(obj)),
        old_raw=msgspec.Raw(msgspec.json.encode(old)),
    )


def decided(
    old: JsonObject, obj: JsonObject, side: Side = Side.MUTATE, *, user: str = USER, uid: str = "update-1"
) -> Decision:
    """Return what is decided about an update under the policies of the attempts."""
    return apply_policies(update(old, obj, side, user=user, uid=uid), policies(), NOW)
