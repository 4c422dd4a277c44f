"""A directory source follows its files, and keeps the last good snapshot while they are wrong."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import pytest

from policy.sources.directory import Loaded, PolicyErrors, SourceError
from policy.sources.directory_reload import SETTLE_TRIES, DirectorySource
from tests.patience import PATIENCE

LONG_AFTER = time.time() + 10**6
"""A clock by which every file is old, so that its stat is trusted."""
CONFIG_MAP = "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {}}}}}\n"


class Watched:
    """A source of the names in a folder that remembers its reports and how often it compiled."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.changes: list[list[str | None]] = []
        self.errors: list[str] = []
        self.compiled = 0
        self.source = DirectorySource(
            folder,
            compile=self._compile,
            on_change=self.changes.append,
            on_error=lambda errors: self.errors.append(str(errors)),
            clock=clock,
        )

    def _compile(self, loaded: Loaded) -> list[str | None]:
        self.compiled += 1
        names = [document.metadata.name for document in loaded.documents]
        if "forbidden" in names:
            raise PolicyErrors([SourceError("all", 0, 0, "", "overlap")])
        if "bug" in names:
            raise ZeroDivisionError
        return names

    def write(self, name: str, file: str = "a.yaml") -> None:
        """Put one ConfigMap of that name in a file."""
        (self.folder / file).write_text(CONFIG_MAP.format(name))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Return a loaded source of one ConfigMap called `first`."""
    watched = Watched(tmp_path)
    watched.write("first")
    watched.source.load()
    return watched


def failing(watched: Watched) -> bool:
    """Return whether the source has reported its files as wrong."""
    return watched.source.failed is not None


def hooked(folder: Path, on_open: Callable[[str], None]) -> Path:
    """Return the folder as a path that tells the name of every file below it that is opened."""

    class Hooked(PosixPath):
        """Calls the hook before a file is opened."""

        def open(self, *arguments: Any, **options: Any) -> Any:
            on_open(self.name)
            return super().open(*arguments, **options)

    return Hooked(folder)


class Rounds(threading.Event):
    """A stop event that is set after some waits, and remembers how long each would have been."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self._rounds = rounds

    def wait(self, timeout: float | None = None) -> bool:
        """Return at once; True at the last round."""
        self.waits.append(timeout)
        return len(self.waits) > self._rounds


def test_the_first_load_returns_the_snapshot(tmp_path: Path) -> None:
    """A change of nothing is not reported."""
    watched = Watched(tmp_path)
    watched.write("first")
    assert watched.source.load() == ["first"]
    assert watched.source.current == ["first"]
    assert (watched.changes, watched.source.failed) == ([], None)


def test_before_the_first_load_there_is_no_snapshot(tmp_path: Path) -> None:
    """Reading too early is a mistake in the wiring, and raises."""
    with pytest.raises(LookupError, match="no policies were loaded"):
        _ = Watched(tmp_path).source.current


def test_a_first_load_of_wrong_files_raises_and_can_be_repaired(tmp_path: Path) -> None:
    """A process may refuse to start, or wait for the repair."""
    watched = Watched(tmp_path)
    watched.write("WRONG")
    with pytest.raises(PolicyErrors):
        watched.source.load()
    assert failing(watched)
    assert not watched.source.check()
    watched.write("right")
    assert watched.source.check()
    assert watched.source.current == ["right"]


def test_a_changed_file_becomes_a_new_snapshot(watched: Watched) -> None:
    """The listener gets what `current` is from then on."""
    watched.write("second")
    assert watched.source.check()
    assert watched.source.current == ["second"]
    assert watched.changes == [["second"]]


def test_added_and_removed_files_are_changes(watched: Watched) -> None:
    """The folder counts, not just its files."""
    watched.write("second", "b.yaml")
    assert watched.source.check()
    (watched.folder / "a.yaml").unlink()
    assert watched.source.check()
    assert watched.changes == [["first", "second"], ["second"]]


