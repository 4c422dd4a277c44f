"""The tracker: events folded into a listing are the listing of later."""

import gc
import tracemalloc
from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.cluster.errors import ClusterError
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, EventType, Listing, MergePatch, WatchEvent
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.amounts import UNLIMITED, Amount, Usage
from policy.service.tracking.live_metadata import LiveMetadata
from policy.service.tracking.tracked import MarkedUsage, Reader, Tracked, track
from policy.service.tracking.tracker import LIVE, Tracker
from tests.policy.service.world import draft, memory, name_of

HOLD: dict[str, JsonValue] = {well_known.INSTANCE_ID: well_known.HOLD_VALUE}
LETTERS = "abcde"
WORKFLOWS_KNOWN = 20_000
MEMORY = 600
"""Bytes of each."""


def add(cluster: MemoryCluster, name: str, **labels: str) -> JsonObject:
    """Create a Workflow in one namespace."""
    return cluster.create(WORKFLOWS, draft(name, labels=labels), namespace="here")


def label(cluster: MemoryCluster, name: str, **labels: JsonValue) -> None:
    """Set labels of a Workflow, or remove them with None."""
    cluster.patch(WORKFLOWS, name, MergePatch({"metadata": {"labels": labels}}), namespace="here")


def listed(cluster: MemoryCluster) -> Listing[JsonObject]:
    """Return the live Workflows as the controller lists them."""
    return cluster.list(WORKFLOWS, labels=LIVE, metadata_only=True)


def events(cluster: MemoryCluster, since: str) -> list[WatchEvent[JsonObject]]:
    """Return what the controller's watch shows up to now."""
    return list(cluster.watch(WORKFLOWS, since=since, labels=LIVE, metadata_only=True, timeout=0))


def metadata_of(number: int) -> JsonObject:
    """Return the metadata of a Workflow that a quota made a reservation for."""
    return {
        "name": f"nightly-report-{number:06d}",
        "namespace": f"team-{number % 100}",
        "uid": str(UUID(int=number << 96)),
        "resourceVersion": str(number),
        "creationTimestamp": f"2026-03-01T12:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "labels": {"team": "red", "build": str(number), well_known.RESERVATION: str(UUID(int=number))},
        "annotations": {
            well_known.TASKS: "4",
            well_known.PRIORITY: "0",
            well_known.USER: f"user-{number % 9}",
        },
    }


def copied(found: LiveMetadata) -> LiveMetadata:
    """Return the same in memory of its own, as it comes from the wire."""
    return msgspec.json.decode(msgspec.json.encode(found), type=LiveMetadata)


def follow(tracker: Tracker, cluster: MemoryCluster) -> Callable[[], list[EventType]]:
    """List into a tracker; what is returned folds in everything since and returns the types of the events."""
    listing = listed(cluster)
    tracker.reset(listing)
    since = listing.resource_version

    def catch_up() -> list[EventType]:
        nonlocal since
        found = events(cluster, since)
        for event in found:
            tracker.apply(event)
            since = event.resource_version
        return [event.type for event in found]

    return catch_up


def order(tracker: Tracker) -> list[str]:
    """Return the names in the order of arrival."""
    return [each.name for each in sorted(tracker, key=lambda one: one.arrival)]


changes = st.tuples(
    st.sampled_from(["create", "complete", "retry", "hold", "release", "delete", "note"]),
    st.sampled_from(LETTERS),
)


def change(cluster: MemoryCluster, what: str, name: str, number: int) -> None:
    """Make one change; one that does not apply changes nothing."""
    try:
        match what:
            case "create":
                add(cluster, name)
            case "delete":
                cluster.delete(WORKFLOWS, name, namespace="here")
            case "complete":
                label(cluster, name, **{well_known.COMPLETED: "true"})
            case "retry":
                label(cluster, name, **{well_known.COMPLETED: None})
            case "hold":
                label(cluster, name, **HOLD)
            case "release":
                label(cluster, name, **{well_known.INSTANCE_ID: None})
            case "note":
                label(cluster, name, note=str(number))
    except ClusterError:
        return


