"""What a podrunner is told when it starts, and the names that it and the tests share."""

from typing import Final

import msgspec

from policy.core.values.prepared import prepare

ANNOTATION: Final = "podrunner.lockkeeper.dev/"
"""Before what the podrunner says of a Pod or Service, and before what a test says to it."""
READY_FILE: Final = "ready"
"""In the folder, as soon as the nodes are known and everything is watched."""
NODES: Final = ("podrunner-a", "podrunner-b")
"""The Nodes that it plays if it is not told otherwise."""
USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Image(msgspec.Struct, frozen=True):
    """What stands for the image of every container: how its Containerfile says to run, and its files.

    `user` is the number of user and group. `layer` is a folder whose top-level folders lie over this
    machine's in the container, "" for none.
    """

    entry_point: tuple[str, ...]
    user: int = 0
    environment: dict[str, str] = {}
    workdir: str = "/"
    layer: str = ""


class RunSettings(msgspec.Struct, frozen=True):
    """The settings of one podrunner.

    `selector` is a label selector for the Pods that get processes. `back_off` is the first pause between two
    starts of a container, `others_last` how long other Pods seem to run, both in seconds.
    """

    kubeconfig: str
    folder: str
    image: Image
    selector: str = "app.kubernetes.io/name=lockkeeper"
    back_off: float = 1.0
    others_last: float = 1.0
    nodes: tuple[str, ...] = NODES


prepare(RunSettings)
