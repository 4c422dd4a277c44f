"""The page as a browser gets it: every view, headers, errors, and asking again."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, product

import pytest

from lockkeeper.page.app import HEADERS
from policy.cluster.errors import ClusterError, NotFound, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, WORKFLOWS, Listing, Resource
from policy.cluster.stored_lengths import write_lengths
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.page.opened_page import PART, OpenedPage, tag_of, words
from tests.policy.core.lock_graph.running import NAMESPACE, mutex, node, running
from tests.policy.service.reading.read_cluster import RightsIn, Scene
from tests.policy.service.world import complete, member, pool, quota

VIEWS = ("/", "/queue", "/queue?show=running", "/workflows/a/a3", "/locks", "/policies", "/history")


@pytest.fixture
def scene() -> Scene:
    """Return a pool of two slots that are taken, where three wait."""
    made = Scene(
        pool("data", workflows=2), member("a", "data"), member("b", "data"), quota("a", "main", workflows=2)
    )
    for name in ("a1", "a2", "a3"):
        made.submit(name)
    made.leader.work()
    made.submit("b1", "b", priority=7)
    made.submit("b2", "b", user="bea")
    made.leader.work()
    return made


@pytest.fixture
def page(scene: Scene) -> OpenedPage:
    """Return its page."""
    return OpenedPage(scene)


def test_the_overview_shows_pools_and_namespaces(page: OpenedPage) -> None:
    """With what is used, and what waits."""
    text = page.text("/")
    assert "2 running 0 starting 3 queued 0 on hold" in text
    assert "pool data 2 of 2 2 3" in text
    assert "a/main 2 of 2 2 1" in text


def test_the_queue_shows_who_waits_and_why(page: OpenedPage) -> None:
    """In the order of `lockkeeper queue`."""
    text = page.text("/queue")
    assert "1 to 3 of 3 queued" in text
    assert "b1 b 1 0 7 1 ann" in text
    assert "waits for room in ClusterWorkflowQuota data" in text


def test_the_queue_shows_who_runs(page: OpenedPage) -> None:
    """Those fill the slots."""
    assert "a1 a 0 1 ann 4s running" in page.text("/queue?show=running")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("namespace=b", {"b1", "b2"}),
        ("namespace=nowhere", set()),
        ("pool=data", {"a3", "b1", "b2"}),
        ("pool=other", set()),
        ("user=bea", {"b2"}),
        ("reason=WaitingForQuota&namespace=a", {"a3"}),
        ("reason=OnHold", set()),
        ("show=running&namespace=a", {"a1", "a2"}),
        ("page=99", {"a3", "b1", "b2"}),
        ("page=x&sort=y", {"a3", "b1", "b2"}),
    ],
)
def test_the_queue_is_filtered(page: OpenedPage, query: str, shown: set[str]) -> None:
    """What the filters do not understand they leave out."""
    text = page.get(f"/queue?{query}").text
    assert {
        each for each in ("a1", "a2", "a3", "b1", "b2") if f"/workflows/{each[0]}/{each}" in text
    } == shown


def test_one_that_waits_has_its_story(page: OpenedPage) -> None:
    """With who goes before it, and what would help."""
    text = page.text("/workflows/a/a3")
    assert "a3 is queued for 2s: position 1 of 1 in a." in text
    assert "What would help" in text
    assert "spec.priority 8" in text
    assert "b1 b 7 HigherPriority" in text


def test_the_story_tells_how_long_though_nothing_changes(page: OpenedPage) -> None:
    """Half a minute later it is told again."""
    first = page.get("/workflows/a/a3")
    page.later(31)
    assert page.poll("/workflows/a/a3", tag_of(first)).status_code == 200
    assert "a3 is queued for 33s" in page.text("/workflows/a/a3")


def test_one_that_runs_has_its_story(page: OpenedPage) -> None:
    """It is read by itself."""
    assert "a1 is admitted" in page.text("/workflows/a/a1")


def test_one_that_was_created_since_is_told_as_that(scene: Scene) -> None:
    """What is shown is older than it; soon its story is told."""
    page = OpenedPage(scene)
    page.text("/queue")
    scene.submit("a4")
    scene.leader.work()
    assert "a4 was created just now: its place is not known yet." in page.text("/workflows/a/a4")
    page.later(3)
    assert "position 2 of 2 in a" in page.text("/workflows/a/a4")


def test_one_that_runs_is_read_once_for_all(scene: Scene) -> None:
    """And one that is gone is told as that, though it was there before."""
    page = OpenedPage(scene)
    assert "a1 is admitted" in page.text("/workflows/a/a1")
    scene.cluster.delete(WORKFLOWS, "a1", namespace="a")
    assert "a1 is admitted" in page.text("/workflows/a/a1")
    page.later(3)
    assert page.get("/workflows/a/a1").status_code == 404


def test_a_name_that_does_not_exist_gets_the_nearest(page: OpenedPage) -> None:
    """Most are a slip of the fingers."""
    response = page.get("/workflows/a/a33")
    assert response.status_code == 404
    assert "there is no Workflow a33 in a" in words(response)
    assert "did you mean" in words(response)


def test_locks_show_holders_waiters_and_deadlocks(scene: Scene, page: OpenedPage) -> None:
    """One that waits for itself is marked."""
    knot = running("knot", holds={mutex("m"): [""]}, nodes={"n": node(phase="Pending", waiting=mutex("m"))})
    scene.cluster.create(WORKFLOWS, knot, namespace=NAMESPACE)
    text = page.text("/locks")
    assert "Deadlocks team-a/knot waits for ever for team-a/Mutex/m, which only itself holds" in text
    assert "team-a/Mutex/m 1 of 1 held, 1 waiting Holders team-a/knot Waiters team-a/knot n for" in text
    assert "deadlock" in text


def test_policies_show_that_no_controller_has_looked(page: OpenedPage) -> None:
    """Nobody wrote conditions here."""
    assert "data ClusterWorkflowQuota not looked at yet" in page.text("/policies")


def test_the_history_grows_with_time(scene: Scene, page: OpenedPage) -> None:
    """A sample each five seconds at most; the chart says it in words, too."""
    page.text("/")
    complete(scene.cluster, "a1", namespace="a")
    scene.leader.work()
    page.later(10)
    text = page.text("/history")
    assert (
        "pool data Now 2 running, 2 queued, limit 2, longest wait 12s; at most 2 running and 3 queued, and a "
        "wait of 12s."
    ) in text
    assert "With --prometheus URL it goes further back" in text
    assert "H600" in page.get("/history").text


@pytest.mark.parametrize("path", [*VIEWS, "/nowhere", "/static/page.css"])
def test_every_answer_has_the_headers(page: OpenedPage, path: str) -> None:
    """No script or style within the page, nothing from elsewhere, in no frame, in no cache."""
    answer = page.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    answer.close()
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("path", VIEWS)
def test_no_page_has_scripts_or_styles_within(page: OpenedPage, path: str) -> None:
    """The policy of the page would forbid them."""
    text = page.get(path).text
    assert " style=" not in text
    assert "<style" not in text
    assert text.count("<script") == text.count('<script src="/static/')
    assert " on" not in {each[:3] for each in text.split("<") if " onclick" in each}
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("path", VIEWS)
def test_what_is_shown_already_is_not_sent_again(page: OpenedPage, path: str) -> None:
    """Time alone changes nothing; a new reading does, where it is another."""
    first = page.get(path)
    page.later(1)
    again = page.poll(path, tag_of(first))
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Lockkeeper-Read-At"]


@pytest.mark.parametrize("path", ["/", "/queue", "/workflows/a/a3", "/history"])
def test_a_change_is_sent_as_a_part(scene: Scene, page: OpenedPage, path: str) -> None:
    """Only what changes, without the frame of the page."""
    first = page.get(path)
    complete(scene.cluster, "a1", namespace="a")
    scene.leader.work()
    page.later(6)
    again = page.poll(path, tag_of(first))
    assert again.status_code == 200
    assert "<html" not in again.text
    assert tag_of(again) != tag_of(first)


def test_a_whole_page_is_always_sent_whole(page: OpenedPage) -> None:
    """A reload without the script shows something."""
    tag = tag_of(page.get("/"))
    assert page.get("/", If_None_Match=f'"{tag}"').status_code == 200


def test_a_foreign_name_is_refused(page: OpenedPage) -> None:
    """A site that lets its own name lead to this machine could read the page."""
    refused = page.get("/", Host="evil.example:8300")
    assert refused.status_code == 400
    assert "pool" not in refused.text
    for name in ("localhost:8300", "127.0.0.1:8300"):
        assert page.get("/", Host=name).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_only_reads(page: OpenedPage, method: str) -> None:
    """There is nothing to write."""
    assert page.client.open("/queue", method=method).status_code == 405


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'


def test_names_are_text() -> None:
    """A user may have any name; what it says is shown and never done."""
    scene = Scene(quota("a", "main", workflows=1))
    for name in ("r", "w"):
        scene.submit(name, user=HOSTILE)
    scene.leader.work()
    page = OpenedPage(scene)
    for path in (
        "/queue",
        "/queue?show=running",
        "/workflows/a/w",
        f"/queue?user={HOSTILE}&namespace={HOSTILE}",
    ):
        response = page.get(path)
        assert "<script>alert" not in response.text
        assert "<img src=x" not in response.text
        assert "49" not in response.text.partition("onerror")[2][:40]
    assert HOSTILE in page.text("/queue")
    for path in (f"/workflows/{HOSTILE.replace('/', '')}/x", f"/{HOSTILE}"):
        assert "<script>alert" not in page.get(path).text
    assert page.faults == []


class Away(MemoryCluster):
    """A cluster that can stop to answer."""

    def __init__(self, inner: MemoryCluster) -> None:
        self._inner = inner
        self.away = False
        self.error: ClusterError = Unavailable("connection refused")
        self.lists = 0

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """List while it answers."""
        self.lists += 1
        if self.away:
            raise self.error
        return self._inner.list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Get while it answers."""
        if self.away:
            raise self.error
        return self._inner.get(resource, name, namespace=namespace)