@given(before=st.lists(changes, max_size=8), after=st.lists(changes, max_size=20), turns=st.integers(1, 4))
def test_a_listing_and_the_events_after_it_are_the_listing_of_later(
    before: list[tuple[str, str]], after: list[tuple[str, str]], turns: int
) -> None:
    """Whatever happens, and however the events are cut into pieces, the leader knows what is live."""
    cluster = memory()
    for number, (what, name) in enumerate(before):
        change(cluster, what, name, number)
    tracker = Tracker()
    tracker.keep_labels({"note"})
    catch_up = follow(tracker, cluster)
    for number, (what, name) in enumerate(after):
        change(cluster, what, name, number)
        if number % turns == 0:
            catch_up()
    catch_up()
    wanted = [track(item) for item in listed(cluster).items]
    assert len(list(tracker)) == len(wanted)
    for each in wanted:
        found = tracker.get(each.uid)
        assert found is not None
        assert (found.name, found.hold, found.usage_marks) == (each.name, each.hold, each.usage_marks)
        assert found.labels == {key: value for key, value in each.labels.items() if key == "note"}


@given(steps=st.lists(changes, max_size=30), relist_at=st.sets(st.integers(0, 30)))
def test_a_workflow_keeps_its_place_in_the_order_while_it_is_live(
    steps: list[tuple[str, str]], relist_at: set[int]
) -> None:
    """Neither a change nor a new listing sends a Workflow to the end of the queue."""
    cluster = memory()
    tracker = Tracker()
    catch_up = follow(tracker, cluster)
    arrivals: dict[str, int] = {}
    for number, (what, name) in enumerate(steps):
        change(cluster, what, name, number)
        if number in relist_at:
            catch_up = follow(tracker, cluster)
        else:
            catch_up()
        now = {each.uid: each.arrival for each in tracker}
        assert all(now[uid] == arrivals[uid] for uid in now.keys() & arrivals.keys())
        assert all(now[uid] > max(arrivals.values(), default=-1) for uid in now.keys() - arrivals.keys())
        assert len(set(now.values())) == len(now)
        arrivals = now


def test_a_workflow_that_completes_arrives_as_deleted() -> None:
    """The watch asks for live ones only, so no pass counts one that is done."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "a")
    catch_up = follow(tracker, cluster)
    label(cluster, "a", **{well_known.COMPLETED: "true"})
    assert catch_up() == [EventType.DELETED]
    assert len(list(tracker)) == 0


def test_a_workflow_that_is_retried_arrives_as_added() -> None:
    """`argo retry` takes the label away, and the Workflow counts again."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "a", **{well_known.COMPLETED: "true"})
    catch_up = follow(tracker, cluster)
    assert len(list(tracker)) == 0
    label(cluster, "a", **{well_known.COMPLETED: None})
    assert catch_up() == [EventType.ADDED]
    assert order(tracker) == ["a"]


def test_completed_false_is_live() -> None:
    """Argo writes the label with `false` while it runs."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "a", **{well_known.COMPLETED: "false"})
    follow(tracker, cluster)
    assert order(tracker) == ["a"]


def test_arrival_follows_the_order_of_creation_not_of_names() -> None:
    """Workflows of one second keep the order in which they came."""
    cluster, tracker = memory(), Tracker()
    catch_up = follow(tracker, cluster)
    for name in ("c", "a", "b"):
        add(cluster, name)
    catch_up()
    label(cluster, "c", note="later")
    catch_up()
    follow(tracker, cluster)
    assert order(tracker) == ["c", "a", "b"]


def test_one_deleted_and_created_again_by_its_name_is_another_and_arrives_last() -> None:
    """Identity is the uid, not the name."""
    cluster, tracker = memory(), Tracker()
    first = track(add(cluster, "a"))
    add(cluster, "b")
    catch_up = follow(tracker, cluster)
    cluster.delete(WORKFLOWS, "a", namespace="here")
    second = track(add(cluster, "a"))
    catch_up()
    assert order(tracker) == ["b", "a"]
    assert tracker.get(first.uid) is None
    assert tracker.get(second.uid) is not None


def test_a_new_listing_forgets_what_was_deleted() -> None:
    """What was deleted while the watch was broken counts no longer."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "a")
    add(cluster, "b")
    follow(tracker, cluster)
    cluster.delete(WORKFLOWS, "a", namespace="here")
    tracker.reset(listed(cluster))
    assert order(tracker) == ["b"]


