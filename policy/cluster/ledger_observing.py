"""Who is told of writes of ledgers, and of lists of them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, Protocol

from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Ledger


class WriteResult(StrEnum):
    """What became of an attempt to write a ledger; the value is that of the metric's label."""

    OK = "ok"
    CONFLICT = "conflict"
    EXHAUSTED = "exhausted"


class LedgerObserver(Protocol):
    """What is told of writes and of lists; from several threads."""

    def wrote(self, result: WriteResult, attempt: int) -> None:
        """Take note of the n-th attempt of a change; EXHAUSTED comes after the last of too many."""

    def listed(self, ledgers: Mapping[Root, Ledger], size: Callable[[Ledger], int]) -> None:
        """Take note of all ledgers; `size` returns that of one, in bytes of JSON."""


class _Unobserved:
    """Takes note of nothing."""

    def wrote(self, result: WriteResult, attempt: int) -> None:
        """Ignore an attempt."""

    def listed(self, ledgers: Mapping[Root, Ledger], size: Callable[[Ledger], int]) -> None:
        """Ignore a list."""


UNOBSERVED: Final = _Unobserved()
