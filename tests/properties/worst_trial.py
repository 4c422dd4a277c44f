"""`make worst`: every worst input on every side and under all policies, within twice its time."""

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import msgspec

from policy.core.decision.decision import Side
from tests.properties.asking import SIDES, reviewing
from tests.properties.worst_inputs import DIRECT, STRUCTURAL, WORST
from tests.properties.worst_policies import POLICIES
from tests.webhook.oracle import Json
from webhook.http_errors import MAX_BODY, ReviewError
from webhook.policy_review import review_policy
from webhook.review import Reviewing, review

WORLDS: Final[dict[str, Reviewing]] = {
    name: msgspec.structs.replace(reviewing(policies), monotonic=time.thread_time)
    for name, policies in (("direct", DIRECT), ("structural", STRUCTURAL))
}
"""Reviews whose time is that of this thread's own CPU, so that a busy machine is no fault of theirs."""
SLACK: Final = 2.0
"""What a review may take of its time."""


class Spent(msgspec.Struct, frozen=True):
    """What a review took, and what became of it: `answered`, or the status of the error."""

    seconds: float
    outcome: str


def spent(asked: Json, side: Side, seconds: float, parts: Reviewing) -> Spent:
    """Review once, with so much time. Anything but an answer or a ReviewError comes through.

    What the tests have made before is no part of a webhook, and is not gone through for what may be freed.
    """
    body = msgspec.json.encode(asked)
    judge = review_policy if side is Side.POLICIES else review
    outcome = "answered"
    gc.freeze()
    started = time.thread_time()
    try:
        judge(body, side, timedelta(seconds=seconds), parts)
    except ReviewError as error:
        outcome = error.status
    took = time.thread_time() - started
    gc.unfreeze()
    return Spent(took, outcome)


def everything(size: int, seconds: float) -> Iterator[tuple[str, Spent]]:
    """Yield every worst input with what it took."""
    for world, parts in WORLDS.items():
        for name, make in WORST.items():
            for side in SIDES:
                yield f"{name}, {world}, {side.value}", spent(make(size), side, seconds, parts)
        for name, make in POLICIES.items():
            yield f"policy {name}, {world}", spent(make(size), Side.POLICIES, seconds, parts)


def main() -> int:
    """Try everything, tell what took longest, and return 1 where something took too long."""
    parser = argparse.ArgumentParser(prog="worst", description=__doc__)
    parser.add_argument("--size", type=int, default=MAX_BODY - 100_000, help="bytes of a request, about")
    parser.add_argument("--seconds", type=float, default=1.0, help="time of a review")
    given = parser.parse_args()
    tried = sorted(everything(given.size, given.seconds), key=lambda each: -each[1].seconds)
    for name, took in tried[:20]:
        sys.stdout.write(f"{took.seconds:6.2f} s  {took.outcome:22} {name}\n")
    late = [name for name, took in tried if took.seconds > SLACK * given.seconds]
    sys.stdout.write(f"{len(tried)} reviews of {given.size} bytes, {len(late)} of them too late\n")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