def test_a_bookmark_changes_nothing() -> None:
    """It carries a version and no object of ours."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "a")
    follow(tracker, cluster)
    bookmark: JsonObject = {"kind": "Workflow", "metadata": {"resourceVersion": "99"}}
    tracker.apply(WatchEvent(EventType.BOOKMARK, bookmark, "99"))
    assert order(tracker) == ["a"]


def test_the_deletion_of_an_unknown_workflow_is_no_trouble() -> None:
    """An event for a Workflow that was never listed is folded into nothing."""
    cluster, tracker = memory(), Tracker()
    tracker.apply(WatchEvent(EventType.DELETED, add(cluster, "a"), "9"))
    assert len(list(tracker)) == 0


def test_workflows_are_given_by_namespace() -> None:
    """A root is balanced over its own Workflows alone."""
    cluster, tracker = memory(), Tracker()
    for namespace, name in (("x", "a"), ("y", "a"), ("x", "b")):
        cluster.create(WORKFLOWS, draft(name), namespace=namespace)
    follow(tracker, cluster)
    names = {place: [each.name for each in tracker.in_namespaces((place,))] for place in tracker.namespaces()}
    assert names == {"x": ["a", "b"], "y": ["a"]}


def marked(annotations: dict[str, str], labels: dict[str, str] | None = None) -> Tracked:
    """Return what is tracked of a Workflow with these marks."""
    metadata: JsonObject = {"uid": "u", "annotations": {**annotations}, "labels": {**(labels or {})}}
    return track({"metadata": metadata})


def test_the_marks_of_admission_are_read_back() -> None:
    """Metadata carries no spec, so weight, priority and user come from annotations."""
    tracked = marked(
        {well_known.TASKS: "7", well_known.PRIORITY: "-3", well_known.USER: "ann"},
        {well_known.INSTANCE_ID: well_known.HOLD_VALUE, well_known.RESERVATION: "r"},
    )
    assert (tracked.usage_marks, tracked.user) == (MarkedUsage(Amount(7), -3, admitted=True), "ann")
    assert tracked.weight == Usage(1, 7)
    assert (tracked.held, tracked.reservation) == (True, "r")


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {well_known.TASKS: "unlimited"},
        {well_known.TASKS: "-1", well_known.PRIORITY: "high"},
        {well_known.TASKS: "٣", well_known.PRIORITY: "٣"},
        {well_known.TASKS: "1.5", well_known.PRIORITY: "-"},
        {well_known.TASKS: "1_0", well_known.PRIORITY: "--1"},
    ],
)
def test_a_workflow_without_readable_marks_counts_as_unbounded(annotations: dict[str, str]) -> None:
    """What bypassed us, or was scribbled on, counts for too much rather than too little."""
    tracked = marked(annotations)
    marks = tracked.usage_marks
    assert (marks.tasks, marks.priority, tracked.user) == (UNLIMITED, 0, "")
    assert tracked.weight == Usage(1, 0, 1)


@pytest.mark.parametrize("mark", [well_known.TASKS, well_known.PRIORITY])
def test_a_mark_of_thousands_of_digits_is_no_trouble(mark: str) -> None:
    """An annotation that any user can write must not end the controller for all others."""
    tracked = marked({mark: "9" * 5_000})
    assert tracked.uid == "u"


def test_a_foreign_instance_id_is_no_hold() -> None:
    """Workflows of another Argo controller run."""
    tracked = marked({}, {well_known.INSTANCE_ID: "other"})
    assert not tracked.held


def test_held_and_running_part_the_live_ones() -> None:
    """Each Workflow is one of the two."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "waits", **{well_known.INSTANCE_ID: well_known.HOLD_VALUE})
    add(cluster, "runs")
    follow(tracker, cluster)
    assert [each.name for each in tracker if each.held] == ["waits"]
    assert [each.name for each in tracker if not each.held] == ["runs"]


def test_an_object_without_metadata_of_its_own_is_tracked_by_its_uid() -> None:
    """Absent labels, annotations and times are empty, not an error."""
    tracked = track({"metadata": {"uid": "u", "name": "a", "namespace": "here"}})
    assert (tracked.name, tracked.namespace, tracked.labels, tracked.reservation) == ("a", "here", {}, "")
    assert name_of(draft("a")) == tracked.name


