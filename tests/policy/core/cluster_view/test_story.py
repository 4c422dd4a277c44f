"""The story of a Workflow in each state that it may be in, as its owner reads it."""

from datetime import UTC, datetime

import msgspec
import pytest

from policy.core.cluster_view.story import SeenWorkflow, StoryState, story_of_other
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject

NOW = datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
STARTED = "2026-11-23T12:58:30Z"


def seen(
    status: JsonObject | None = None, spec: JsonObject | None = None, *, held: bool = False
) -> SeenWorkflow:
    """Return a Workflow."""
    metadata: JsonObject = {"name": "load", "namespace": "a", "uid": "1"}
    if held:
        metadata["labels"] = {well_known.INSTANCE_ID: well_known.HOLD_VALUE}
    obj: JsonObject = {"metadata": metadata, "spec": spec or {}, "status": status or {}}
    return msgspec.convert(obj, SeenWorkflow)


@pytest.mark.parametrize(
    ("workflow", "state", "first"),
    [
        (seen(), StoryState.NEW, "load is admitted, and Argo's controller has not started it yet"),
        (seen({"phase": "Running", "startedAt": STARTED}), StoryState.RUNNING, "load runs for 1m30s"),
        (seen({"phase": "Running"}, {"suspend": True}), StoryState.SUSPENDED, "load is suspended"),
        (
            seen({"phase": "Running"}, {"shutdown": "Stop"}),
            StoryState.STOPPING,
            "load is being stopped (spec.shutdown Stop)",
        ),
        (
            seen({"phase": "Succeeded", "startedAt": STARTED, "finishedAt": "2026-11-23T12:59:30Z"}),
            StoryState.FINISHED,
            "load is over: Succeeded, it ran 1m",
        ),
        (
            seen({"phase": "Failed", "message": "lockkeeper: it waited 2h in a and did not start"}),
            StoryState.GIVEN_UP,
            "load never ran",
        ),
        (
            seen({"phase": "Failed", "message": "lockkeeper: superseded by load-2, which is newer"}),
            StoryState.SUPERSEDED,
            "load never ran",
        ),
        (seen(held=True), StoryState.RELEASING, "load is being released"),
        (
            seen({"phase": "Pending", "message": "postponed because too many workflows are already running"}),
            StoryState.WAITS_IN_ARGO,
            "load is admitted, and Argo itself keeps it pending",
        ),
    ],
)
def test_each_state_is_told_in_the_first_sentence(
    workflow: SeenWorkflow, state: StoryState, first: str
) -> None:
    """The answer is first, and the details are after it."""
    story = story_of_other(workflow, NOW)
    assert story.state is state
    assert story.sentences[0].startswith(first)


def test_a_lock_that_it_waits_for_is_told_with_its_holders() -> None:
    """It has its slot, so nothing about quotas helps."""
    story = story_of_other(seen({"phase": "Running"}), NOW, locks=("it waits for a/Mutex/db",))
    assert story.state is StoryState.WAITS_FOR_LOCK
    assert story.sentences[1:] == ("it waits for a/Mutex/db",)
