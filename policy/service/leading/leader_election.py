"""Leader election over the Cluster protocol: one of several controllers works, another takes over at once.

The work is started when the lease is taken and stopped when it is lost; a lost leader goes on as a candidate.
The work of a term has several parts (`Duties`), and most of them are done in passes (`Passes`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from queue import SimpleQueue
from threading import Event, Thread
from typing import Protocol

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound, Trouble
from policy.cluster.protocol import Cluster
from policy.core.objects.json_patch import JsonObject
from policy.service.leading.leases import (
    LEASES,
    RENEW_WITHIN,
    RETRY,
    Lease,
    LeaseStep,
    Sighting,
    given_up,
    new_lease,
    next_step,
    observe,
    renewed,
    taken,
)


class Work(Protocol):
    """What a leader does; `run` returns soon after `stop`."""

    def run(self) -> None:
        """Work until stopped."""
        ...

    def stop(self) -> None:
        """End the work."""
        ...


class Passes(ABC):
    """Work done in passes: one soon after something has changed, and one when the last said that it is due.

    `settle` is how many seconds there are from a change to the pass over it, so that a burst makes one pass.
    """

    def __init__(self, *, settle: float) -> None:
        self._settle = settle
        self._woken = Event()
        self._stopped = Event()

    def wake(self) -> None:
        """Make a pass soon: something has changed that it looks at."""
        self._woken.set()

    def stop(self) -> None:
        """End the work after the write that is under way."""
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        """Work until stopped; no error of the cluster ends it."""
        while not self._stopped.wait(self._settle):
            self._woken.clear()
            self._woken.wait(self.run_pass())

    @abstractmethod
    def run_pass(self) -> float | None:
        """Do what is due; returns the seconds until the next pass is, None where only a change brings one."""


class Duties:
    """Does several works as one, each in a thread with its name: all end when one of them ends.

    A term of which a part has died would look healthy and do half of what it should. So the whole term ends;
    the elector then gives the lease up, and whoever leads next begins with everything. `ending` is done when
    all have ended. They are forgotten then, whoever still knows of the term: what one of them holds may be
    large.
    """

    def __init__(self, works: Mapping[str, Work], *, ending: ExitStack | None = None) -> None:
        self._works = works
        self._ending = ending or ExitStack()
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def stop(self) -> None:
        """End all works."""
        for work in self._works.values():
            work.stop()

    def run(self) -> None:
        """Work until one of the works ends, then end the others.

        Raises:
            Exception: what the first work that ended was ended by, if it was an error.
        """
        with self._ending:
            first = self._run()
        self._works = {}
        if first is not None:
            raise first

    def _run(self) -> BaseException | None:
        """Work until all have ended; returns what ended the first, None where that was no error."""
        threads = [
            Thread(target=self._do, args=(work,), name=name, daemon=True)
            for name, work in self._works.items()
        ]
        for thread in threads:
            thread.start()
        first = self._ended.get()
        self.stop()
        for thread in threads:
            thread.join()
        return first

    def _do(self, work: Work) -> None:
        error: BaseException | None = None
        try:
            work.run()
        except Exception as failure:  # noqa: BLE001 - it is raised again where the term is run
            error = failure
        self._ended.put(error)


class Elector:
    """A candidate named `me`; `start` makes the work anew for each term."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        namespace: str,
        name: str,
        me: str,
        start: Callable[[], Work],
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        trouble: Trouble,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._me = me
        self._start = start
        self._clock = clock
        self._stopwatch = stopwatch
        self._trouble = trouble
        self._seen: Sighting | None = None
        self._renewed_at = 0.0
        self._stopped = Event()
        self.ended = Event()
        self._work: Work | None = None
        self._working: Thread | None = None

    @property
    def leading(self) -> bool:
        """Whether the work is being done here."""
        return self._working is not None and self._working.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether the end was asked for."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the work, give the lease up, and end the loop."""
        self._stopped.set()

    def run(self) -> None:
        """Campaign, lead and campaign again until stopped; `ended` is set when the lease is given up."""
        try:
            while not self._stopped.is_set():
                self.turn()
                self._stopped.wait(RETRY.total_seconds())
            self._resign()
        finally:
            self.ended.set()

    def turn(self) -> None:
        """Look at the lease once, and take it, renew it or leave it; start or end the work accordingly."""
        try:
            holding = self._campaign()
        except ClusterError as error:
            self._trouble("leader election", error)
            holding = self.leading and not self._overdue()
        if holding and not self.leading:
            self._begin()
        elif not holding and self.leading:
            self._end()

    def _campaign(self) -> bool:
        """Return whether the lease is ours after one look at it."""
        now = self._stopwatch()
        try:
            lease = self._read()
        except NotFound:
            return self._write(new_lease(self._name, self._namespace, self._me, self._clock()), new=True)
        self._seen = observe(self._seen, lease, now)
        match next_step(self._seen, self._me, now):
            case LeaseStep.TAKE:
                return self._write(taken(lease, self._me, self._clock()))
            case LeaseStep.RENEW if self._work_has_died():
                self._resign()
                return False
            case LeaseStep.RENEW:
                return self._write(renewed(lease, self._clock()))
            case LeaseStep.WAIT:
                return False

    def _work_has_died(self) -> bool:
        """Tell whether the work ended by itself: another leader fenced it off, or it has a bug."""
        return self._working is not None and not self._working.is_alive()

    def _read(self) -> Lease:
        return msgspec.convert(self._cluster.get(LEASES, self._name, namespace=self._namespace), Lease)

    def _write(self, obj: JsonObject, *, new: bool = False) -> bool:
        """Write the lease; False where another candidate was first."""
        asked = self._stopwatch()
        try:
            if new:
                self._cluster.create(LEASES, obj, namespace=self._namespace)
            else:
                self._cluster.replace(LEASES, obj)
        except (AlreadyExists, Conflict, NotFound):
            return False
        self._renewed_at = asked
        return True

    def _overdue(self) -> bool:
        return self._stopwatch() - self._renewed_at >= RENEW_WITHIN.total_seconds()

    def _begin(self) -> None:
        self._work = self._start()
        self._working = Thread(target=self._work.run, name="leader", daemon=True)
        self._working.start()

    def _end(self) -> None:
        if self._work is not None:
            self._work.stop()
        if self._working is not None:
            self._working.join()
        self._work = self._working = None

    def _resign(self) -> None:
        """End the work first, then give the lease up: never two at work."""
        self._end()
        try:
            lease = self._read()
            if lease.spec.holder_identity == self._me:
                self._cluster.replace(LEASES, given_up(lease, self._clock()))
        except ClusterError as error:
            self._trouble("giving the lease up", error)