def test_only_the_labels_that_quotas_select_by_are_stored() -> None:
    """A hundred thousand Workflows have many labels, and quotas ask for few."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "a", team="red", build="4711")
    tracker.keep_labels({"team"})
    follow(tracker, cluster)
    assert [each.labels for each in tracker] == [{"team": "red"}]
    assert tracker.has_labels({"team"})
    assert not tracker.has_labels({"team", "build"})


def test_a_label_that_was_not_stored_before_needs_a_new_listing() -> None:
    """Labels that were not stored are unknown; fewer than were stored are known."""
    cluster, tracker = memory(), Tracker()
    add(cluster, "a", team="red", build="4711")
    tracker.keep_labels({"team"})
    follow(tracker, cluster)
    tracker.keep_labels(())
    assert not tracker.outdated
    tracker.keep_labels({"build"})
    assert tracker.outdated
    assert not tracker.has_labels({"build"})
    tracker.reset(listed(cluster))
    assert tracker.has_labels({"build"})
    assert [each.labels for each in tracker] == [{"build": "4711"}]


def test_selectors_go_by_the_labels_apart_from_the_hold() -> None:
    """A quota may select the Workflows of one Argo controller; a hold is none."""
    tracked = marked(
        {well_known.ORIGINAL_INSTANCE_ID: "other"},
        {well_known.INSTANCE_ID: well_known.HOLD_VALUE, "team": "red"},
    )
    assert tracked.labels == {well_known.INSTANCE_ID: "other", "team": "red"}
    assert (tracked.metadata.labels or {})[well_known.INSTANCE_ID] == well_known.HOLD_VALUE
    assert marked({}, {well_known.INSTANCE_ID: well_known.HOLD_VALUE}).labels == {}


LABELS = (
    "team",
    "build/number",
    well_known.INSTANCE_ID,
    well_known.RESERVATION,
    well_known.CHILD_OF,
    "nobody-asks",
)


@given(
    labels=st.dictionaries(st.sampled_from(LABELS), st.sampled_from(["a", "b", "", well_known.HOLD_VALUE])),
    keys=st.sets(st.sampled_from(LABELS)),
    original=st.sampled_from([None, "other", well_known.HOLD_VALUE]),
)
def test_what_is_read_in_the_shape_for_some_labels_is_what_is_read_of_all(
    labels: dict[str, str], keys: set[str], original: str | None
) -> None:
    """A list makes nothing of labels that no quota selects by."""
    annotations = {} if original is None else {well_known.ORIGINAL_INSTANCE_ID: original}
    metadata = {**metadata_of(1), "labels": labels, "annotations": annotations}
    body = msgspec.json.encode({"metadata": metadata})
    reader = Reader(keys)
    narrow, whole = (msgspec.json.decode(body, type=shape) for shape in (reader.shape, LiveMetadata))
    assert reader.read(narrow, 7) == reader.read(whole, 7)
    assert "nobody-asks" in keys or "nobody-asks" not in str(narrow)


def test_what_has_no_metadata_is_in_no_shape() -> None:
    """It is distinguished from a Workflow whatever labels are stored."""
    for shape in (LiveMetadata, Reader({"team"}).shape):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(b"{}", type=shape)


@given(st.one_of(st.text(), st.uuids().map(str), st.uuids().map(lambda each: str(each).upper())))
def test_a_reservation_is_read_back_as_it_was_written(reservation: str) -> None:
    """Uids are stored as numbers; any user may write something else."""
    assert marked({}, {well_known.RESERVATION: reservation}).reservation == reservation


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.booleans())
def test_a_name_is_read_back_as_it_was_written(name: str, held: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    """Names of those that run are stored as bytes; what is written of a Workflow names it as its user did."""
    labels: JsonObject = {well_known.INSTANCE_ID: well_known.HOLD_VALUE} if held else {}
    assert track({"metadata": {"name": name, "labels": labels}}).name == name


def test_what_many_have_in_common_is_stored_once() -> None:
    """Of a hundred thousand Workflows most have the same marks and labels as another one."""
    tracker = Tracker()
    found: list[JsonObject] = [
        {"metadata": {"uid": str(each), "labels": {"team": "red"}}} for each in range(2)
    ]
    tracker.keep_labels({"team"})
    tracker.reset(Listing(tuple(found), "1"))
    first, second = tracker
    assert first.traits is second.traits


def test_a_live_workflow_takes_little_memory() -> None:
    """A leader may know a hundred thousand; the bound is generous, `make bench-release` has the figure."""
    found = [
        msgspec.convert({"metadata": metadata_of(number)}, LiveMetadata) for number in range(WORKFLOWS_KNOWN)
    ]
    tracker = Tracker()
    tracker.keep_labels({"team"})
    gc.collect()
    tracemalloc.start()
    try:
        tracker.reset(Listing(tuple([copied(each) for each in found]), "1"))
        tracker.take_changes()
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(list(tracker)) == WORKFLOWS_KNOWN
    assert used / WORKFLOWS_KNOWN <= MEMORY


CREATED = "2026-03-01T12:00:01Z"
LATER = "2026-03-01T12:00:09Z"


def entry(manager: str, time: str, fields: JsonValue) -> JsonValue:
    """Return what one client has set, as the API server records it."""
    return {"manager": manager, "time": time, "fieldsV1": fields}


@pytest.mark.parametrize(
    ("managed", "mark"),
    [
        ([entry("argo", LATER, {"f:spec": {"f:shutdown": {}}})], f"argo {LATER}"),
        ([entry("argo", CREATED, {"f:spec": {".": {}, "f:shutdown": {}}})], f"argo {CREATED}"),
        ([entry("argo", CREATED, {"f:spec": {}})], ""),
        ([entry("argo", CREATED, {"f:spec": {".": {}, "f:entrypoint": {}}})], ""),
        ([entry("argo", LATER, {"f:spec": {}})], f"argo {LATER}"),
        ([entry("argo", CREATED, {"f:spec": {}}), entry("us", LATER, {"f:status": {}})], ""),
        ([entry("argo", CREATED, {"f:spec": {}}), entry("us", CREATED, {"f:status": {}})], f"argo {CREATED}"),
        (
            [entry("argo", CREATED, {"f:metadata": {}}), entry("ann", CREATED, {"f:spec": {}})],
            f"ann {CREATED}",
        ),
        ([entry("argo", "noon", {"f:spec": {}})], "argo noon"),
        ([{"fieldsV1": {"f:spec": {"f:shutdown": {}}}}], "1"),
        ([{"fieldsV1": {"f:spec": {}}}, {"fieldsV1": None}, {}], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_metadata_of_a_held_workflow_shows_that_its_spec_was_changed(
    managed: JsonValue, mark: str
) -> None:
    """A leader reads no specs; Argo's minimal CRDs make the whole spec one field, and then a time tells."""
    obj: JsonObject = {"metadata": {**metadata_of(1), "labels": HOLD, "managedFields": managed}}
    reader = Reader(("team",))
    found = reader.read(msgspec.json.decode(msgspec.json.encode(obj), type=reader.shape), 0)
    assert found.hold is not None
    assert (found.hold.end_mark, found.ending) == (mark, bool(mark))


