"""What the in-memory cluster promises beyond the protocol: its clock, its log, its threads, its order."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from math import inf
from random import Random
from threading import Event
from time import monotonic

import pytest

from policy.cluster.errors import AlreadyExists, Conflict, Gone, Invalid
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CONFIG_MAPS,
    NAMESPACES,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    MergePatch,
    WatchEvent,
)
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import field, text

NOON = datetime(2026, 11, 23, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))


def _cluster(*, seed: int = 1, log_size: int = 10_000) -> MemoryCluster:
    """Return a cluster whose clock stands still."""
    return MemoryCluster(clock=lambda: NOON, rng=Random(seed), log_size=log_size)


def _config_map(name: str, **metadata: JsonValue) -> JsonObject:
    """Return a ConfigMap that counts from 0."""
    metadata = {"name": name, "namespace": "here", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"count": "0"}}


def _drain(cluster: MemoryCluster, since: str) -> list[WatchEvent[JsonObject]]:
    """Return the ConfigMap events that are there, without waiting for more."""
    return list(cluster.watch(CONFIG_MAPS, since=since, timeout=0))


def test_times_are_those_of_the_clock_in_whole_seconds_of_utc() -> None:
    """Creation and deletion are stamped as Kubernetes writes times."""
    cluster = _cluster()
    made = cluster.create(CONFIG_MAPS, _config_map("a", finalizers=["lockkeeper.dev/test"]))
    cluster.delete(CONFIG_MAPS, "a", namespace="here")
    marked = cluster.get(CONFIG_MAPS, "a", namespace="here")
    assert field(made, "metadata", "creationTimestamp") == "2026-11-23T10:00:00Z"
    assert field(marked, "metadata", "deletionTimestamp") == "2026-11-23T10:00:00Z"
    assert "generation" not in str(field(marked, "metadata"))


def test_the_same_seed_gives_the_same_names_and_uids() -> None:
    """A run on the in-memory cluster can be repeated exactly."""

    def run(seed: int) -> list[JsonObject]:
        cluster = _cluster(seed=seed)
        draft = _config_map("", generateName="run-")
        return [cluster.create(CONFIG_MAPS, draft) for _ in range(3)]

    assert run(1) == run(1)
    assert run(1) != run(2)


class _Stuck(Random):
    """A random number generator that makes the same name a given number of times, then another."""

    def __init__(self, repeats: int) -> None:
        super().__init__(1)
        self._repeats = repeats

    def random(self) -> float:
        """Return the number that `choices` picks a letter by; a name takes five."""
        self._repeats -= 1
        return 0.0 if self._repeats >= 0 else 0.5


def test_a_generated_name_that_is_taken_is_drawn_again() -> None:
    """A collision is not the caller's trouble."""
    cluster = MemoryCluster(clock=lambda: NOON, rng=_Stuck(repeats=15))
    draft = _config_map("", generateName="run-")
    names = [text(cluster.create(CONFIG_MAPS, draft), "metadata", "name") for _ in range(2)]
    assert names == ["run-bbbbb", "run-rrrrr"]


def test_a_generated_name_that_is_never_free_already_exists() -> None:
    """The attempts are bounded, as they are in the API server."""
    cluster = MemoryCluster(clock=lambda: NOON, rng=_Stuck(repeats=1_000))
    draft = _config_map("", generateName="run-")
    cluster.create(CONFIG_MAPS, draft)
    with pytest.raises(AlreadyExists):
        cluster.create(CONFIG_MAPS, draft)


def test_versions_rise_by_one_over_all_kinds() -> None:
    """One sequence orders every change of the cluster; reads and dry runs leave it alone."""
    cluster = _cluster()
    start = int(cluster.list(CONFIG_MAPS).resource_version)
    cluster.create(CONFIG_MAPS, _config_map("a"))
    cluster.create(CONFIG_MAPS, _config_map("b"), dry_run=True)
    template: JsonObject = {
        "apiVersion": WORKFLOW_TEMPLATES.api_version,
        "kind": WORKFLOW_TEMPLATES.kind,
        "metadata": {"name": "t"},
    }
    made = cluster.create(WORKFLOW_TEMPLATES, template, namespace="here")
    assert field(made, "metadata", "resourceVersion") == str(start + 2)
    assert cluster.list(CONFIG_MAPS).resource_version == str(start + 2)


def test_equal_numbers_of_another_json_type_are_a_change() -> None:
    """Python calls 1, 1.0 and true equal; JSON does not."""
    cluster = _cluster()
    versions = {text(cluster.create(CONFIG_MAPS, _config_map("a")), "metadata", "resourceVersion")}
    values: tuple[JsonValue, ...] = (1, True, 1.0)
    for value in values:
        patched = cluster.patch(CONFIG_MAPS, "a", MergePatch({"data": {"count": value}}), namespace="here")
        versions.add(text(patched, "metadata", "resourceVersion"))
    assert len(versions) == 4