def test_a_cluster_that_is_away_is_told_with_the_age_of_what_is_shown(scene: Scene) -> None:
    """What was read before stays there."""
    cluster = Away(scene.cluster)
    page = OpenedPage(scene, cluster=cluster)
    first = page.get("/")
    cluster.away = True
    page.later(5)
    again = page.poll("/", tag_of(first))
    assert again.status_code == 200
    text = words(again)
    assert (
        "The cluster does not answer: connection refused. What is shown is from 2026-11-23 12:00:05 UTC."
        in text
    )
    assert "pool data 2 of 2" in text
    cluster.away = False
    page.later(5)
    assert "does not answer" not in page.text("/")


@pytest.mark.parametrize("path", VIEWS)
def test_a_cluster_that_never_answered_is_an_error_in_one_sentence(scene: Scene, path: str) -> None:
    """There is nothing old to show."""
    cluster = Away(scene.cluster)
    cluster.away = True
    answer = OpenedPage(scene, cluster=cluster).get(path)
    assert answer.status_code == 503
    assert "The cluster does not answer: connection refused" in words(answer)


def test_a_cluster_that_cannot_be_read_is_told_as_that(scene: Scene) -> None:
    """One without our kinds answers, and has nothing to show."""
    cluster = Away(scene.cluster)
    cluster.away, cluster.error = True, ClusterError("it has no kind WorkflowQuota")
    page = OpenedPage(scene, cluster=cluster)
    answer = page.get("/")
    assert answer.status_code == 503
    assert "Cannot be read The cluster cannot be read: it has no kind WorkflowQuota" in words(answer)
    cluster.error = NotFound("the server could not find the requested resource")
    text = page.text("/policies")
    assert "Note: workflowquotas: this cluster does not serve this kind; lockkeeper check tells why" in text