def test_what_is_stopped_while_it_runs_is_argos() -> None:
    """Only of one that is held is its end ours."""
    managed: JsonValue = [{"fieldsV1": {"f:spec": {"f:shutdown": {}}}}]
    found = track({"metadata": {**metadata_of(1), "managedFields": managed}})
    assert (found.held, found.ending) == (False, False)


def test_a_held_workflow_that_is_being_deleted_is_ending() -> None:
    """A finalizer keeps it; nobody wants it to start any more."""
    gone: JsonObject = {**metadata_of(1), "labels": HOLD, "deletionTimestamp": "2026-03-01T12:00:00Z"}
    assert track({"metadata": gone}).ending


def test_those_that_are_ending_are_known_until_they_are_gone() -> None:
    """By each kind of change: an event, a listing, and that we have ended them ourselves."""
    cluster, tracker = memory(), Tracker()
    for name in ("a", "b", "c"):
        cluster.create(WORKFLOWS, draft(name, labels={key: str(HOLD[key]) for key in HOLD}), namespace="here")
    tracker.reset(listed(cluster))
    since = listed(cluster).resource_version
    for name in ("a", "b", "c"):
        cluster.patch(WORKFLOWS, name, MergePatch({"spec": {"shutdown": "Stop"}}), namespace="here")
    for event in events(cluster, since):
        tracker.apply(event)
    assert [each.name for each in tracker.ending()] == ["a", "b", "c"]
    cluster.patch(WORKFLOWS, "a", MergePatch({"spec": {"shutdown": None}}), namespace="here")
    cluster.delete(WORKFLOWS, "b", namespace="here")
    tracker.reset(listed(cluster))
    assert [each.name for each in tracker.ending()] == ["c"]
    tracker.ended(tracker.ending()[0])
    assert tracker.ending() == ()
    assert [each.name for each in tracker] == ["a"]
