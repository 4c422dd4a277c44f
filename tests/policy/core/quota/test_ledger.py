"""The ledger keeps a limit whatever comes in whatever order, and drops only what the protocol lets go."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand, Shortfall, shortfalls
from policy.core.quota.ledger import (
    RESERVATION_TTL,
    Ledger,
    Purpose,
    Reservation,
    cancel,
    expire,
    fence,
    overdue,
    recount,
    reserve,
    with_reservations,
)
from policy.core.values.amounts import ZERO, Amount, Limits, Usage
from tests.policy.core.builders import NOW, counted_live, demand, limits, weight

ROOT: Final = Root.of_namespace("team-a")
ACCOUNTS: Final = (
    Account("team-a", "main"),
    Account("team-a", "main", "ann"),
    Account("", "shared"),
)
TICK: Final = timedelta(seconds=1)

weights = st.one_of(st.integers(0, 3), st.none()).map(weight)
ids = st.sampled_from([f"id-{number}" for number in range(6)])
chosen = st.lists(st.sampled_from(ACCOUNTS), min_size=1, unique=True).map(tuple)
purposes = st.sampled_from(Purpose)
bounds = st.one_of(st.just(Amount(None)), st.integers(0, 4).map(Amount))
all_limits = st.tuples(*[st.builds(Limits, bounds, bounds) for _ in ACCOUNTS])


def _reservation(
    id_: str,
    weighs: Usage | None = None,
    accounts: Sequence[Account] = ACCOUNTS[:1],
    *,
    at: datetime = NOW,
    purpose: Purpose = Purpose.CREATE,
) -> Reservation:
    return Reservation(
        id=id_,
        namespace="team-a",
        workflow=f"wf-{id_}",
        accounts=tuple(accounts),
        requested=weight() if weighs is None else weighs,
        at=at,
        purpose=purpose,
    )


class LedgerUnderFire(RuleBasedStateMachine):
    """Requests, confirmations, refusals, expiries and recounts in any order, beside a naive model."""

    @initialize(given_limits=all_limits)
    def begin(self, given_limits: tuple[Limits, ...]) -> None:
        """Start with an empty ledger, limits, and a model of dictionaries."""
        self.limits = dict(zip(ACCOUNTS, given_limits, strict=True))
        self.ledger = Ledger(ROOT)
        self.now = NOW
        self.used: dict[Account, Usage] = {}
        self.pending: dict[str, Reservation] = {}
        self.history = [(self.ledger, msgspec.json.encode(_plain(self.ledger)))]

    def _keep(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.history.append((ledger, msgspec.json.encode(_plain(ledger))))

    def _charge(self, reservation: Reservation) -> None:
        for account in reservation.accounts:
            self.used[account] = self.used.get(account, ZERO) + reservation.requested

    def _fits(self, weighs: Usage, accounts: Sequence[Account]) -> bool:
        for account in accounts:
            total = self.used.get(account, ZERO) + weighs
            for reservation in self.pending.values():
                if account in reservation.accounts:
                    total += reservation.requested
            if not self.limits[account].admits(total):
                return False
        return True

    @rule(id_=ids, weighs=weights, accounts=chosen, purpose=purposes)
    def ask(self, id_: str, weighs: Usage, accounts: tuple[Account, ...], purpose: Purpose) -> None:
        """Reserve: admitted exactly where it fits in the model, and once for one id."""
        asked = _reservation(id_, weighs, accounts, at=self.now, purpose=purpose)
        wanted = [Demand(account, self.limits[account], f"quota {account.quota}") for account in accounts]
        ledger, short = reserve(self.ledger, asked, wanted)
        if id_ in self.pending:
            assert ledger is self.ledger
            assert short == []
            return
        assert (short == []) == self._fits(weighs, accounts)
        if short:
            assert ledger is self.ledger
            return
        self.pending[id_] = asked
        self._keep(ledger)

    @rule(id_=ids)
    def see_live(self, id_: str) -> None:
        """Recount: the weight moves from reserved to used on each of its accounts."""
        before = self.ledger.total_usage()
        self._keep(counted_live(self.ledger, id_))
        reservation = self.pending.pop(id_, None)
        if reservation is not None:
            self._charge(reservation)
        assert self.ledger.total_usage() == before

    @rule(id_=ids)
    def refuse(self, id_: str) -> None:
        """Cancel: the reservation is gone, whether there was one or not."""
        self.pending.pop(id_, None)
        self._keep(cancel(self.ledger, id_))

    @rule(seconds=st.integers(0, 200))
    def wait(self, seconds: int) -> None:
        """Let time pass; nothing may change by itself."""
        self.now += timedelta(seconds=seconds)

    @rule(seen=st.lists(ids, max_size=3))
    def sweep(self, seen: list[str]) -> None:
        """Expire: only creates that are overdue and were not seen go."""
        gone = {
            id_
            for id_, each in self.pending.items()
            if each.purpose is Purpose.CREATE and self.now - each.at >= RESERVATION_TTL and id_ not in seen
        }
        self._keep(expire(self.ledger, self.now, seen))
        for id_ in gone:
            del self.pending[id_]

    @rule(counted=st.lists(ids, max_size=3))
    def count_anew(self, counted: list[str]) -> None:
        """Recount: a leader's watch shows some reserved ones live, and counts them in the same write."""
        for id_ in dict.fromkeys(counted):
            reservation = self.pending.pop(id_, None)
            if reservation is not None:
                self._charge(reservation)
        self._keep(recount(self.ledger, self.used, counted))

    @rule()
    def take_over(self) -> None:
        """Fence: a new leader changes the epoch and nothing else."""
        before = self.ledger
        self._keep(fence(self.ledger))
        assert self.ledger == msgspec.structs.replace(before, epoch=before.epoch + 1)

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        """Used and reserved together stay within every limit."""
        taken = self.ledger.total_usage()
        assert all(self.limits[account].admits(taken.get(account, ZERO)) for account in taken)

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        """Used and reservations are those of the model."""
        assert _nonzero(self.ledger.used) == _nonzero(self.used)
        assert self.ledger.reservations == self.pending

    @invariant()
    def no_ledger_of_the_past_has_changed(self) -> None:
        """A ledger is a value: what was decided on is still what it was."""
        for ledger, encoded in self.history:
            assert msgspec.json.encode(_plain(ledger)) == encoded


