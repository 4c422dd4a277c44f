"""Numbers that look random and are derived from a number alone, so the same state gives the same answer."""

from typing import Final

_WORD: Final = (1 << 64) - 1
MASK: Final = (1 << 16) - 1


def normal(number: int) -> int:
    """Return a number of a normal distribution with the deviation 1024: twelve even ones, added."""
    total = 0
    for part in range(3):
        drawn = mixed(~(number << 2 | part) & _WORD)
        total += sum(drawn >> shift & MASK for shift in (0, 16, 32, 48))
    return (total - 6 * MASK) >> 6


def mixed(number: int) -> int:
    """Return 64 bits that look random (the finalizer of splitmix64)."""
    value = (number + 1) * 0x9E3779B97F4A7C15 & _WORD
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _WORD
    return value ^ value >> 31
