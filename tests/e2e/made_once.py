"""What tests make once and keep: one process makes it, and others that want it meanwhile wait."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Be the only process that makes what lies at a place; whoever waited looks again whether it is there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # The kernel lets go when the process ends, however it does.
        yield
