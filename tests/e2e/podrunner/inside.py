"""The first moments of a container: makes its namespaces and its root, and becomes its command.

The command is process 1 of its own process namespace, so that all others end with it and it gets only the
signals that it asks for, as in any container. The confinement comes as one line on standard input. Into the
pipe whose number is the argument go the command's id on this machine, and what went wrong, if anything did.
"""

import os
import select
import signal
import socket
import sys
from typing import Final

import msgspec

from tests.e2e.podrunner import kernel
from tests.e2e.podrunner.confinement import TROUBLE, Confinement, Identity
from tests.e2e.podrunner.container_root import enter
from tests.e2e.podrunner.kernel import MountFlag, Namespace

_NAMESPACES: Final = Namespace.MOUNT | Namespace.PROCESS | Namespace.HOST_NAME | Namespace.IPC
_KILLED: Final = 128
_CANNOT_START: Final = 128
"""The exit code of a container whose command could not be started, as runtimes have it."""
_USUAL_SIGNALS: Final = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)
"""What Python answers in its own way, and the command must find as the kernel does it."""


def main() -> None:
    """Make the namespaces, start the container in them, and end as it ends."""
    kernel.die_with_parent()
    report = int(sys.argv[1])
    # The other side sees by the end of this pipe that the command runs.
    os.set_inheritable(report, False)  # noqa: FBT003 - that is how it is called
    line = sys.stdin.buffer.readline()
    if _abandoned() or not line:
        os._exit(_CANNOT_START)
    wanted = msgspec.json.decode(line, type=Confinement)
    try:
        kernel.unshare(_NAMESPACES)
    except OSError as error:
        os.write(report, f"{TROUBLE}{error}".encode())
        os._exit(_CANNOT_START)
    child = os.fork()
    if child:
        os.write(report, f"{child}\n".encode())
        os.close(report)
        os._exit(_exit_code(child))
    try:
        _become(wanted)
    except (OSError, ValueError) as error:
        os.write(report, f"{TROUBLE}{error}".encode())
    os._exit(_CANNOT_START)


def _exit_code(child: int) -> int:
    """Wait for the container and return its exit code, which for a signal is that of the runtimes."""
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _KILLED - code


def _become(wanted: Confinement) -> None:
    """Turn into the command. Raises OSError when there is no such program, or it may not be run."""
    kernel.die_with_parent()
    kernel.mount("none", "/", flags=MountFlag.PRIVATE | MountFlag.RECURSIVE)
    socket.sethostname(wanted.hostname)
    enter(wanted)
    os.chdir(wanted.folder)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())
    os.umask(0o022)
    _take_on(wanted.identity)
    for number in _USUAL_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(wanted.command[0], wanted.command, wanted.environment)  # noqa: S606 - what the Pod says


def _take_on(identity: Identity) -> None:
    """Become who the container is to run as, with no more rights than it has."""
    kernel.keep_capabilities(identity.capabilities)
    if identity.switch:
        os.setgroups(identity.groups)
        os.setresgid(identity.group, identity.group, identity.group)
        os.setresuid(identity.user, identity.user, identity.user)
    if identity.no_new_privileges:
        kernel.forbid_new_privileges()
    kernel.die_with_parent()


def _abandoned() -> bool:
    """Tell whether the podrunner went before it was arranged that the kernel kills us with it."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)
    return bool(poll.poll(0))


if __name__ == "__main__":
    main()
