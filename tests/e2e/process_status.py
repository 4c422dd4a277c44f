"""What the kernel says of a process on this machine: who it is, what it may, and what it can write to."""

import os
from errno import errorcode
from pathlib import Path
from typing import Final

import msgspec

_PROC: Final = Path("/proc")
_CAPABILITIES: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


class ProcessStatus(msgspec.Struct, frozen=True):
    """A process: all its user and group ids, and all its sets of capabilities put together."""

    pid: int
    parent: int
    users: frozenset[int]
    groups: frozenset[int]
    capabilities: int
    no_new_privileges: bool


def status_of(pid: int) -> ProcessStatus:
    """Return what /proc says (proc_pid_status(5)). Raises OSError where there is no such process."""
    lines = (_PROC / str(pid) / "status").read_text().splitlines()
    found = {name: text.split() for name, _, text in (line.partition(":") for line in lines)}
    capabilities = 0
    for each in _CAPABILITIES:
        capabilities |= int(found[each][0], 16)
    return ProcessStatus(
        pid,
        int(found["PPid"][0]),
        frozenset(map(int, found["Uid"])),
        frozenset(map(int, (*found["Gid"], *found["Groups"]))),
        capabilities,
        found["NoNewPrivs"] == ["1"],
    )


def family_of(pid: int) -> list[ProcessStatus]:
    """Return a process and all that it has started, those of its children too."""
    everybody = [status for each in _PROC.iterdir() if each.name.isdecimal() if (status := _seen(each.name))]
    family = [each for each in everybody if each.pid == pid]
    for member in family:
        family += [each for each in everybody if each.parent == member.pid]
    return family


def mount_points(pid: int) -> list[str]:
    """Return where something is mounted, as a process sees it."""
    return [line.split(" ")[4] for line in (_PROC / str(pid) / "mountinfo").read_text().splitlines()]


def write_error(pid: int, folder: str) -> str:
    """Return why root of this machine cannot make a file where a process sees a folder, "" where it can.

    There may be no link in the path: it would be followed from the machine's root.
    """
    path = f"{_PROC}/{pid}/root{folder.rstrip('/')}/written-by-a-test"
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError as error:
        return errorcode[error.errno or 0]
    Path(path).unlink()
    return ""


def _seen(pid: str) -> ProcessStatus | None:
    try:
        return status_of(int(pid))
    except OSError:  # It has ended meanwhile.
        return None
