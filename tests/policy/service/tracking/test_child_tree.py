"""Which Workflows run under which slot: those that were first, and never more than the root may have."""

from collections.abc import Mapping
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from policy.cluster.memory.patching import merge
from policy.cluster.protocol import EventType, Listing, WatchEvent
from policy.core.admission.child_exemption import fit_under_root
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


def roots(live: Mapping[str, JsonObject]) -> dict[str, str]:
    """Return the root of each if there were capacity for all, by a listing alone."""
    unlimited = tracker()
    unlimited.reset(Listing(tuple(live.values()), "1"))
    for each in unlimited:
        tasks: JsonObject = {well_known.TASKS: well_known.UNBOUNDED} if each.admitted else {}
        obj = merge(live[each.uid], {"metadata": {"annotations": tasks}})
        unlimited.apply(WatchEvent(EventType.MODIFIED, obj, "1"))
    return under(unlimited)


@given(st.lists(changes, max_size=25))
def test_what_runs_under_which_root_follows_from_what_is_live(
    sequence: list[tuple[str, str, str, str, str]],
) -> None:
    """Every change of it is returned. One that is left out has no capacity, by events or by a listing."""
    followed, live = tracker(), dict[str, JsonObject]()
    reported: dict[str, str] = {}
    for name, *rest in sequence:
        obj = metadata(name, *rest)
        gone = "is gone" in rest
        followed.apply(WatchEvent(EventType.DELETED if gone else EventType.MODIFIED, obj, "1"))
        live.pop(name, None)
        if not gone:
            live[name] = obj
        for change in followed.take_changes():
            if change.before is not None:
                assert reported.pop(change.before.uid) == ((change.before.root_labels or {}).get("team", ""))
            if change.after is not None:
                reported[change.after.uid] = (change.after.root_labels or {}).get("team", "")
        assert reported == under(followed)
    listed, wanted = tracker(), roots(live)
    listed.reset(Listing(tuple(live.values()), "1"))
    for found in (followed, listed):
        for each in found:
            root = wanted[each.uid]
            if under(found)[each.uid] != root:
                assert under(found)[each.uid] == ""
                below = [one for one in found if under(found)[one.uid] == root]
                top = found.get(root)
                assert top is not None
                assert not all(
                    fit_under_root(top.usage_marks.tasks, (one.usage_marks.tasks for one in (*below, each)))
                )


@given(st.lists(changes, max_size=25))
def test_no_workflow_loses_its_place_to_another(sequence: list[tuple[str, str, str, str, str]]) -> None:
    """Whichever comes, goes or is released without descendants, the others run under the same root."""
    followed, live = tracker(), dict[str, str]()
    for name, above, *rest in sequence:
        gone = "is gone" in rest
        before, known = under(followed), followed.get(name)
        kind = EventType.DELETED if gone else EventType.MODIFIED
        followed.apply(WatchEvent(kind, metadata(name, above, *rest), "1"))
        live.pop(name, None)
        if not gone:
            live[name] = above
        after, now = under(followed), followed.get(name)
        grown = known is not None and now is not None and known.usage_marks.tasks != now.usage_marks.tasks
        if name in live.values() or (grown and before[name]):
            continue
        kept = {uid: root for uid, root in before.items() if root and uid != name}
        assert kept.items() <= after.items()


def test_one_released_under_a_slot_keeps_its_place_before_one_with_its_own_that_is_seen_first() -> None:
    """They go in one pass, and the leader sees them run in any order."""
    followed = tracker()
    for name, above, how, tasks in (
        ("f", "", "runs", "2"),
        ("b", "f", "runs", "1"),
        ("c", "f", "waits", "1"),
        ("a", "f", "waits", "2"),
        ("a", "f", "runs", "2"),
        ("c", "f", "runs", "1"),
    ):
        followed.apply(WatchEvent(EventType.MODIFIED, metadata(name, above, how, tasks, "here"), "1"))
    assert under(followed) == {"f": "", "a": "", "b": "f", "c": "f"}


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