def test_missing_rights_are_an_error_with_what_to_do(scene: Scene) -> None:
    """The rights in one namespace are enough for its page."""
    answer = OpenedPage(scene, cluster=RightsIn(scene.cluster, {"a"})).get("/")
    assert answer.status_code == 403
    text = words(answer)
    assert "You have no right to see this: workflowquotas is forbidden" in text
    assert "Show one namespace, for which its rights are enough" in text
    assert (
        "list workflows.argoproj.io in all namespaces who waits and who runs missing "
        "ClusterRole view , by a ClusterRoleBinding"
    ) in text
    assert "list clusterworkflowquotas.lockkeeper.dev pools and their figures missing" in text
    assert "ClusterRole lockkeeper-pools , by a ClusterRoleBinding" in text


def test_a_namespace_is_chosen_where_not_all_may_be_seen(scene: Scene) -> None:
    """Its address is a link for others, and every link of it stays there."""
    page = OpenedPage(scene, cluster=RightsIn(scene.cluster, {"a"}, CLUSTER_WORKFLOW_QUOTAS))
    chosen = page.get("/namespace?namespace=a")
    assert (chosen.status_code, chosen.location) == (303, "/in/a/")
    text = page.text("/in/a/queue")
    assert "namespace a" in text
    assert "1 to 1 of 1 queued" in text
    links = set(re.findall(r'href="(/[^"]*)"', page.get("/in/a/queue").text))
    assert {each for each in links if not each.startswith(("/in/a/", "/static/"))} == {"/namespace"}
    assert page.get("/in/b/").status_code == 403
    assert page.get("/namespace?namespace=").location == "/"
    for wrong in ("/namespace?namespace=A", "/in/A/queue", "/in/-/"):
        refused = page.get(wrong)
        assert (refused.status_code, "That is no name of a namespace" in refused.text) == (400, True)