def test_a_watch_from_a_version_older_than_the_log_raises_gone() -> None:
    """When two changes are stored, one can lag two changes behind and no more."""
    cluster = _cluster(log_size=2)
    since = [cluster.list(CONFIG_MAPS).resource_version]
    for name in ("a", "b", "c"):
        made = cluster.create(CONFIG_MAPS, _config_map(name))
        since.append(text(made, "metadata", "resourceVersion"))
    with pytest.raises(Gone):
        # It raises before the first read.
        cluster.watch(CONFIG_MAPS, since=since[0])
    assert [len(_drain(cluster, version)) for version in since[1:]] == [2, 1, 0]


@pytest.mark.parametrize("since", ["", "0", "-1", "01", "1.0", "x", "999", "\u0661", "9" * 5_000])
def test_a_version_that_was_never_reached_raises_gone(since: str) -> None:
    """Malformed, future and Kubernetes's special versions all mean: list first."""
    with pytest.raises(Gone):
        _drain(_cluster(), since)


def test_a_reader_that_is_too_slow_for_the_log_gets_an_error() -> None:
    """A watch that lost changes while its reader was busy ends with Gone, never with a gap."""
    cluster = _cluster(log_size=2)
    events = cluster.watch(CONFIG_MAPS, since=cluster.list(CONFIG_MAPS).resource_version, timeout=PATIENCE)
    cluster.create(CONFIG_MAPS, _config_map("first"))
    assert field(next(events).object, "metadata", "name") == "first"
    for name in ("a", "b", "c"):
        cluster.create(CONFIG_MAPS, _config_map(name))
    with pytest.raises(Gone):
        next(events)


def test_a_watch_ends_when_its_time_is_up() -> None:
    """It waits as long as requested and not much longer; with no time it yields what there is."""
    cluster = _cluster()
    since = cluster.list(CONFIG_MAPS).resource_version
    start = monotonic()
    assert list(cluster.watch(CONFIG_MAPS, since=since, timeout=0.05)) == []
    assert 0.05 <= monotonic() - start < PATIENCE
    cluster.create(CONFIG_MAPS, _config_map("a"))
    assert len(_drain(cluster, since)) == 1


def test_continuous_writes_do_not_prolong_a_watch() -> None:
    """A watch that is woken all the time still ends."""
    cluster = _cluster()
    events = cluster.watch(CONFIG_MAPS, since=cluster.list(CONFIG_MAPS).resource_version, timeout=0.05)
    cluster.create(CONFIG_MAPS, _config_map("0"))
    seen = 0
    # Every event makes the next one, so only the deadline can end this.
    for seen, _ in enumerate(events, start=1):
        cluster.create(CONFIG_MAPS, _config_map(str(seen)))
    assert seen >= 1


@pytest.mark.parametrize("timeout", [PATIENCE * 10, inf])
def test_close_ends_every_watch_at_once(timeout: float) -> None:
    """Watchers that wait end with the close, and later ones do not begin."""
    cluster = _cluster()
    since = cluster.list(CONFIG_MAPS).resource_version
    started = [Event() for _ in range(4)]

    def follow(begun: Event) -> list[WatchEvent[JsonObject]]:
        seen = []
        for event in cluster.watch(CONFIG_MAPS, since=since, timeout=timeout):
            seen.append(event)
            begun.set()
        return seen

    with ThreadPoolExecutor(4) as pool:
        watchers = [pool.submit(follow, begun) for begun in started]
        cluster.create(CONFIG_MAPS, _config_map("a"))
        assert all(begun.wait(PATIENCE) for begun in started)
        cluster.close()
        assert [len(watcher.result(timeout=PATIENCE)) for watcher in watchers] == [1] * 4
    assert list(cluster.watch(CONFIG_MAPS, since=since, timeout=timeout)) == []


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let Python change threads after every few instructions, so that a missing lock shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_compare_and_swap_from_many_threads_loses_no_increment() -> None:
    """Every increment is stored exactly once, and the watch saw each of them in order."""
    cluster = _cluster()
    since = text(cluster.create(CONFIG_MAPS, _config_map("counter")), "metadata", "resourceVersion")
    threads, rounds = 8, 25

    def increment() -> None:
        while True:
            obj = cluster.get(CONFIG_MAPS, "counter", namespace="here")
            count = int(text(obj, "data", "count")) + 1
            try:
                cluster.replace(CONFIG_MAPS, {**obj, "data": {"count": str(count)}})
            except Conflict:
                continue
            return

    def work() -> None:
        for _ in range(rounds):
            increment()

    with ThreadPoolExecutor(threads) as pool:
        for worker in [pool.submit(work) for _ in range(threads)]:
            worker.result(timeout=PATIENCE)
    counts = [field(event.object, "data", "count") for event in _drain(cluster, since)]
    assert counts == [str(count + 1) for count in range(threads * rounds)]


