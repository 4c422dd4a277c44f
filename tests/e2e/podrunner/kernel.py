"""Calls of the kernel that Python 3.11 has no function for."""

import ctypes
import os
import signal
from collections.abc import Collection
from enum import IntFlag
from pathlib import Path
from typing import Final

CAPABILITIES: Final = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK"),
    *("IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN"),
    *("SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE"),
    *("AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM"),
    *("BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
"""The names of capabilities in the order of their numbers (linux/capability.h)."""
USUAL_CAPABILITIES: Final = frozenset(
    (
        *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP"),
        *("SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
    )
)
"""What the usual runtimes leave to root in a container."""

_DIE_WITH_PARENT: Final = 1
_DROP_FROM_BOUNDING_SET: Final = 24
_NO_NEW_PRIVILEGES: Final = 38
_DETACH: Final = 2
_LAST_CAPABILITY: Final = Path("/proc/sys/kernel/cap_last_cap")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Namespace(IntFlag):
    """The kinds of namespace that a container has of its own (unshare(2))."""

    MOUNT = 0x00020000
    HOST_NAME = 0x04000000
    IPC = 0x08000000
    PROCESS = 0x20000000


class MountFlag(IntFlag):
    """The flags of mount(2) that are used here."""

    READ_ONLY = 1
    NO_SUID = 2
    NO_DEVICES = 4
    NO_EXEC = 8
    REMOUNT = 32
    BIND = 4096
    RECURSIVE = 16384
    PRIVATE = 1 << 18


NO_FLAGS: Final = MountFlag(0)


def mount(
    source: str, target: str, *, kind: str = "", flags: MountFlag = NO_FLAGS, options: str = ""
) -> None:
    """Mount a file system of that kind, or bind what lies at the source. Raises OSError."""
    result = _LIBC.mount(
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(result, f"mount {source} at {target}")


def unshare(kinds: Namespace) -> None:
    """Go into new namespaces; that of processes begins with the next child. Raises OSError."""
    _check(_LIBC.unshare(ctypes.c_int(kinds)), f"make namespaces {kinds!r}")


def unmount(target: str) -> None:
    """Take a mount, and whatever is below it, out of sight. Raises OSError."""
    _check(_LIBC.umount2(target.encode(), _DETACH), f"unmount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make a mount the root of this namespace; the former root is then at `old`. Raises OSError."""
    _check(_LIBC.pivot_root(new.encode(), old.encode()), f"make {new} the root")


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent is gone; a change of user takes that back."""
    _control(_DIE_WITH_PARENT, signal.SIGKILL)


def forbid_new_privileges() -> None:
    """Make sure that no program started from here gets more rights than it would have without."""
    _control(_NO_NEW_PRIVILEGES, 1)


def keep_capabilities(kept: Collection[str]) -> None:
    """Take all other capabilities away for good, from root too, as of the next program. Raises OSError."""
    for number in range(int(_LAST_CAPABILITY.read_text()) + 1):
        if number >= len(CAPABILITIES) or CAPABILITIES[number] not in kept:
            _control(_DROP_FROM_BOUNDING_SET, number)


def _control(operation: int, argument: int) -> None:
    result = _LIBC.prctl(operation, ctypes.c_ulong(argument), *(ctypes.c_ulong(0),) * 3)
    _check(result, f"prctl {operation}")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
