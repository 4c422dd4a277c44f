"""The model of the ledger protocol, checked over every interleaving: `python -m tests.protocol`.

Four worlds of one ledger are explored whole: two queued and one denied create, one and two, one and one with
retries and deletions, and one and two of one name with deletions; three in which a namespace goes from
one ledger to another, and four in which it goes between the ledgers of two leaders (ADR 43). In each the
limit is never exceeded, and from every state in which a leader can still act all slots come back. Afterwards
every rule is switched off in turn, and the shortest way to the harm is printed. Exits with 1 where a sound
model fails, or a planted bug does none.
"""

import sys
import time

from tests.protocol.checking import PLANTED, SOUND, check


def main() -> int:
    """Check the sound worlds, then every planted bug."""
    failed = False
    for model in SOUND:
        began = time.perf_counter()
        found = check(model)
        failed |= bool(found.finding)
        _say(f"{model}: {found.states} states, {found.steps} steps, {time.perf_counter() - began:.1f} s")
        _say(f"  {found.finding or 'the limit is never exceeded, no slot is lost'}")
        for step in found.trail:
            _say(f"    {step}")
    for bug, model in PLANTED.items():
        found = check(model)
        failed |= not found.finding
        way = " -> ".join(found.trail)
        _say(f"{bug.value}: {found.finding or 'NOT FOUND'} after {len(found.trail)} steps: {way}")
    return 1 if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
