"""Who may compute: permits of the threads of a worker, and the places of reviews that take long.

Python computes in one thread at a time, so a worker hands out few permits. Reviews of a few milliseconds
never notice each other, but some that take seconds at once would leave no permit to the others. So a review
that takes long needs a place, of which there is one less than there are permits; while it waits for one,
another thread has its permit.
"""

from queue import Empty, SimpleQueue


class Permits:
    """A counting semaphore made of a queue of tokens, which is several times faster than threading's."""

    def __init__(self, most: int) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._tokens.put(None)

    def acquire(self) -> None:
        """Wait for a permit."""
        self._tokens.get()

    def release(self) -> None:
        """Give the permit to another thread."""
        self._tokens.put(None)


class LongReviewPlaces:
    """So many places for reviews that take long, beside the permits of a worker."""

    def __init__(self, permits: Permits, places: int) -> None:
        self._permits = permits
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._places.put(None)

    def enter(self, seconds: float) -> bool:
        """Take a free place, or wait for one without a permit; tell whether there was one in time."""
        try:
            self._places.get_nowait()
        except Empty:
            return self._wait(seconds)
        return True

    def leave(self) -> None:
        """Give the place back."""
        self._places.put(None)

    def _wait(self, seconds: float) -> bool:
        self._permits.release()
        try:
            self._places.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        finally:
            self._permits.acquire()
        return True
