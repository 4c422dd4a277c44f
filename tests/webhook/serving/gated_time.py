"""`python -m tests.webhook.serving.gated_time`: a webhook whose long reviews go on once somebody lets them.

It is `lockkeeper serve` but for the clock of its threads. A review that looks at it often is long at once;
then it writes a byte into the named pipe `arrived` beside the policies, and waits for one of `gate`.
"""

import sys
import threading
import time
from pathlib import Path

from tests.webhook.serving.gated_ledger import GATE, admission, serve
from webhook.routes import Admission
from webhook.turns import LONG

ARRIVED = "arrived"
_MANY = 300
"""Looks at the clock that short reviews do not come near to, also if one thread answers several of them."""


class GatedTime:
    """A clock by which the first long review of a thread stays where it is until it is let go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = threading.local()

    def __call__(self) -> float:
        """Return the time; a thread that has asked often gets a later one, and that late."""
        looks = self._thread.looks = getattr(self._thread, "looks", 0) + 1
        if threading.current_thread() is threading.main_thread() or looks < _MANY:
            return time.monotonic()
        if looks == _MANY + 1:  # At the look before, it has become a long one and got its slot.
            with (self._folder / ARRIVED).open("wb", buffering=0) as arrived:
                arrived.write(b"x")
            with (self._folder / GATE).open("rb", buffering=0) as gate:
                gate.read(1)
        return time.monotonic() + 2 * LONG


def gated(policies: Path) -> Admission:
    """Build the application, in the worker."""
    return admission(policies, waits=False, monotonic=GatedTime(policies.parent))


if __name__ == "__main__":
    sys.exit(serve(gated))