def test_what_may_not_be_seen_any_more_is_not_shown(scene: Scene) -> None:
    """A right that was taken away takes away what was read with it."""
    namespaces = {"", "a", "b"}
    page = OpenedPage(scene, cluster=RightsIn(scene.cluster, namespaces))
    assert "pool data" in page.text("/")
    assert "a1 is admitted" in page.text("/workflows/a/a1")
    namespaces.clear()
    page.later(3)
    for path in VIEWS:
        if path != "/policies":  # It tells of each kind by itself what may not be read.
            answer = page.get(path)
            assert (answer.status_code, "b1" in answer.text, "pool data" in answer.text) == (
                403,
                False,
                False,
            )


def test_a_user_of_one_namespace_sees_it(scene: Scene) -> None:
    """And a note about what is not known."""
    cluster = RightsIn(scene.cluster, {"a"}, CLUSTER_WORKFLOW_QUOTAS)
    text = OpenedPage(scene, namespace="a", cluster=cluster).text("/queue")
    assert "namespace a" in text
    assert "1 to 1 of 1 queued" in text
    assert "Note: workflows of other namespaces" in text


def test_one_reading_is_for_all(scene: Scene) -> None:
    """Ten browsers cost as much as one."""
    cluster = Away(scene.cluster)
    page = OpenedPage(scene, cluster=cluster)
    page.get("/")
    before = cluster.lists
    for _ in range(10):
        page.get("/queue")
    assert cluster.lists == before


def test_costly_readings_are_rare(scene: Scene) -> None:
    """Reading takes a tenth of a core at most, however large the cluster is."""
    spent = iter(float(each) for each in range(100))
    cluster = Away(scene.cluster)
    page = OpenedPage(scene, cluster=cluster, cost=lambda: next(spent))
    page.get("/")
    before = cluster.lists
    page.later(9)
    page.get("/")
    assert cluster.lists == before
    page.later(2)
    page.get("/")
    assert cluster.lists > before


def loads(count: int) -> Iterator[str]:
    """Yield names as `generateName: load-` gives them: what is known of one is known of all."""
    yield from (f"load-{''.join(each)}" for each in islice(product("bcdfghjklm", repeat=5), count))


def crowd(count: int) -> Scene:
    """Return one slot for so many, of which each takes ten minutes."""
    scene = Scene(quota("a", "main", workflows=1))
    lengths = RunLengths()
    for number in range(9):
        lengths.add(series_of("a", "load-bcdfg"), timedelta(minutes=10, seconds=number), scene.clock())
    write_lengths(scene.cluster, lengths.stored(scene.clock()))
    for name in loads(count):
        scene.submit(name, age=0)
    scene.leader.work()
    return scene


