"""Who a container runs as: what its Pod asks for, what the image says, and what this machine can do."""

import os
from pathlib import Path
from typing import Final

from tests.e2e.podrunner.confinement import Identity
from tests.e2e.podrunner.kernel import CAPABILITIES, USUAL_CAPABILITIES
from tests.e2e.podrunner.pod_objects import Capabilities, Container, Pod
from tests.e2e.podrunner.refusals import Refused

_ALL: Final = "ALL"
_EVERYTHING: Final = tuple(CAPABILITIES)
"""What a privileged container may."""
_USER_MAP: Final = Path("/proc/self/uid_map")
_EVERY_USER: Final = 2**32 - 1


def can_switch() -> bool:
    """Tell whether processes can run as any user: only where our root is that of the machine."""
    _, _, users = _USER_MAP.read_text().split()
    return os.geteuid() == 0 and int(users) == _EVERY_USER


def identity(pod: Pod, container: Container, *, image_user: int, switch: bool) -> Identity:
    """Return who a container runs as.

    Raises:
        Refused: the Pod forbids root, and that is what it would run as.
    """
    common, own = pod.spec.security_context, container.security_context
    user = _first(own.run_as_user, common.run_as_user, image_user)
    named = _first(own.run_as_user, common.run_as_user, -1) >= 0
    group = _first(own.run_as_group, common.run_as_group, 0 if named else image_user)
    not_root = own.run_as_non_root if own.run_as_non_root is not None else common.run_as_non_root
    if not_root and user == 0:
        raise Refused(
            f"container {container.name} has runAsNonRoot and "
            + ("its runAsUser is 0" if named else "the image runs as root")
        )
    further = set(common.supplemental_groups)
    if common.fs_group is not None:
        further.add(common.fs_group)
    return Identity(
        user=user,
        group=group,
        groups=tuple(sorted(further)),
        capabilities=_EVERYTHING if own.privileged else capabilities(own.capabilities),
        no_new_privileges=not own.allow_privilege_escalation,
        switch=switch,
    )


def capabilities(asked: Capabilities) -> tuple[str, ...]:
    """Return the capabilities that stay; what is added wins over what is dropped, as in the runtimes."""
    dropped, added = _names(asked.drop), _names(asked.add)
    kept = (set() if _ALL in dropped else set(USUAL_CAPABILITIES) - dropped) | added
    return _EVERYTHING if _ALL in added else tuple(name for name in CAPABILITIES if name in kept)


def _names(asked: tuple[str, ...]) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in asked}


def _first(*candidates: int | None) -> int:
    """Return the first number that is given; the last one has to be."""
    return next(each for each in candidates if each is not None)
