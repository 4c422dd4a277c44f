"""The forms of `synchronization` by Argo version: singular fields, lists, or both (argo-workflows C.1)."""

import re
from typing import Final

import msgspec

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?(?:[-+].*)?")
_MAJOR: Final = re.compile(r"v?(\d+)")
_NEWEST_MINORS: Final = {3: 7, 4: 1}
"""The newest minor version of each major one that this program knows."""


class ArgoVersion(msgspec.Struct, frozen=True, order=True):
    """Major and minor version of the Argo Workflows controller."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> "ArgoVersion":
        """Return the version in a text such as `v4.1.2` or `3.6`.

        Raises:
            ValueError: the text is no version.
        """
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not an Argo version; give one such as 4.1 or v3.6.10")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def parse_known(cls, text: str) -> "ArgoVersion":
        """Return the version that a user gives; a major version alone means the newest of it.

        Raises:
            ValueError: the text is no version, or there is no such version yet.
        """
        major = _MAJOR.fullmatch(text.strip())
        if major is not None and int(major[1]) in _NEWEST_MINORS:
            return cls(int(major[1]), _NEWEST_MINORS[int(major[1])])
        version = cls(int(major[1]), 0) if major is not None else cls.parse(text)
        if version.minor > _NEWEST_MINORS.get(version.major, -1):
            known = " and ".join(f"{each}.0 to {each}.{newest}" for each, newest in _NEWEST_MINORS.items())
            raise ValueError(f"there is no Argo {text.strip()} that is known here; known are {known}")
        return version

    @property
    def reads_lists(self) -> bool:
        """Whether `semaphores` and `mutexes` work; older controllers fail when the Workflow runs."""
        return self >= _FIRST_WITH_LISTS

    @property
    def reads_singular(self) -> bool:
        """Whether `semaphore` and `mutex` work; from 4.0 on they are ignored and no lock is taken."""
        return self < _FIRST_WITHOUT_SINGULAR

    @property
    def reads_databases(self) -> bool:
        """Whether locks may be stored in a database."""
        return self >= _FIRST_WITH_DATABASES

    @property
    def reads_namespaces(self) -> bool:
        """Whether a lock may name a namespace; older controllers ignore the field and take another lock."""
        return self >= _FIRST_WITH_NAMESPACES

    @property
    def may_leave_exit_hooks(self) -> bool:
        """Whether the exit hook of a DAG task's last item keeps its locks, in the newest patch at least."""
        return self >= _FIRST_TO_LEAVE_EXIT_HOOKS

    @property
    def leaves_exit_hooks(self) -> bool:
        """Whether it does so in every patch."""
        return self >= _FIRST_TO_LEAVE_ALL_EXIT_HOOKS

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


_FIRST_WITH_NAMESPACES: Final = ArgoVersion(3, 5)
_FIRST_WITH_DATABASES: Final = ArgoVersion(3, 7)
_FIRST_WITH_LISTS: Final = ArgoVersion(3, 6)
_FIRST_WITHOUT_SINGULAR: Final = ArgoVersion(4, 0)
_FIRST_TO_LEAVE_EXIT_HOOKS: Final = ArgoVersion(3, 7)
_FIRST_TO_LEAVE_ALL_EXIT_HOOKS: Final = ArgoVersion(4, 1)
DEFAULT_VERSION: Final = ArgoVersion(4, 1)
