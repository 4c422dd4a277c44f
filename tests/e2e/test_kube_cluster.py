"""What the contract does not say of a real cluster: its pages, its versions, its connections."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event
from time import monotonic

import pytest

from policy.cluster.errors import Conflict, Forbidden, Gone, NotFound, Unavailable
from policy.cluster.kube.connection import connection
from policy.cluster.kube.kube_cluster import PAGE_SIZE, KubeCluster, connect
from policy.cluster.kube.kubeconfig import ClusterSettingsError
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, WORKFLOWS, Resource
from policy.core.objects.json_patch import JsonObject
from tests.e2e.control_plane import ControlPlane
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import Place, field, text

pytestmark = pytest.mark.e2e

UNKNOWN = Resource("lockkeeper.dev", "v1alpha1", "nosuchkinds", "NoSuchKind")


@pytest.fixture
def place(kube_cluster: KubeCluster) -> Iterator[Place]:
    """Give a new namespace, deleted afterwards."""
    made = kube_cluster.create(
        NAMESPACES,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "kube-"}},
    )
    name = text(made, "metadata", "name")
    yield Place(kube_cluster, name)
    kube_cluster.delete(NAMESPACES, name)


def _config_map(namespace: str, **data: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": namespace},
        "data": dict(data),
    }


def test_a_list_of_more_than_one_page_is_whole(place: Place) -> None:
    """Every object comes exactly once, whole or its metadata alone."""
    wanted = [f"wf-{number:04}" for number in range(2 * PAGE_SIZE + 10)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(place.add, wanted))
    assert place.names() == wanted
    listed = place.cluster.list(WORKFLOWS, namespace=place.namespace, metadata_only=True)
    assert [field(item, "metadata", "name") for item in listed.items] == wanted


def test_items_of_built_in_kinds_say_what_they_are(place: Place) -> None:
    """The API server leaves apiVersion and kind out of them; the cluster puts them in again."""
    made = place.add_config_map("mine", key="1")
    items = place.cluster.list(CONFIG_MAPS, namespace=place.namespace).items
    assert made in items


def test_a_watch_from_a_version_that_is_no_longer_kept_is_gone(place: Place) -> None:
    """Whoever was away for too long has to list again."""
    with pytest.raises(Gone):
        next(place.cluster.watch(WORKFLOWS, since="1", namespace=place.namespace, timeout=5))


def test_a_watch_ends_by_itself_when_its_time_is_over(place: Place) -> None:
    """Without changes there is no event but bookmarks, and the server's end is no error."""
    begun = monotonic()
    events = place.cluster.watch(WORKFLOWS, since=place.version(), namespace=place.namespace, timeout=1)
    assert {event.type for event in events} <= {"BOOKMARK"}
    assert monotonic() - begun < PATIENCE


@pytest.mark.parametrize("connected", [True, False], ids=["waiting for an event", "about to connect"])
def test_closing_ends_a_watch_of_another_thread(
    control_plane: ControlPlane, place: Place, *, connected: bool
) -> None:
    """A controller that is told to stop does not wait for the next change, wherever its watch is."""
    cluster = connect(control_plane.kubeconfig)
    since = place.version()
    place.add("a")
    begun = Event()

    def follow() -> None:
        events = cluster.watch(WORKFLOWS, since=since, namespace=place.namespace, timeout=PATIENCE)
        if connected:
            next(events)
        begun.set()
        for _ in events:
            pass

    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(follow)
        assert begun.wait(PATIENCE)
        cluster.close()
        followed.result(timeout=PATIENCE / 3)


def test_a_foreign_field_is_taken_by_force_only(place: Place, kube_cluster: KubeCluster) -> None:
    """Server-side apply creates, updates, and respects what others have set."""
    made = kube_cluster.apply(CONFIG_MAPS, _config_map(place.namespace, key="1"), field_manager="ours")
    assert field(made, "data") == {"key": "1"}
    theirs = _config_map(place.namespace, key="2")
    with pytest.raises(Conflict):
        kube_cluster.apply(CONFIG_MAPS, theirs, field_manager="theirs")
    taken = kube_cluster.apply(CONFIG_MAPS, theirs, field_manager="theirs", force=True)
    assert field(taken, "data") == {"key": "2"}


def test_our_writes_are_signed_with_our_name(place: Place) -> None:
    """`kubectl get --show-managed-fields` tells people who wrote what."""
    managed = field(place.add("a"), "metadata", "managedFields")
    assert isinstance(managed, list)
    assert [field(one, "manager") for one in managed] == ["lockkeeper"]


def test_kinds_and_namespaces_that_are_not_there_are_not_found(place: Place) -> None:
    """As for a cluster in which our CRDs are not installed yet."""
    with pytest.raises(NotFound):
        place.cluster.list(UNKNOWN)
    with pytest.raises(NotFound):
        place.cluster.create(WORKFLOWS, place.workflow("a"), namespace="no-such-namespace")


def test_a_wrong_token_is_forbidden(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is not worth trying again as it is, so it is no Unavailable."""
    stranger = tmp_path_factory.mktemp("stranger") / "kubeconfig"
    known = control_plane.kubeconfig.read_text(encoding="utf-8")
    stranger.write_text(known.replace(control_plane.token, "wrong"), encoding="utf-8")
    cluster = connect(stranger)
    with pytest.raises(Forbidden):
        cluster.list(WORKFLOWS)
    cluster.close()


def test_a_server_that_is_not_there_is_unavailable(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Reads, writes and, when their time is over, watches say so."""
    nowhere = tmp_path_factory.mktemp("nowhere") / "kubeconfig"
    known = control_plane.kubeconfig.read_text(encoding="utf-8")
    nowhere.write_text(known.replace(control_plane.url, "https://127.0.0.1:9"), encoding="utf-8")
    cluster = KubeCluster(transport=connection(nowhere), rng=Random(1))
    with pytest.raises(Unavailable):
        cluster.list(WORKFLOWS)
    with pytest.raises(Unavailable):
        cluster.delete(WORKFLOWS, "a", namespace="default")
    with pytest.raises(Unavailable):
        next(cluster.watch(WORKFLOWS, since="1", timeout=1))
    cluster.close()


def test_settings_that_lead_nowhere_are_told_apart_from_a_cluster_that_is_away(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A missing kubeconfig is the user's to mend, and no outage."""
    missing = tmp_path_factory.mktemp("none") / "kubeconfig"
    with pytest.raises(ClusterSettingsError, match=str(missing)):
        connect(missing)