def test_files_with_the_same_content_are_no_change(watched: Watched) -> None:
    """Touching a file, or writing it again, compiles nothing."""
    watched.write("first")
    os.utime(watched.folder / "a.yaml", (1, 1))
    assert not watched.source.check()
    assert (watched.compiled, watched.changes) == (1, [])


def test_wrong_files_leave_the_last_good_snapshot_in_force(watched: Watched) -> None:
    """The failure is known, reported once, and over when the files are right again."""
    watched.write("WRONG")
    assert not watched.source.check()
    assert not watched.source.check()
    assert watched.source.current == ["first"]
    assert failing(watched)
    assert len(watched.errors) == 1
    assert "WRONG" in watched.errors[0]
    watched.write("third")
    assert watched.source.check()
    assert watched.source.current == ["third"]
    assert not failing(watched)


def test_the_same_failure_is_reported_once_though_the_files_change(watched: Watched) -> None:
    """A comment does not make another error; another error does."""
    watched.write("WRONG")
    watched.source.check()
    with (watched.folder / "a.yaml").open("a") as file:
        file.write("# a comment\n")
    watched.source.check()
    assert len(watched.errors) == 1
    watched.write("WRONGER")
    watched.source.check()
    assert len(watched.errors) == 2


def test_a_failure_that_recurs_is_reported_again(watched: Watched) -> None:
    """In between the files were right, which is a change of its own even to what was in force."""
    watched.write("WRONG")
    watched.source.check()
    watched.write("first")
    assert watched.source.check()
    watched.write("WRONG")
    watched.source.check()
    assert len(watched.errors) == 2
    assert watched.changes == [["first"]]


def test_what_compiling_refuses_is_a_failure_like_any_other(watched: Watched) -> None:
    """Some mistakes only show in all documents together."""
    watched.write("forbidden")
    assert not watched.source.check()
    assert (watched.source.current, watched.errors) == (["first"], ["all: overlap"])


def test_a_folder_that_is_removed_is_a_failure_until_it_is_created_again(watched: Watched) -> None:
    """An unmounted volume does not lift every limit."""
    watched.folder.rename(watched.folder.with_name("aside"))
    assert not watched.source.check()
    assert watched.source.current == ["first"]
    assert watched.errors == [f"{watched.folder}: there is no such file or folder"]
    watched.folder.with_name("aside").rename(watched.folder)
    assert watched.source.check()
    assert not failing(watched)


def test_a_mounted_config_map_is_followed_when_its_link_is_swapped(tmp_path: Path) -> None:
    """The kubelet writes a new folder and renames a link over `..data`; the files themselves stay links."""
    watched = Watched(tmp_path, clock=lambda: LONG_AFTER)

    def mount(version: str, name: str) -> None:
        (tmp_path / version).mkdir()
        watched.write(name, f"{version}/a.yaml")
        os.utime(tmp_path / version / "a.yaml", (1, 1))
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    mount("..2024_01", "first")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert watched.source.load() == ["first"]
    mount("..2024_02", "other")
    assert watched.source.check()
    assert watched.source.current == ["other"]


def test_a_young_file_is_compared_by_content(tmp_path: Path) -> None:
    """Two writes within one tick of the file system's clock look the same to stat."""
    watched = Watched(tmp_path)
    watched.write("one")
    os.utime(tmp_path / "a.yaml", (1, 1))
    watched.source.load()
    for name in ("two", "six", "ten"):
        watched.write(name)
        os.utime(tmp_path / "a.yaml", (1, 1))
        assert watched.source.check()
    assert watched.changes == [["two"], ["six"], ["ten"]]


def test_an_old_folder_that_did_not_change_is_not_read(tmp_path: Path) -> None:
    """The stat of the files is enough, until it differs."""
    opened: list[str] = []
    watched = Watched(hooked(tmp_path, opened.append), clock=lambda: LONG_AFTER)
    (tmp_path / "a.yaml").write_text(CONFIG_MAP.format("first"))
    watched.source.load()
    assert not watched.source.check()
    assert opened == ["a.yaml"]
    (tmp_path / "a.yaml").write_text(CONFIG_MAP.format("second"))
    assert watched.source.check()
    assert opened == ["a.yaml", "a.yaml"]