def test_it_tells_when_those_that_wait_are_expected_to_start() -> None:
    """As times of a day in the queue, and in a sentence of the story."""
    page = OpenedPage(crowd(3))
    found = re.findall(r" UTC WaitingForQuota", page.text("/queue"))
    assert len(found) == 2
    _, name, _ = loads(3)
    story = page.text(f"/workflows/a/{name}")
    assert "it is expected to start in " in story
    assert re.search(r"Expected start \d\d:\d\d-\d\d:\d\d UTC", story)


def test_where_nothing_is_known_of_runs_no_start_is_told(page: OpenedPage) -> None:
    """The column says so, and so does the story."""
    assert re.search(r"\ds - WaitingForQuota", page.text("/queue"))
    assert "when it starts cannot be said" in page.text("/workflows/a/a3")


def test_of_many_the_starts_are_computed_beside_the_view() -> None:
    """The first view does not wait for them; they are in the next, also where nothing changes."""
    scene = crowd(303)
    later: list[Callable[[], None]] = []
    page = OpenedPage(scene, background=later.append)
    *_, last = loads(5)
    first = page.get("/queue")
    assert " UTC</span>" not in first.text
    story = page.text(f"/workflows/a/{last}")
    assert "when it starts" not in story
    assert "expected to start" not in story
    assert len(later) == 1
    later.pop()()
    page.later(3)
    again = page.poll("/queue", tag_of(first))
    assert again.status_code == 200
    assert again.text.count(" UTC</span>") == 100
    assert "it is expected to start in " in page.text(f"/workflows/a/{last}")
    assert later


def test_five_thousand_waiters_are_paged() -> None:
    """Each view takes less than a second of CPU, and asked again while it is unchanged next to none."""
    page = OpenedPage(crowd(5001), background=lambda _: None)
    *_, last = loads(2500)
    views = [each.replace("/a3", f"/{last}") for each in VIEWS]
    for view in ("/queue?page=3", *views):
        page.later(60)
        begin = time.thread_time()
        first = page.get(view)
        assert time.thread_time() - begin < 3, view
        assert first.text.count("<tr") <= 101, view
        begin = time.thread_time()
        for _ in range(10):
            assert page.poll(view, tag_of(first)).status_code == 304
        assert time.thread_time() - begin < 10 * 0.02, view
    assert "201 to 300 of 5000 queued" in page.text("/queue?page=3")


def test_of_many_namespaces_two_hundred_are_shown_at_once() -> None:
    """A page of them, the way to the next, and a field for one of them; policies and history likewise."""
    names = [f"n{number:03}" for number in range(250)]
    page = OpenedPage(Scene(*(quota(name, "main", workflows=1) for name in names)))
    first = page.get("/")
    assert "1 to 200 of 250" in words(first)
    assert 'href="/?page=2"' in first.text
    assert 'action="/namespace"' in first.text
    second = page.text("/?page=2")
    assert "201 to 250 of 250" in second
    assert "n200/main" in second
    assert "n199/main" not in second
    assert "201 to 250 of 250" in page.text("/policies?page=99")
    assert "200 of 250 quotas are shown here" in page.text("/history")
    assert "page 1 of" not in page.text("/in/n007/")


def test_a_fault_of_ours_is_told_and_reported(page: OpenedPage) -> None:
    """The user sees no traceback."""
    fault = RuntimeError("broken")

    @page.app.get("/broken")
    def broken() -> str:
        """Fail."""
        raise fault

    answer = page.get("/broken")
    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    assert "Lockkeeper could not make this page (RuntimeError)" in words(answer)
    assert page.faults == [fault]


def test_the_time_of_reading_is_told(page: OpenedPage) -> None:
    """As text, and for the script."""
    answer = page.get("/", **PART)
    assert datetime.fromisoformat(answer.headers["Lockkeeper-Read-At"]) == datetime(
        2026, 11, 23, 12, 0, 5, tzinfo=UTC
    )
