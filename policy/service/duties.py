"""Several works of one leader as one: all are done while it leads, and all end when one of them ends.

A term of which a part has died would look healthy and do half of what it should. So the whole term ends; the
elector then gives the lease up, and whoever leads next begins with everything.
"""

from collections.abc import Mapping
from queue import SimpleQueue
from threading import Thread

from policy.service.leader import Work


class Duties:
    """Does several works, each in a thread with its name."""

    def __init__(self, works: Mapping[str, Work]) -> None:
        self._works = dict(works)
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
        if first is not None:
            raise first

    def _do(self, work: Work) -> None:
        error: BaseException | None = None
        try:
            work.run()
        except Exception as failure:  # noqa: BLE001 - it is raised again where the term is run
            error = failure
        self._ended.put(error)