def test_files_that_could_not_be_read_are_tried_again(tmp_path: Path) -> None:
    """A disk error leaves no trace in the result of stat."""
    broken = True

    def fail(_: str) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")

    watched = Watched(hooked(tmp_path, fail), clock=lambda: LONG_AFTER)
    (tmp_path / "a.yaml").write_text(CONFIG_MAP.format("first"))
    with pytest.raises(PolicyErrors, match="cannot be read: Input/output error"):
        watched.source.load()
    broken = False
    assert watched.source.check()
    assert watched.source.current == ["first"]


def test_a_folder_is_read_again_when_it_changes_meanwhile(tmp_path: Path) -> None:
    """Both files are replaced between their readings: old and new are not mixed."""

    def replace(name: str) -> None:
        if name == "b.yaml":
            (tmp_path / "a.yaml").write_text(CONFIG_MAP.format("new-a"))
            (tmp_path / "b.yaml").write_text(CONFIG_MAP.format("new-b"))
            os.utime(tmp_path / "a.yaml", (1, 1))
            os.utime(tmp_path / "b.yaml", (1, 1))

    watched = Watched(hooked(tmp_path, replace))
    (tmp_path / "a.yaml").write_text(CONFIG_MAP.format("old-a"))
    (tmp_path / "b.yaml").write_text(CONFIG_MAP.format("old-b"))
    assert watched.source.load() == ["new-a", "new-b"]


def test_a_folder_that_never_holds_still_is_read_all_the_same(tmp_path: Path) -> None:
    """Waiting for it could take for ever; the next check reads it again."""
    opened: list[str] = []

    def append(name: str) -> None:
        opened.append(name)
        with (tmp_path / "a.yaml").open("a") as file:
            file.write("#\n")

    watched = Watched(hooked(tmp_path, append), clock=lambda: LONG_AFTER)
    (tmp_path / "a.yaml").write_text(CONFIG_MAP.format("first"))
    assert watched.source.load() == ["first"]
    assert len(opened) == SETTLE_TRIES + 1
    assert watched.source.check()


def test_watching_checks_until_it_is_stopped(watched: Watched) -> None:
    """Each round waits for the interval on the event that ends it."""
    stop = Rounds(2)
    watched.write("second")
    watched.source.watch(stop, 7.5)
    assert stop.waits == [7.5, 7.5, 7.5]
    assert watched.changes == [["second"]]


def test_watching_outlives_a_bug(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged at every round, and the last good snapshot stays."""
    watched.write("bug")
    watched.source.watch(Rounds(2), 1.0)
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert watched.source.current == ["first"]


def test_a_listener_that_fails_does_not_hold_back_the_snapshot(tmp_path: Path) -> None:
    """The snapshot is in force before any listener is called."""

    def refuse(_: int) -> None:
        raise ZeroDivisionError

    source = DirectorySource(
        tmp_path, compile=lambda loaded: len(loaded.documents), on_change=refuse, on_error=lambda _: None
    )
    source.load()
    (tmp_path / "a.yaml").write_text(CONFIG_MAP.format("a"))
    with pytest.raises(ZeroDivisionError):
        source.check()
    assert source.current == 1
    assert not source.check()


def test_a_thread_that_watches_swaps_the_snapshot_for_all_others(tmp_path: Path) -> None:
    """The real event and a real thread: readers see the old names or the new, nothing else."""
    seen, stop = threading.Event(), threading.Event()
    source = DirectorySource(
        tmp_path,
        compile=lambda loaded: len(loaded.documents),
        on_change=lambda _: seen.set(),
        on_error=lambda _: None,
    )
    source.load()
    thread = threading.Thread(target=source.watch, args=(stop, 0.001))
    thread.start()
    try:
        (tmp_path / "new.tmp").write_text(CONFIG_MAP.format("a"))
        (tmp_path / "new.tmp").rename(tmp_path / "a.yaml")
        assert seen.wait(PATIENCE)
        assert source.current == 1
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
