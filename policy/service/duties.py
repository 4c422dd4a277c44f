"""Several works of one leader as one: all are done while it leads, and all end when one of them ends.

A term of which a part has died would look healthy and do half of what it should. So the whole term ends; the
elector then gives the lease up, and whoever leads next begins with everything.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Thread

from policy.service.leader import Work


class Duties:
    """Does several works, each in a thread with its name; `ending` is done when all have ended.

    They are forgotten then, whoever still knows of the term: what one of them holds may be large.
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