def _plain(ledger: Ledger) -> object:
    """Return a ledger with the accounts as text, so that it can be encoded and compared."""
    used = sorted((str(account), usage) for account, usage in ledger.used.items())
    return ledger.root, ledger.epoch, used, ledger.reservations


def _nonzero(used: Mapping[Account, Usage]) -> dict[Account, Usage]:
    return {account: usage for account, usage in used.items() if usage != ZERO}


def test_no_sequence_of_events_brings_the_ledger_over_a_limit() -> None:
    """Whatever happens in whatever order, reserved plus used stays within limits; assertions are above."""
    run_state_machine_as_test(
        LedgerUnderFire, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
    assert LedgerUnderFire.TestCase is not None


def test_a_slot_is_refused_with_what_is_used_and_what_was_requested() -> None:
    """A shortfall counts reservations as used, so the message has the real cause."""
    bound = demand(limits(1))
    ledger, _ = reserve(Ledger(ROOT), _reservation("one"), [bound])
    same, short = reserve(ledger, _reservation("two"), [bound])
    assert same is ledger
    assert short == [Shortfall(bound, used=weight(), requested=weight())]


def test_a_repeated_request_finds_its_reservation_on_a_full_quota() -> None:
    """One id is one reservation (rule 8): a webhook that is called again is not refused by its own slot."""
    bound = demand(limits(1))
    ledger, _ = reserve(Ledger(ROOT), _reservation("one"), [bound])
    again, short = reserve(ledger, _reservation("one", weight(9)), [bound])
    assert again is ledger
    assert short == []


@given(st.lists(weights, max_size=5), weights, all_limits)
def test_every_demand_that_does_not_fit_is_named(
    running: list[Usage], newcomer: Usage, given_limits: tuple[Limits, ...]
) -> None:
    """`shortfalls` reports each broken demand in order, not only the first."""
    used = sum(running, ZERO)
    wanted = [
        Demand(account, bound, account.quota) for account, bound in zip(ACCOUNTS, given_limits, strict=True)
    ]
    found = shortfalls(dict.fromkeys(ACCOUNTS, used), newcomer, wanted)
    assert [each.demand for each in found] == [
        each for each in wanted if not each.limits.admits(used + newcomer)
    ]
    assert all(each.used == used and each.requested == newcomer for each in found)


@given(weights, all_limits)
def test_what_is_above_the_limit_alone_never_fits(newcomer: Usage, given_limits: tuple[Limits, ...]) -> None:
    """`never_fits` looks at the request only, however much is used."""
    for bound in given_limits:
        short = Shortfall(demand(bound), used=Usage(99, 99), requested=newcomer)
        assert short.never_fits == (not bound.admits(newcomer))


def test_a_create_is_overdue_when_its_time_has_passed_and_not_before() -> None:
    """The boundary is inclusive: at exactly the time to live it may go."""
    ledger = with_reservations(Ledger(ROOT), [_reservation("one")])
    assert overdue(ledger, NOW + RESERVATION_TTL - TICK) == []
    assert [each.id for each in overdue(ledger, NOW + RESERVATION_TTL)] == ["one"]


def test_a_reservation_outlives_the_longest_request() -> None:
    """The API server may finish a create for 60 s after its webhook answered."""
    assert timedelta(seconds=60) < RESERVATION_TTL


def test_an_overdue_create_that_was_seen_stays() -> None:
    """Its object exists; the watch will count it (rule 4c)."""
    ledger = with_reservations(Ledger(ROOT), [_reservation("seen"), _reservation("lost")])
    late = expire(ledger, NOW + RESERVATION_TTL, seen=["seen", "stranger"])
    assert set(late.reservations) == {"seen"}


def test_a_release_never_expires() -> None:
    """The present leader completes a release (rule 5), a year later too."""
    ledger = with_reservations(Ledger(ROOT), [_reservation("held.1", purpose=Purpose.RELEASE)])
    assert expire(ledger, NOW + timedelta(days=365), seen=[]) is ledger
    assert overdue(ledger, NOW + timedelta(days=365)) == []


def test_nothing_to_do_gives_the_very_same_ledger() -> None:
    """Callers see by identity that there is nothing to write."""
    ledger = with_reservations(Ledger(ROOT), [_reservation("one")])
    assert cancel(ledger, "other") is ledger
    assert expire(ledger, NOW, seen=[]) is ledger


def test_a_recount_replaces_what_was_used_and_drops_what_it_counted() -> None:
    """`used` is what the watch holds (rule 7); reservations that it does not count yet stay taken."""
    before = Ledger(ROOT, used={ACCOUNTS[0]: Usage(9, 9)})
    before = with_reservations(before, [_reservation("seen"), _reservation("late")])
    source = {ACCOUNTS[0]: weight(2)}
    after = recount(before, source, counted=["seen"])
    source.clear()
    assert after.used == {ACCOUNTS[0]: weight(2)}
    assert set(after.reservations) == {"late"}
    assert before.used == {ACCOUNTS[0]: Usage(9, 9)}
    assert set(before.reservations) == {"seen", "late"}


def test_the_total_usage_is_a_copy() -> None:
    """A caller may change it without changing the ledger."""
    ledger = Ledger(ROOT, used={ACCOUNTS[0]: weight(1)})
    ledger.total_usage()[ACCOUNTS[0]] = Usage(99)
    assert ledger.total_usage() == {ACCOUNTS[0]: weight(1)}


def test_the_text_of_a_root_is_the_name_of_its_ledger_and_is_read_back() -> None:
    """What is stored is the same in every version; names of pools may have dots."""
    texts = {
        Root.of_namespace("team-a"): "namespace.team-a",
        Root.of_pool("data.eu"): "pool.data.eu",
        Root("term"): "term",
    }
    for root, text in texts.items():
        assert (str(root), Root.parse(text)) == (text, root)
    assert [root.pool for root in texts] == ["", "data.eu", ""]
    assert sorted(texts, key=str) == sorted(texts)


def test_accounts_of_a_pool_have_names_that_no_quota_of_a_member_has() -> None:
    """They are in ledgers of every version; a quota's name has no slash."""
    assert Account.of_pool("data") == Account("", "data")
    assert Account.share("data", "a") == Account("a", "data/share")
    assert Account.defaults("data", "a") == Account("a", "data.defaults")
    assert Account("a", "q").of_key("bob") == Account("a", "q", "bob")
    assert Account("a", "q", "bob").whole == Account("a", "q").whole == Account("a", "q")
