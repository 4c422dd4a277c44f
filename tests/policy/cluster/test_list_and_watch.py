"""A consumer receives all objects and every change of them, each once and in order."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event, current_thread

import pytest

from policy.cluster.errors import ClusterError, Gone, Unavailable
from policy.cluster.list_and_watch import ListerWatcher, WatchInbox, list_and_watch
from policy.cluster.protocol import EventType, Listing, WatchEvent
from policy.core.objects.json_patch import JsonObject
from tests.patience import PATIENCE


def named(name: str) -> JsonObject:
    """Return an object."""
    return {"metadata": {"name": name}}


def added(name: str, version: int) -> WatchEvent[JsonObject]:
    """Return the event of a new object."""
    return WatchEvent(EventType.ADDED, named(name), str(version))


def bookmark(version: int) -> WatchEvent[JsonObject]:
    """Return an event that has only the version of the watch."""
    return WatchEvent(EventType.BOOKMARK, {}, str(version))


class Impatient(Event):
    """A stop event whose waits end at once."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return at once."""
        del timeout
        return self.is_set()


class Notebook:
    """A consumer that writes down what it hears and stops at the word that it is given."""

    def __init__(self, *, stopped: Event, last: str = "") -> None:
        self._stopped = stopped
        self._last = last
        self.heard: list[str] = []
        self.threads: set[str] = set()

    def listed(self, listing: Listing[JsonObject]) -> None:
        """Write down how many there are."""
        self._hear(f"listed {len(listing.items)} at {listing.resource_version}")

    def changed(self, event: WatchEvent[JsonObject]) -> None:
        """Write down what has happened."""
        self._hear(f"{event.type} at {event.resource_version}")

    def failed(self, error: ClusterError) -> None:
        """Write down what went wrong."""
        self._hear(error.message)

    def _hear(self, text: str) -> None:
        self.heard.append(text)
        self.threads.add(current_thread().name)
        if text == self._last:
            self._stopped.set()


class Script:
    """A cluster with scripted answers: `lists` and `watches` are its answers, one after the other."""

    def __init__(
        self,
        *,
        lists: list[Listing[JsonObject] | ClusterError],
        watches: list[list[WatchEvent[JsonObject] | ClusterError]],
    ) -> None:
        self._lists = iter(lists)
        self._watches = iter(watches)
        self.since: list[str] = []
        self.source = ListerWatcher(list=self._list, watch=self._watch)

    def _list(self) -> Listing[JsonObject]:
        answer = next(self._lists)
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    def _watch(self, since: str) -> Iterator[WatchEvent[JsonObject]]:
        self.since.append(since)
        for each in next(self._watches):
            if isinstance(each, ClusterError):
                raise each
            yield each


def followed(script: Script, *, last: str) -> list[str]:
    """Return what a consumer hears, up to the last word."""
    stopped = Impatient()
    notebook = Notebook(stopped=stopped, last=last)
    list_and_watch(script.source, notebook, stopped=stopped)
    return notebook.heard


def test_a_watch_continues_from_the_last_version_that_it_saw() -> None:
    """A time-out of the watch is no reason to list again; bookmarks are seen and are no change."""
    script = Script(
        lists=[Listing((named("a"),), "5")],
        watches=[[added("b", 6), bookmark(9)], [], [added("c", 10)]],
    )
    heard = followed(script, last="ADDED at 10")
    assert heard == ["listed 1 at 5", "ADDED at 6", "ADDED at 10"]
    assert script.since == ["5", "9", "9"]


def test_after_an_error_everything_is_listed_again() -> None:
    """A version that is too old, and a list that fails, cost some time and lose nothing."""
    script = Script(
        lists=[Listing((), "1"), Unavailable("restarting"), Listing((named("a"), named("b")), "8")],
        watches=[[added("a", 2), Gone("too old")], [added("c", 9)]],
    )
    heard = followed(script, last="ADDED at 9")
    assert heard == [
        "listed 0 at 1",
        "ADDED at 2",
        "too old",
        "restarting",
        "listed 2 at 8",
        "ADDED at 9",
    ]


def test_nothing_is_handed_over_after_the_stop() -> None:
    """A consumer that dropped the objects is not filled again."""
    script = Script(lists=[Listing((), "1")], watches=[[added("a", 2), added("b", 3)]])
    assert followed(script, last="ADDED at 2") == ["listed 0 at 1", "ADDED at 2"]


class Watched:
    """A source that the test feeds: each watch has a queue of its own, which an error ends."""

    def __init__(self) -> None:
        self._begun: SimpleQueue[SimpleQueue[WatchEvent[JsonObject] | ClusterError]] = SimpleQueue()
        self._all: list[SimpleQueue[WatchEvent[JsonObject] | ClusterError]] = []
        self.source = ListerWatcher(list=lambda: Listing((), "1"), watch=self._watch)

    def feed(self, *events: WatchEvent[JsonObject] | ClusterError) -> None:
        """Let the watch that has begun last bring something."""
        self._all.append(self._begun.get(timeout=PATIENCE))
        for each in events:
            self._all[-1].put(each)

    def close(self) -> None:
        """End all watches that were fed."""
        for each in self._all:
            each.put(Gone("closed"))

    def _watch(self, since: str) -> Iterator[WatchEvent[JsonObject]]:
        del since
        fed: SimpleQueue[WatchEvent[JsonObject] | ClusterError] = SimpleQueue()
        self._begun.put(fed)
        while not isinstance(each := fed.get(timeout=PATIENCE), ClusterError):
            yield each
        raise each


@pytest.fixture
def stopped() -> Event:
    """Return what stops the watches."""
    return Event()


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Return a source that the test feeds, and end its watches."""
    source = Watched()
    yield source
    source.close()


def test_a_loop_takes_changes_in_its_own_thread(watched: Watched, stopped: Event) -> None:
    """What the loop works on needs no lock; an error of the watch comes as a failure in its turn."""
    notebook = Notebook(stopped=Event())
    inbox = WatchInbox(notebook, name="watch", stopped=stopped)
    inbox.list(watched.source)
    watched.feed(added("a", 2), Gone("too old"))
    while len(notebook.heard) < 3:
        inbox.deliver(PATIENCE)
    assert notebook.heard == ["listed 0 at 1", "ADDED at 2", "too old"]
    assert notebook.threads == {current_thread().name}


def test_events_of_an_older_listing_are_dropped(watched: Watched, stopped: Event) -> None:
    """Folded into a newer listing, a late event would count too little."""
    notebook = Notebook(stopped=Event())
    inbox = WatchInbox(notebook, name="watch", stopped=stopped)
    inbox.list(watched.source)
    watched.feed(added("late", 2))
    while inbox.empty:
        assert not stopped.wait(0.001)
    inbox.list(watched.source)
    watched.feed(added("new", 3))
    while "ADDED at 3" not in notebook.heard:
        inbox.deliver(PATIENCE)
    assert notebook.heard == ["listed 0 at 1", "listed 0 at 1", "ADDED at 3"]


def test_a_loop_that_is_woken_takes_what_is_there(stopped: Event) -> None:
    """A change of policies does not wait for a change of Workflows."""
    inbox = WatchInbox(Notebook(stopped=Event()), name="watch", stopped=stopped)
    inbox.wake()
    assert not inbox.empty
    inbox.deliver(PATIENCE)
    assert inbox.empty
