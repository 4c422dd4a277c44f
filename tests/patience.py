"""How long tests wait for what has to come: a bound for the worst machine, and nothing that is measured.

Whoever passes never waits so long, also where eight others want the same core. What a test says of speed it
says by counting (`tests/properties/asking.py`), by an event that comes first, or in `bench/`.
"""

from typing import Final

PATIENCE: Final = 120.0
"""Seconds after which a test that still waits fails."""
