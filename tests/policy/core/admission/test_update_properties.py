"""Random edits of a Workflow: whatever the guard lets pass keeps every mark that matters."""

from collections.abc import Collection, Mapping
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from policy.cluster.memory.patching import merge
from policy.core.decision.decision import Side
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.semantic_equality import canonical
from policy.core.objects.workflow import Metadata
from tests.policy.core.admission.attempts import (
    ARGO,
    END,
    LOCK,
    RETRY,
    RUN,
    SERVER,
    State,
    decided,
    in_state,
    load,
)
from tests.policy.core.builders import at, decoded, patched, texts

LABELS: Final = (
    well_known.INSTANCE_ID,
    well_known.COMPLETED,
    well_known.RESERVATION,
    well_known.CHILD_OF,
    "team",
    "note",
    "lockkeeper.dev/new",
)
ANNOTATIONS: Final = (*well_known.OUR_ANNOTATIONS, "note", "lockkeeper.dev/new")
_texts = st.sampled_from((None, "", "1", "7", "true", "etl", "other", "prod", well_known.HOLD_VALUE))
_templates: st.SearchStrategy[JsonValue] = st.sampled_from(
    (
        None,
        [load()],
        [load(synchronization=LOCK)],
        [load(synchronization={"mutexes": [{"name": "mine"}]})],
        [load(synchronization=LOCK), load()],
        [{"name": "other", "container": {"image": "b"}}],
    )
)
_spec: st.SearchStrategy[JsonValue] = st.fixed_dictionaries(
    {},
    optional={
        "parallelism": st.sampled_from((None, 0, 1, 2, 3, 5, 6, 10_000)),
        "priority": st.sampled_from((None, 0, 9)),
        "templates": _templates,
        "shutdown": st.sampled_from((None, "Stop")),
        "entrypoint": st.sampled_from(("load", "other")),
        "workflowMetadata": st.fixed_dictionaries(
            {}, optional={"labels": st.dictionaries(st.sampled_from(LABELS), st.just("other"))}
        ),
    },
)
_status: st.SearchStrategy[JsonValue] = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from((None, "", "Pending", "Running", "Succeeded", "Failed")),
        "message": _texts,
        "storedTemplates": st.sampled_from((None, {}, {"a": {"name": "b"}})),
        "storedWorkflowTemplateSpec": st.sampled_from(
            (None, {"shutdown": None}, {"templates": []}, {"entrypoint": "other"})
        ),
        "nodes": st.sampled_from(
            (None, {"wait": {"phase": "Succeeded"}}, {"pod": {"phase": "Succeeded"}}, {"pod": None})
        ),
    },
)
_heads: st.SearchStrategy[JsonValue] = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.none() | st.dictionaries(st.sampled_from(LABELS), _texts, max_size=3),
        "annotations": st.none() | st.dictionaries(st.sampled_from(ANNOTATIONS), _texts, max_size=3),
        "finalizers": st.sampled_from((None, ["example.com/a"])),
    },
)
_edits: st.SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {}, optional={"metadata": _heads, "spec": _spec, "status": _status}
)
_changes = (
    _edits
    | st.sampled_from((RETRY, END, RUN))
    | st.tuples(_edits, st.just(RETRY)).map(lambda two: merge(*two))
)


_FREE_WHILE_HELD: Final = (well_known.TASKS, well_known.ON_HOLD)
"""Marks that an edit of a Workflow that waits may change: it may need less, and it may be paused."""


def _stored(old: JsonObject, obj: JsonObject, user: str) -> JsonObject | None:
    """Return what is stored after both sides, None where one of them refuses."""
    mutated = decided(old, obj, user=user)
    if not mutated.allowed:
        return None
    right = patched(obj, mutated.patch)
    return right if decided(old, right, Side.VALIDATE, user=user, uid="update-2").allowed else None


