"""Which Workflows run under which slot: whatever happened before, and never more than the root may have."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from policy.cluster.protocol import EventType, Listing, WatchEvent
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.service.tracking.tracker import ChildTree, Tracker

NAMES: Final = "abcdef"
HELD: Final[JsonObject] = {well_known.INSTANCE_ID: well_known.HOLD_VALUE}
changes = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["", *NAMES]),
    st.sampled_from(["runs", "runs", "runs", "waits", "is gone"]),
    st.sampled_from(["1", "3", "7", well_known.UNBOUNDED, ""]),
    st.sampled_from(["here", "here", "here", "there"]),
)
"""A Workflow, the root it is charged to, its state, its tasks, and its namespace."""


def metadata(name: str, above: str, how: str, tasks: str, namespace: str) -> JsonObject:
    """Return an object as the watch shows it; earlier letters were created earlier."""
    labels: JsonObject = {"team": name, **({well_known.CHILD_OF: above} if above else {})}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": name,
            "resourceVersion": "1",
            "creationTimestamp": f"2026-03-01T12:00:{NAMES.index(name):02d}Z",
            "labels": {**labels, **(HELD if how == "waits" else {})},
            "annotations": {well_known.TASKS: tasks} if tasks else {},
        }
    }


def tracker() -> Tracker:
    """Return one that keeps the label by which roots are distinguished."""
    made = Tracker()
    made.keep_labels({"team"})
    made.reset(Listing((), "0"))
    return made


def under(tracker: Tracker) -> dict[str, str]:
    """Return the root that each runs under."""
    return {each.uid: (each.root_labels or {}).get("team", "") for each in tracker}


@given(st.lists(changes, max_size=25))
def test_what_runs_under_which_root_follows_from_what_is_live(
    sequence: list[tuple[str, str, str, str, str]],
) -> None:
    """Event by event it is what a listing of the end gives, and every change of it is returned."""
    followed, live = tracker(), dict[str, JsonObject]()
    told: dict[str, str] = {}
    for name, *rest in sequence:
        obj = metadata(name, *rest)
        gone = "is gone" in rest
        followed.apply(WatchEvent(EventType.DELETED if gone else EventType.MODIFIED, obj, "1"))
        live.pop(name, None)
        if not gone:
            live[name] = obj
        for change in followed.take_changes():
            if change.before is not None:
                assert told.pop(change.before.uid) == ((change.before.root_labels or {}).get("team", ""))
            if change.after is not None:
                told[change.after.uid] = (change.after.root_labels or {}).get("team", "")
        assert told == under(followed)
    listed = tracker()
    listed.reset(Listing(tuple(live.values()), "1"))
    assert under(followed) == under(listed)


@given(st.lists(changes, max_size=25))
def test_no_root_has_more_under_it_than_it_was_admitted_with(
    sequence: list[tuple[str, str, str, str, str]],
) -> None:
    """The root counts itself, runs, is of the same namespace, and was admitted with all these tasks."""
    followed = tracker()
    for name, *rest in sequence:
        kind = EventType.DELETED if "is gone" in rest else EventType.MODIFIED
        followed.apply(WatchEvent(kind, metadata(name, *rest), "1"))
    found = under(followed)
    for root in set(found.values()) - {""}:
        top = followed.get(root)
        assert top is not None
        assert (found[root], top.held, top.admitted) == ("", False, True)
        below = [each for each in followed if found[each.uid] == root]
        assert {each.namespace for each in below} == {top.namespace}
        assert all(each.admitted for each in below)
        bound = top.usage_marks.tasks
        assert bound.unlimited or not any(each.usage_marks.tasks.unlimited for each in below)
        assert bound.covers(sum(each.usage_marks.tasks.value or 0 for each in below))


def test_a_circle_has_no_root() -> None:
    """Only a user that bypasses admission could write such marks, and all in it count."""
    tree = ChildTree()
    for uid, above in (("a", "b"), ("b", "c"), ("c", "b"), ("d", "e")):
        tree.put(uid, above)
    runs = frozenset("abcde").__contains__
    assert [tree.root(uid, runs) for uid in "abcde"] == [None, None, None, "e", "e"]
    assert sorted(tree.descendants("b", runs)) == ["a", "c"]
