"""The story of one Workflow of a reading that waits for quota."""

from policy.core.cluster_view.story import Story, story_of_waiting
from policy.service.reading.live_roots import LiveRoots
from policy.service.reading.what_if import WorkflowWhatIf


def story_of_queued(roots: LiveRoots, uid: str) -> Story | None:
    """Return the story of one that waits; None of one that does not, or that is being released."""
    tracked = roots.reading.tracker.get(uid)
    if tracked is None:
        return None
    live = roots.of_namespace(tracked.namespace)
    position = live.position(tracked.namespace, tracked.uid)
    if position is None:
        return None
    what_if, expected = WorkflowWhatIf(roots, tracked), roots.expected(live.root).get(uid)
    return story_of_waiting(
        live,
        position,
        what_if,
        roots.reading.at,
        expected=expected,
        lengths_known=roots.tells_starts(live.root),
    )
