"""A watch over a list is the later list: the one contract that every cache of cluster state needs."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from policy.cluster.errors import ClusterError
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CONFIG_MAPS, EventType, Listing, MergePatch
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.cluster.conftest import field, text

Step: TypeAlias = Callable[[MemoryCluster], object]

PLACES = ("north", "south")
NAMES = ("a", "b", "c")
SELECTORS = ("", "color", "!color", "color=red", "color!=red", "color in (red,blue),size", "size notin (s)")

addresses = st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES))
labels = st.fixed_dictionaries(
    {}, optional={"color": st.sampled_from(("red", "blue")), "size": st.sampled_from(("s", "m"))}
)


def _object(namespace: str, name: str, metadata: JsonObject, count: int) -> JsonObject:
    """Return a ConfigMap."""
    metadata = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"count": str(count)}}


@st.composite
def creates(draw: st.DrawFn) -> Step:
    """A create, with a finalizer or an owner at times."""
    namespace, name = draw(addresses)
    metadata: JsonObject = {"labels": dict(draw(labels))}
    if draw(st.booleans()):
        metadata["finalizers"] = ["lockkeeper.dev/test"]
    owner = draw(st.none() | addresses)

    def step(cluster: MemoryCluster) -> None:
        if owner is not None:
            found = cluster.get(CONFIG_MAPS, owner[1], namespace=owner[0])
            metadata["ownerReferences"] = [{"uid": field(found, "metadata", "uid")}]
        cluster.create(CONFIG_MAPS, _object(namespace, name, metadata, 0))

    return step


@st.composite
def replaces(draw: st.DrawFn) -> Step:
    """An unconditional replace, which drops finalizers and owners."""
    namespace, name = draw(addresses)
    obj = _object(namespace, name, {"labels": dict(draw(labels))}, draw(st.integers(0, 2)))
    return lambda cluster: cluster.replace(CONFIG_MAPS, obj)


@st.composite
def patches(draw: st.DrawFn) -> Step:
    """A patch of labels, of data, or of the finalizers."""
    namespace, name = draw(addresses)
    color: JsonValue = draw(st.sampled_from((None, "red", "blue")))
    value: JsonObject = draw(
        st.sampled_from(
            (
                {"metadata": {"labels": {"color": color}}},
                {"data": {"count": "1"}},
                {"metadata": {"finalizers": None}},
            )
        )
    )
    return lambda cluster: cluster.patch(CONFIG_MAPS, name, MergePatch(value), namespace=namespace)


@st.composite
def deletes(draw: st.DrawFn) -> Step:
    """A delete, which a finalizer may hold up and which may cascade."""
    namespace, name = draw(addresses)
    return lambda cluster: cluster.delete(CONFIG_MAPS, name, namespace=namespace)


steps = st.lists(st.one_of(creates(), replaces(), patches(), deletes()), max_size=25)


def _run(cluster: MemoryCluster, todo: list[Step]) -> None:
    """Take every step; one that the cluster refuses has to change nothing, which the replay shows."""
    for step in todo:
        with suppress(ClusterError):
            step(cluster)


def _by_address(listing: Listing[JsonObject]) -> dict[tuple[str, str], JsonObject]:
    """Return the items of a list by namespace and name."""
    return {_address(item): item for item in listing.items}


def _address(obj: JsonObject) -> tuple[str, str]:
    """Return an object's namespace and name."""
    return text(obj, "metadata", "namespace"), text(obj, "metadata", "name")


@given(
    before=steps,
    after=steps,
    selector=st.sampled_from(SELECTORS),
    namespace=st.sampled_from(("", *PLACES)),
    metadata_only=st.booleans(),
)
def test_replaying_a_watch_over_a_list_gives_the_later_list(
    before: list[Step], after: list[Step], selector: str, namespace: str, *, metadata_only: bool
) -> None:
    """For every selector and namespace, and with each event fitting the state that it meets."""
    cluster = MemoryCluster(clock=lambda: datetime(2026, 11, 23, tzinfo=UTC), rng=Random(1))

    def listed() -> Listing[JsonObject]:
        return cluster.list(CONFIG_MAPS, namespace=namespace, labels=selector, metadata_only=metadata_only)

    _run(cluster, before)
    start = listed()
    _run(cluster, after)
    state = _by_address(start)
    version = int(start.resource_version)
    for event in cluster.watch(
        CONFIG_MAPS,
        since=start.resource_version,
        namespace=namespace,
        labels=selector,
        metadata_only=metadata_only,
        timeout=0,
    ):
        assert int(event.resource_version) > version
        version = int(event.resource_version)
        address = _address(event.object)
        assert (address in state) == (event.type is not EventType.ADDED)
        if event.type is EventType.DELETED:
            del state[address]
        else:
            state[address] = event.object
    assert state == _by_address(listed())
    assert version <= int(listed().resource_version)
