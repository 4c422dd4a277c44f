"""Whatever happens in whatever order: clients accept every certificate that any replica serves.

A leader makes passes that may break off between any two writes, and forgets what it saw when it is replaced.
API servers learn bundles late, replicas learn certificates late, both within the bounds that the steps wait
for. What is checked is the worst of it: every bundle that some API server may still use, against every
certificate that some replica may still serve.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from certs.authority import describe
from certs.bundle import is_accepted, is_servable, split
from certs.files import NOTHING
from certs.rotation import advance, begin_change, renew_leaf
from certs.rotation_steps import OVERLAP, PROPAGATION

NAMES: Final = ("webhook.ns.svc",)
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
LONG: Final = timedelta(days=1)
Past: TypeAlias = list[tuple[datetime, bytes]]


class Pass(StrEnum):
    """A pass of the leader, and where it breaks off."""

    WHOLE = "whole"
    BEFORE_THE_CONFIGURATION = "nothing is written"
    HALF = "the configuration is written, the Secret is not"
    ANOTHER_LEADER = "a whole pass of a leader that has just taken over"


class Asked(StrEnum):
    """What people and accidents do."""

    NEW_LEAF = "rotate"
    NEW_AUTHORITY = "rotate --ca"
    KEY_LOST = "the CA's key is lost"
    LEAF_SPOILT = "the certificate is overwritten"


Event: TypeAlias = Pass | timedelta | Asked


class World:
    """A Secret, a configuration, and what API servers and replicas may still know of their past."""

    def __init__(self) -> None:
        self.now = START
        self.files = advance(NOTHING, now=START, names=NAMES, in_place_since=None).files
        self.bundles: Past = [(START, self.files.bundle)]
        self.leaves: Past = [(START, self.files.cert)]
        self.seen: tuple[bytes, datetime] | None = None

    def live(self, event: Event) -> None:
        """Let one thing happen."""
        match event:
            case timedelta():
                self.wait(event)
            case Pass():
                self.make_pass(event)
            case Asked():
                self.do(event)

    def wait(self, by: timedelta) -> None:
        """Let time pass; before a long time the leader has had a quiet minute."""
        if by >= LONG:
            for _ in range(4):
                self.make_pass(Pass.WHOLE)
                self.now += PROPAGATION
        self.now += by

    def make_pass(self, how: Pass) -> None:
        """Do what the leader does: first the configuration, then the Secret."""
        if how is Pass.ANOTHER_LEADER:
            self.seen = None
        if how is Pass.BEFORE_THE_CONFIGURATION:
            return
        if self.bundles[-1][1] != self.files.bundle:
            self.bundles.append((self.now, self.files.bundle))
        if self.seen is None or self.seen[0] != self.files.bundle:
            self.seen = (self.files.bundle, self.now)
        if how is Pass.HALF:
            return
        step = advance(self.files, now=self.now, names=NAMES, in_place_since=self.seen[1])
        self.write(step.files.cert)
        self.files = step.files

    def do(self, what: Asked) -> None:
        """Change the Secret as a user or an accident would."""
        if what is Asked.NEW_LEAF:
            self.files = renew_leaf(self.files, now=self.now, names=NAMES).files
            self.write(self.files.cert)
        elif what is Asked.NEW_AUTHORITY:
            self.files = begin_change(self.files, now=self.now).files
        elif what is Asked.KEY_LOST and is_servable(self.files.cert, self.files.key, now=self.now):
            self.files = replace(self.files, authority_key=b"")
        elif what is Asked.LEAF_SPOILT and self.files.authority_key:
            self.files = replace(self.files, cert=b"nonsense")

    def write(self, cert: bytes) -> None:
        """Note a certificate that replicas will serve; a corrupt one they do not use."""
        if cert != self.leaves[-1][1] and cert != b"nonsense":
            self.leaves.append((self.now, cert))

    def refusals(self) -> list[str]:
        """Return which bundle and which certificate meet somewhere and do not fit."""
        return [
            f"{self.now}: {describe(leaf)} is refused by {[describe(each) for each in split(bundle)]}"
            for leaf in current(self.leaves, self.now - OVERLAP)
            for bundle in current(self.bundles, self.now - PROPAGATION)
            if not is_accepted(leaf, split(bundle), now=self.now)
        ]


def current(past: Past, since: datetime) -> list[bytes]:
    """Return all values that were the newest at some moment after `since`."""
    ends = [begin for begin, _ in past[1:]]
    return [value for (_, value), end in zip(past, [*ends, None], strict=True) if end is None or end > since]


SHORT = [timedelta(0), timedelta(seconds=1), PROPAGATION / 2, PROPAGATION, PROPAGATION, OVERLAP / 2, OVERLAP]
waits = st.sampled_from([*SHORT, *SHORT, LONG, 20 * LONG, 25 * LONG])
passes = st.sampled_from([*[Pass.WHOLE] * 6, *Pass])
asked = st.sampled_from([None, None, None, *Asked, Asked.NEW_AUTHORITY])
turns = st.tuples(asked, passes, waits).map(lambda turn: [event for event in turn if event is not None])
histories = st.lists(turns, max_size=20).map(lambda found: [event for turn in found for event in turn])


@given(histories)
def test_every_client_accepts_what_every_replica_serves(
    history: list[Event],
) -> None:
    """At every moment of any history."""
    world = World()
    for event in history:
        world.live(event)
        assert world.refusals() == []


@given(histories)
def test_in_the_end_all_is_well(history: list[Event]) -> None:
    """A quiet hour and a little more after anything, one CA is left, and nothing is to be done."""
    world = World()
    for event in history:
        world.live(event)
    for pause in (PROPAGATION, PROPAGATION, OVERLAP, OVERLAP, PROPAGATION):
        world.make_pass(Pass.WHOLE)
        world.now += pause
    assert world.bundles[-1][1] == world.files.bundle
    assert len(split(world.files.bundle)) == 1
    assert is_servable(world.files.cert, world.files.key, now=world.now)
    assert not advance(world.files, now=world.now, names=NAMES, in_place_since=START).changes
