"""The life of the secret in the paths of a webhook configuration, on a clock of the test's own."""

from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockkeeper.secret_paths.secret_rotation import (
    USUAL,
    FormerSecret,
    PathSecrets,
    ReplicaSupport,
    RotationChange,
    RotationStep,
    advance,
)
from webhook.callers import PLAIN

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Life:
    """A configuration, who keeps it, and what webhooks make of it."""

    def __init__(self) -> None:
        self.now = START
        self.kept: PathSecrets | None = None
        self.carried: str | None = PLAIN
        self.audience = ReplicaSupport.READY
        self.mark = ""
        self._numbers = count(1)

    def step(self) -> tuple[RotationChange, ...]:
        """Have the controller look once, and write what it decides."""
        step = self.decide()
        self.kept, self.carried = step.secrets, step.secrets.secret
        return step.changes

    def decide(self) -> RotationStep:
        """Return what the controller decides."""
        return advance(
            self.kept,
            [self.carried],
            now=self.now,
            support=self.audience,
            make=lambda: f"secret-{next(self._numbers)}",
            mark=self.mark,
        )

    def later(self, by: timedelta) -> tuple[RotationChange, ...]:
        """Let time pass, and look."""
        self.now += by
        return self.step()

    def settled(self) -> None:
        """Go on until a secret is carried, and nothing else is answered."""
        self.step()
        self.later(USUAL.settle)
        self.later(USUAL.overlap)
        assert self.answered() == {self.carried}
        assert self.carried != PLAIN

    def answered(self) -> set[str | None]:
        """Return what a webhook answers that reads the configuration now."""
        kept = self.kept
        if kept is None:
            return {self.carried}
        coming = {kept.coming} if kept.coming else set()
        return {
            self.carried,
            kept.secret,
            *coming,
            *(each.secret for each in kept.former if each.until > self.now),
        }


@pytest.fixture
def life() -> Life:
    """Return a configuration as the chart makes it, with plain paths."""
    return Life()


def test_a_secret_is_announced_before_it_is_carried(life: Life) -> None:
    """Every webhook has read it by the time that the first API server sends it."""
    assert life.step() == (RotationChange.BEGAN, RotationChange.ANNOUNCED)
    assert life.carried == PLAIN
    assert life.later(USUAL.settle - SECOND) == ()
    assert life.later(SECOND) == (RotationChange.SWITCHED,)
    assert life.carried == "secret-1"


def test_the_path_before_is_answered_until_every_api_server_has_seen_the_new_one(life: Life) -> None:
    """One that is late fails nobody's create; after that, the plain path is nobody's."""
    life.step()
    life.later(USUAL.settle)
    life.now += USUAL.overlap - SECOND
    assert life.answered() == {PLAIN, "secret-1"}
    assert life.later(SECOND) == (RotationChange.RETIRED,)
    assert life.answered() == {"secret-1"}


def test_nothing_is_done_twice(life: Life) -> None:
    """A controller that looks again writes nothing."""
    life.settled()
    assert life.step() == ()


def test_a_secret_is_changed_when_the_certificate_is_another(life: Life) -> None:
    """`lockkeeper certs rotate`, and every renewal, make another path too."""
    life.mark = "one"
    life.settled()
    before = life.carried
    life.mark = "two"
    assert life.step() == (RotationChange.ANNOUNCED,)
    assert life.later(USUAL.settle) == (RotationChange.SWITCHED,)
    assert life.carried != before
    assert life.later(USUAL.settle) == ()


def test_a_secret_lives_a_day_at_most(life: Life) -> None:
    """An API server shows the path in the error of a failed call; what it showed is soon worth nothing."""
    life.settled()
    life.now = START + USUAL.settle + USUAL.period
    assert life.step() == (RotationChange.ANNOUNCED,)


def test_a_mark_that_is_not_known_changes_nothing(life: Life) -> None:
    """A controller that has not read the certificate yet, or may not, goes by the time alone."""
    life.mark = "one"
    life.settled()
    life.mark = ""
    assert life.step() == ()


