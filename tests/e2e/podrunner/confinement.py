"""What a container gets from the process that starts it: one value, sent to `inside.py` as JSON."""

from typing import Final

import msgspec

from policy.core.values.prepared import prepare

FORMER_ROOT: Final = ".former-root"
"""Where the machine's root is seen while a container is made, and not after."""

TROUBLE: Final = "!"
"""In the report of a container's start, before what went wrong."""


class Mount(msgspec.Struct, frozen=True):
    """A path of this machine, and where the container sees it."""

    source: str
    target: str
    read_only: bool = False


class Identity(msgspec.Struct, frozen=True):
    """Who a process is and what it may; `switch` is false where there is only one user to be."""

    user: int = 0
    group: int = 0
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    switch: bool = True


class Confinement(msgspec.Struct, frozen=True):
    """A container to be: what it runs, as whom, and what it sees.

    `scratch` is an empty folder to build its root at, `layer` one whose top-level folders lie over the
    machine's, "" for none. `reachable` are the paths that the user has to be able to get to.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    hostname: str
    scratch: str
    identity: Identity
    mounts: tuple[Mount, ...] = ()
    read_only_root: bool = False
    layer: str = ""
    reachable: tuple[str, ...] = ()


prepare(Confinement)
