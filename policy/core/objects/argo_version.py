"""The forms of `synchronization` by Argo version: singular fields, lists, or both (argo-workflows C.1)."""

import re
from typing import Final

import msgspec

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?(?:[-+].*)?")


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

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


_FIRST_WITH_NAMESPACES: Final = ArgoVersion(3, 5)
_FIRST_WITH_DATABASES: Final = ArgoVersion(3, 7)
_FIRST_WITH_LISTS: Final = ArgoVersion(3, 6)
_FIRST_WITHOUT_SINGULAR: Final = ArgoVersion(4, 0)
DEFAULT_VERSION: Final = ArgoVersion(4, 1)