def test_an_object_with_another_living_owner_only_loses_the_reference() -> None:
    """As the garbage collector does: the last owner takes the object along."""
    cluster = _cluster()
    uids = [
        text(cluster.create(CONFIG_MAPS, _config_map(name)), "metadata", "uid") for name in ("one", "two")
    ]
    references: list[JsonValue] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": uid} for uid in uids
    ]
    cluster.create(CONFIG_MAPS, _config_map("shared", ownerReferences=references))
    cluster.delete(CONFIG_MAPS, "one", namespace="here")
    shared = cluster.get(CONFIG_MAPS, "shared", namespace="here")
    assert field(shared, "metadata", "ownerReferences") == references[1:]
    cluster.delete(CONFIG_MAPS, "two", namespace="here")
    assert cluster.list(CONFIG_MAPS).items == ()


def test_an_object_that_is_owned_no_more_outlives_its_former_owner() -> None:
    """A reference counts by the present object, also when one was created again under its name."""
    cluster = _cluster()
    owner = cluster.create(CONFIG_MAPS, _config_map("owner"))
    owned: JsonObject = {"ownerReferences": [{"uid": field(owner, "metadata", "uid")}]}
    for name in ("freed", "remade"):
        cluster.create(CONFIG_MAPS, _config_map(name, **owned))
    cluster.replace(CONFIG_MAPS, _config_map("freed"))
    cluster.delete(CONFIG_MAPS, "remade", namespace="here")
    cluster.create(CONFIG_MAPS, _config_map("remade"))
    cluster.delete(CONFIG_MAPS, "owner", namespace="here")
    left = [field(item, "metadata", "name") for item in cluster.list(CONFIG_MAPS).items]
    assert left == ["freed", "remade"]


def test_the_cascade_waits_for_finalizers_and_continues_after_them() -> None:
    """A dependant with a finalizer is marked; what it owns goes when it goes."""
    cluster = _cluster()
    owner = cluster.create(CONFIG_MAPS, _config_map("owner"))
    child = cluster.create(
        CONFIG_MAPS,
        _config_map(
            "child",
            finalizers=["lockkeeper.dev/test"],
            ownerReferences=[{"uid": field(owner, "metadata", "uid")}],
        ),
    )
    cluster.create(
        CONFIG_MAPS, _config_map("leaf", ownerReferences=[{"uid": field(child, "metadata", "uid")}])
    )
    cluster.delete(CONFIG_MAPS, "owner", namespace="here")
    left = [field(item, "metadata", "name") for item in cluster.list(CONFIG_MAPS).items]
    assert left == ["child", "leaf"]
    cluster.patch(CONFIG_MAPS, "child", MergePatch({"metadata": {"finalizers": None}}), namespace="here")
    assert cluster.list(CONFIG_MAPS).items == ()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda cluster: cluster.create(CONFIG_MAPS, {**_config_map("a"), "metadata": {"name": "a"}}),
        lambda cluster: cluster.create(CONFIG_MAPS, {**_config_map("a"), "metadata": "a"}),
        lambda cluster: cluster.create(CONFIG_MAPS, _config_map("a", labels={"count": 1})),
        lambda cluster: cluster.replace(CONFIG_MAPS, _config_map("")),
        lambda cluster: cluster.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "namespace": "n"}}
        ),
        lambda cluster: cluster.list(WORKFLOWS, labels="a in ()"),
    ],
    ids=["no namespace", "no metadata", "label type", "no name", "namespaced Namespace", "selector"],
)
def test_senseless_requests_are_invalid(attempt: Callable[[MemoryCluster], object]) -> None:
    """They fail at once and change nothing."""
    cluster = _cluster()
    with pytest.raises(Invalid):
        attempt(cluster)
    assert cluster.list(CONFIG_MAPS).items == ()


def test_empty_metadata_is_left_out_as_the_api_server_does() -> None:
    """A JSON patch that adds to a map finds it absent here exactly when it would there."""
    cluster = _cluster()
    made = cluster.create(CONFIG_MAPS, _config_map("a", labels={}, annotations=None, finalizers=[]))
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    assert not {"labels", "annotations", "finalizers"} & set(metadata)


@pytest.fixture
def watched() -> Iterator[tuple[MemoryCluster, Iterator[WatchEvent[JsonObject]]]]:
    """Give a cluster and a watch that has begun."""
    cluster = _cluster()
    yield cluster, cluster.watch(CONFIG_MAPS, since=cluster.list(CONFIG_MAPS).resource_version)
    cluster.close()


def test_changing_an_event_changes_no_other_watch(
    watched: tuple[MemoryCluster, Iterator[WatchEvent[JsonObject]]],
) -> None:
    """Every reader gets a copy of its own."""
    cluster, events = watched
    since = cluster.list(CONFIG_MAPS).resource_version
    cluster.create(CONFIG_MAPS, _config_map("a"))
    next(events).object["data"] = {"count": "changed"}
    assert [field(event.object, "data", "count") for event in _drain(cluster, since)] == ["0"]