def _ours(obj: JsonObject) -> Mapping[str, JsonValue]:
    found = {**texts(obj, "metadata", "labels"), **texts(obj, "metadata", "annotations")}
    return {key: value for key, value in found.items() if key.startswith(well_known.PREFIX)}


def _but(marks: Mapping[str, JsonValue], free: Collection[str]) -> Mapping[str, JsonValue]:
    return {key: value for key, value in marks.items() if key not in free}


def _admitted(obj: JsonObject) -> int:
    """Return how many tasks a Workflow counts for; those of the tests are bounded."""
    tasks = hold.quota_marks_of(_metadata(obj)).tasks.value
    assert tasks is not None
    return tasks


def _over(obj: JsonObject) -> bool:
    return texts(obj, "metadata", "labels").get(well_known.COMPLETED) == "true"


@given(st.sampled_from(State), _changes, st.sampled_from(("ann", SERVER, ARGO)))
def test_what_passes_keeps_every_mark_that_matters(state: State, change: JsonObject, user: str) -> None:
    """Of whomever it comes, Argo's own controller included, and in whatever state the Workflow is."""
    old = in_state(state)
    stored = _stored(old, merge(old, change), user)
    if stored is None:
        return
    labels = texts(stored, "metadata", "labels")
    if state in (State.HELD, State.DELETED):
        assert labels[well_known.INSTANCE_ID] == well_known.HOLD_VALUE
    if _over(old) and not _over(stored):  # It is made to run again, and waits its turn.
        assert labels[well_known.INSTANCE_ID] == well_known.HOLD_VALUE
        assert hold.holds_of(_metadata(stored)) == hold.holds_of(_metadata(old)) + 1
        return
    if state is not State.DELETED:
        free = (well_known.PRIORITY, *_FREE_WHILE_HELD) if state is State.HELD else (well_known.PRIORITY,)
        assert _but(_ours(stored), free) == _but(_ours(old), free)
        assert _admitted(stored) == min(_admitted(old), _admitted(stored))
    if state is State.RUNNING:
        assert labels.get(well_known.INSTANCE_ID) is None
        assert labels["team"] == "etl" or _over(stored)


@given(st.sampled_from(State), _changes)
def test_what_passes_runs_what_was_admitted_and_no_more(state: State, change: JsonObject) -> None:
    """The programs that Argo stored, the tasks of the admission and the locks of the policies."""
    old = in_state(state)
    stored = _stored(old, merge(old, change), "ann")
    if stored is None:
        return
    for name in ("storedTemplates", "storedWorkflowSpec", "synchronization"):
        assert canonical(at(stored, "status", name)) == canonical(at(old, "status", name))
    assert at(stored, "status", "storedWorkflowTemplateSpec", "entrypoint") == at(
        old, "status", "storedWorkflowTemplateSpec", "entrypoint"
    )
    if _over(stored):
        return
    parallelism = at(stored, "spec", "parallelism")
    admitted = hold.quota_marks_of(_metadata(stored)).tasks.value
    assert isinstance(parallelism, int)
    assert admitted is not None
    assert parallelism <= admitted
    templates = at(stored, "spec", "templates")
    for template in templates if isinstance(templates, list) else ():
        if at(template, "name") == "load":
            mutexes = at(template, "synchronization", "mutexes")
            assert isinstance(mutexes, list)
            assert {"name": "loads"} in mutexes


@given(st.sampled_from(State), _changes, st.sampled_from(("ann", SERVER, ARGO)))
def test_what_is_restored_is_right_at_once(state: State, change: JsonObject, user: str) -> None:
    """The mutating side has nothing more to change in what it has restored."""
    old = in_state(state)
    obj = merge(old, change)
    decision = decided(old, obj, user=user)
    if decision.allowed and decision.patch:
        assert decided(old, patched(obj, decision.patch), user=user).patch == ()


def _metadata(obj: JsonObject) -> Metadata:
    metadata = decoded(obj).metadata
    assert metadata is not None
    return metadata
