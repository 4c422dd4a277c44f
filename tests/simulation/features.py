"""Which features of a scenario the product stands today; each of the others has a test that fails for it.

A feature moves here when its test in test_findings.py passes; that test is strict, so it will not be
forgotten.
"""

from typing import Final

from tests.simulation.scenario import Feature

WAITING: Final[frozenset[Feature]] = frozenset()
WORKING: Final = frozenset(Feature) - WAITING