@pytest.mark.parametrize("audience", [ReplicaSupport.UNKNOWN, ReplicaSupport.UNAWARE])
def test_plain_paths_stay_while_a_replica_may_not_know_others(life: Life, audience: ReplicaSupport) -> None:
    """In a roll-out from the former release no API server sends what an old Pod would refuse."""
    life.audience = audience
    life.step()
    assert life.later(timedelta(days=40)) == ()
    assert life.carried == PLAIN


def test_it_goes_back_to_plain_paths_for_a_release_that_knows_no_others(life: Life) -> None:
    """Who goes back a release fails no create: old replicas answer plain paths, those of today both."""
    life.settled()
    secret = life.carried
    life.audience = ReplicaSupport.UNAWARE
    assert life.step() == (RotationChange.RETREATED,)
    assert life.carried == PLAIN
    assert life.answered() == {PLAIN, secret}
    assert life.step() == ()


def test_an_announcement_is_taken_back_as_well(life: Life) -> None:
    """What was announced to replicas that are gone is announced again to their successors."""
    life.step()
    life.audience = ReplicaSupport.UNAWARE
    assert life.step() == (RotationChange.RETREATED,)
    life.audience = ReplicaSupport.READY
    assert life.later(USUAL.settle) == (RotationChange.ANNOUNCED,)


@pytest.mark.parametrize("written", [PLAIN, "secret-of-yesterday"])
def test_a_path_that_helm_wrote_back_is_corrected_and_answered_meanwhile(life: Life, written: str) -> None:
    """An upgrade, a rollback or a tool that reverts every change makes no create fail."""
    life.settled()
    secret = life.carried
    life.carried = written
    assert written in life.answered()
    assert secret in life.answered()
    assert life.step() == (RotationChange.PUT_BACK,)
    assert life.carried == secret
    assert life.answered() == {secret, written}
    assert life.later(USUAL.overlap) == (RotationChange.RETIRED,)
    assert life.answered() == {secret}


def test_a_path_that_is_missing_is_put_there_at_once(life: Life) -> None:
    """A new installation, or one that was replaced: without any path nothing works."""
    life.carried = None
    assert RotationChange.PUT_BACK in life.step()
    assert life.carried == PLAIN


def test_an_annotation_that_was_lost_is_begun_again_with_what_is_carried_answered(life: Life) -> None:
    """The secret that is carried is answered until the plain path is seen everywhere."""
    life.settled()
    secret = life.carried
    life.kept = None
    assert secret in life.answered()
    assert RotationChange.PUT_BACK in life.step()
    assert secret in life.answered()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("step", "wait", "helm", "rotate", "roll", "old", "lost")), st.integers(1, 400)
        ),
        max_size=40,
    )
)
@example([("step", 1), ("wait", 30), ("step", 1), ("lost", 1), ("helm", 1)])
def test_what_any_api_server_may_still_send_is_always_answered(moves: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order: each path is answered for as long as an API server may lag behind.

    An API server sends what was carried within the last ten seconds. A lost annotation is what nobody does
    by accident, so what had been carried before it, and until the controller looks again, may be forgotten.
    """
    life, lag = Life(), timedelta(seconds=10)
    seen: dict[str | None, datetime] = {}
    for move, seconds in moves:
        match move:
            case "step":
                life.step()
            case "wait":
                life.now += timedelta(seconds=seconds)
            case "helm":
                life.carried = PLAIN if seconds % 2 else life.carried
                seen[life.carried] = life.now
                life.step()  # It watches the configuration.
            case "rotate":
                life.mark = f"mark-{seconds}"
            case "roll":
                life.audience = ReplicaSupport.READY if seconds % 2 else ReplicaSupport.UNKNOWN
            case "old":
                life.audience = ReplicaSupport.UNAWARE
                life.step()
            case _:
                life.kept, seen = None, {}
        if life.kept is not None:
            seen[life.carried] = life.now
        for path, at in seen.items():
            assert life.now - at > lag or path in life.answered(), (move, path)


def test_secrets_are_kept_as_text_and_read_back() -> None:
    """An annotation is all the memory there is: a new leader goes on from it."""
    secrets = PathSecrets("a", START, "b", START, (FormerSecret("c", START),), "mark")
    assert msgspec.json.decode(msgspec.json.encode(secrets), type=PathSecrets) == secrets
