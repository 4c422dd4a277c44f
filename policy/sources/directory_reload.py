"""When a policy directory is read again, and which snapshot is current while its files are wrong."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE
from policy.sources.directory import (
    Loaded,
    PolicyErrors,
    PolicyFiles,
    Signature,
    load_tree,
    read_tree,
    signature,
)

T = TypeVar("T")

_RACY_SECONDS: Final = 2.0
"""The coarsest time stamp of a file system: a file this young may change again without showing it."""
SETTLE_TRIES: Final = 3
"""How often a folder is read again because it changed meanwhile."""

_LOG: Final = logging.getLogger(__name__)


class _DirectoryState(NamedTuple):
    """The files of one reading, and their signature if they did not change meanwhile."""

    tree: PolicyFiles
    signature: Signature | None


class DirectorySource(Generic[T]):
    """A directory of policies, compiled to a snapshot of type T that is swapped when the files change.

    `compile` turns documents into the snapshot and may raise PolicyErrors for errors that show only in all of
    them together. `on_change` gets every new snapshot after the first; `on_error` each failure once, until
    another one follows or it is over. Both are called in the thread that checks, and must not check again.
    Policies that name no namespace are in `namespace`. Any thread may read `current` and `failed`.
    """

    def __init__(
        self,
        path: Path,
        *,
        compile: Callable[[Loaded], T],  # noqa: A002 - what it does; the builtin is not used here
        on_change: Callable[[T], None],
        on_error: Callable[[PolicyErrors], None],
        clock: Callable[[], float] = time.time,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        self._path = path
        self._namespace = namespace
        self._compile = compile
        self._on_change = on_change
        self._on_error = on_error
        self._clock = clock
        self._checking = threading.Lock()
        self._current: tuple[T] | None = None
        self._failed: PolicyErrors | None = None
        self._signature: Signature | None = None
        self._fingerprint = ""

    @property
    def current(self) -> T:
        """The last good snapshot.

        Raises:
            LookupError: nothing was loaded so far.
        """
        held = self._current
        if held is None:
            raise LookupError(f"no policies were loaded from {self._path} so far")
        return held[0]

    @property
    def failed(self) -> PolicyErrors | None:
        """What is wrong with the files as they are now, or None where `current` was compiled from them."""
        return self._failed

    def load(self) -> T:
        """Load the snapshot for the first time and return it; `on_change` is not called.

        Raises:
            PolicyErrors: the files are wrong; a later `check` may still find them repaired.
        """
        with self._checking:
            try:
                return self._swap(self._read())
            except PolicyErrors as errors:
                self._failed = errors
                raise

    def check(self) -> bool:
        """Read the files again if they changed; return whether there is a new snapshot.

        Wrong files leave `current` as it is.
        """
        with self._checking:
            if self._signature is not None and signature(self._path) == self._signature:
                return False
            reading = self._read()
            if reading.tree.fingerprint == self._fingerprint:
                self._remember(reading)
                return False
            try:
                snapshot = self._swap(reading)
            except PolicyErrors as errors:
                self._fail(errors)
                return False
            self._on_change(snapshot)
            return True

    def watch(self, stop: threading.Event, interval: float) -> None:
        """Check every `interval` seconds until `stop` is set; an unexpected error is logged, not fatal."""
        while not stop.wait(interval):
            try:
                self.check()
            except Exception:  # noqa: BLE001 - whatever it is
                # The thread must survive a bug: without it policies would silently stay as they are.
                _LOG.exception("checking the policies in %s failed", self._path)

    def _read(self) -> _DirectoryState:
        """Read the files, again where they changed meanwhile: half of a change is no policy."""
        before = signature(self._path)
        for _ in range(SETTLE_TRIES):
            tree = read_tree(self._path)
            after = signature(self._path)
            if after == before:
                return _DirectoryState(tree, before)
            before = after
        # A folder that never stops changing is read as it is, and again at the next check.
        return _DirectoryState(read_tree(self._path), None)

    def _swap(self, reading: _DirectoryState) -> T:
        """Compile what was read and make it current.

        Raises:
            PolicyErrors: the files are wrong; nothing but the memory of what was read changes.
        """
        try:
            snapshot = self._compile(load_tree(reading.tree, self._namespace))
        except PolicyErrors:
            self._remember(reading)
            raise
        self._current = (snapshot,)
        self._failed = None
        self._remember(reading)
        return snapshot

    def _remember(self, reading: _DirectoryState) -> None:
        """Note what was read, so that only a change is read again.

        Only the contents show whether young files, and files that could not be read, have changed.
        """
        read = reading.signature
        old = read is not None and read.newest < self._clock() - _RACY_SECONDS
        self._signature = read if old and not reading.tree.errors else None
        self._fingerprint = reading.tree.fingerprint

    def _fail(self, errors: PolicyErrors) -> None:
        known = self._failed is not None and self._failed.errors == errors.errors
        self._failed = errors
        if not known:
            self._on_error(errors)
