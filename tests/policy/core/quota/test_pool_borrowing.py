"""The quota tree, against plain rules and recomputed from all usage each time."""

from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from policy.core.quota.pool_borrowing import Member, PoolUsage, compile_tree
from policy.core.values.amounts import UNLIMITED, ZERO, Amount, Limits, Usage
from tests.policy.core.builders import limits
from tests.policy.core.quota.tree_oracle import PlainPool, guarantees, usage_in, would_exceed

NAMES: Final = ("a", "b", "c")
bounds = st.one_of(st.just(UNLIMITED), st.integers(0, 9).map(Amount))
some_limits = st.builds(Limits, bounds, bounds)
weights = st.one_of(st.builds(lambda tasks: Usage(1, tasks), st.integers(0, 6)), st.just(Usage(1, 0, 1)))


@st.composite
def _plain_pools(draw: st.DrawFn) -> PlainPool:
    names = NAMES[: draw(st.integers(1, 3))]
    return PlainPool(
        "pool",
        Limits(draw(st.one_of(st.just(UNLIMITED), st.integers(0, 20).map(Amount))), draw(bounds)),
        {name: draw(some_limits) for name in names},
        {name: draw(some_limits) for name in names},
        {name: draw(some_limits) for name in names},
        {name: draw(some_limits) for name in names},
    )


plots = _plain_pools()
histories = st.lists(st.tuples(st.sampled_from(NAMES), weights, st.booleans()), max_size=25)


def _used(shares: PoolUsage, plain: PlainPool) -> dict[str, Usage]:
    return {name: shares.used(name) for name in plain.nominal}


def _beyond(shares: PoolUsage, name: str) -> Usage:
    """Return what a member uses beyond its share."""
    used, share = shares.used(name), shares.tree.members[name].nominal
    workflows, tasks = share.workflows.value, share.tasks.value
    return Usage(
        0 if workflows is None else max(0, used.workflows - workflows),
        0 if tasks is None else max(0, used.tasks - tasks),
    )


def _total(used: Mapping[str, Usage]) -> Usage:
    return sum(used.values(), ZERO)


@given(plots, histories, st.builds(Usage, st.integers(0, 3), st.integers(0, 3)))
def test_a_tree_admits_what_the_rules_admit(
    plain: PlainPool, history: list[tuple[str, Usage, bool]], withheld: Usage
) -> None:
    """After any charges, those beyond the limits included, every question gets the answer of the oracle."""
    shares = PoolUsage(compile_tree(plain.members()))
    running: list[tuple[str, Usage]] = []
    for name, weight, ends in history:
        if name not in plain.nominal:
            continue
        if ends and running:
            ended, usage = running.pop()
            shares.charge(ended, ZERO - usage)
        else:
            shares.charge(name, weight)
            running.append((name, weight))
        for each in plain.nominal:
            fits = not would_exceed(plain, _used(shares, plain), each, weight, withheld)
            assert shares.fits(each, weight, withheld) == fits
            potential = not would_exceed(plain, dict.fromkeys(plain.nominal, ZERO), each, weight, withheld)
            assert shares.tree.potential(each, withheld).admits(weight) == potential


@given(plots, histories)
def test_what_is_available_is_what_fits(plain: PlainPool, history: list[tuple[str, Usage, bool]]) -> None:
    """The figure that people see is the bound of what would be admitted."""
    shares = PoolUsage(compile_tree(plain.members()))
    for name, weight, _ in history:
        if name in plain.nominal and shares.fits(name, weight):
            shares.charge(name, weight)
    for name in plain.nominal:
        left = shares.available(name)
        for count in range(12):
            assert shares.fits(name, Usage(count)) == left.admits(Usage(count))


@given(plots, histories)
def test_no_order_of_requests_brings_the_pool_or_a_member_over_its_limit(
    plain: PlainPool, history: list[tuple[str, Usage, bool]]
) -> None:
    """Total within the pool's limit, each within its share and what it may borrow."""
    shares = PoolUsage(compile_tree(plain.members()))
    running: list[tuple[str, Usage]] = []
    for name, weight, ends in history:
        if ends and running:
            ended, usage = running.pop(0)
            shares.charge(ended, ZERO - usage)
        elif name in plain.nominal and shares.fits(name, weight):
            shares.charge(name, weight)
            running.append((name, weight))
        used = _used(shares, plain)
        assert plain.total.admits(_total(used))
        for each in plain.nominal:
            borrowed, most = _beyond(shares, each), plain.borrowing[each]
            assert most.workflows.covers(borrowed.workflows)
            assert most.tasks.covers(borrowed.tasks)


@given(plots, histories, st.sampled_from(NAMES))
def test_what_is_guaranteed_can_be_had_at_any_time(
    plain: PlainPool, history: list[tuple[str, Usage, bool]], who: str
) -> None:
    """However much others borrow, a member gets its guarantee without waiting for others."""
    assume(who in plain.nominal)
    shares = PoolUsage(compile_tree(plain.members()))
    for name, weight, _ in history:
        if name in plain.nominal and name != who and shares.fits(name, weight):
            shares.charge(name, weight)
    mine = guarantees(plain, tasks=False)[who]
    for _ in range(mine):
        assert shares.fits(who, Usage(1))
        shares.charge(who, Usage(1))


@given(plots, histories, st.sampled_from(NAMES))
def test_a_lender_has_its_share_once_the_borrowers_are_done(
    plain: PlainPool, history: list[tuple[str, Usage, bool]], who: str
) -> None:
    """Nothing is lost by lending: with others within their shares, the owner has its own."""
    assume(who in plain.nominal)
    shares = PoolUsage(compile_tree(plain.members()))
    running = []
    for name, weight, _ in history:
        if name in plain.nominal and name != who and shares.fits(name, weight):
            shares.charge(name, weight)
            running.append((name, weight))
    for name, weight in running:
        shares.charge(name, ZERO - weight)
    assert shares.available(who) == shares.tree.potential(who)


def test_a_member_borrows_what_others_leave_idle() -> None:
    """Up to the pool's limit, less what others keep, and up to its own bound."""
    shares = PoolUsage(
        compile_tree(
            [
                Member("pool", None, limits(10)),
                Member("lends-one", "pool", limits(4), lending=limits(1)),
                Member("borrows", "pool", limits(4)),
                Member("borrows-one", "pool", limits(4), borrowing=limits(1)),
            ]
        )
    )
    assert [shares.tree.potential(name).workflows for name in ("lends-one", "borrows", "borrows-one")] == [
        Amount(10),
        Amount(7),
        Amount(5),
    ]
    shares.charge("borrows", Usage(7))
    assert _beyond(shares, "borrows").workflows == 3
    assert shares.would_borrow("borrows", Usage(1))
    assert not shares.would_borrow("lends-one", Usage(1))
    assert [shares.available(name).workflows for name in ("lends-one", "borrows", "borrows-one")] == [
        Amount(3),
        Amount(0),
        Amount(0),
    ]


def test_what_is_available_may_be_negative_after_an_edit() -> None:
    """Nothing is stopped; nothing starts until there is capacity again."""
    before = [Member("pool", None, limits(10)), Member("a", "pool", limits(10))]
    after = [Member("pool", None, limits(3)), Member("a", "pool", limits(2))]
    used = {"a": Usage(9)}
    assert usage_in(compile_tree(before), used).available("a").workflows == Amount(1)
    assert usage_in(compile_tree(after), used).available("a").workflows == Amount(-6)


def test_guarantees_beyond_the_pool_shrink_in_proportion() -> None:
    """After nodes were removed the pool's limit holds, and no guarantee takes all of it."""
    kept_all = limits(0)
    members = [Member(name, "pool", limits(8), lending=kept_all) for name in ("a", "b")]
    shares = usage_in(compile_tree([Member("pool", None, limits(10)), *members]), {"a": Usage(5)})
    assert shares.available("a").workflows == Amount(0)
    assert shares.available("b").workflows == Amount(5)


def test_guarantees_that_the_pool_assigns_come_before_those_of_a_members_own_quota() -> None:
    """However much another has by a quota of its own, it only gets what assigned shares leave."""
    assigned = Member("assigned", "", limits(6), lending=limits(0), assigned=limits(6))
    for much in (4, 10, 10**9):
        own = Member("own", "", limits(much), lending=limits(0))
        tree = compile_tree([Member("", None, limits(10)), assigned, own])
        assert {name: bound.guaranteed for name, bound in tree.workflows.items()} == {
            "": 0,
            "assigned": 6,
            "own": 4,
        }


def test_a_tree_may_be_deeper() -> None:
    """A guarantee counts on all levels above it, and every level bounds those below."""
    tree = compile_tree(
        [
            Member("leaf", "middle", limits(4), lending=limits(1)),
            Member("middle", "pool", limits(6), borrowing=limits(0)),
            Member("pool", None, limits(10)),
            Member("other", "pool", limits(5)),
            Member("sister", "middle", limits(2)),
        ]
    )
    shares = PoolUsage(tree)
    assert shares.available("other").workflows == Amount(7)
    shares.charge("other", Usage(7))
    assert shares.available("leaf").workflows == Amount(3)
    assert shares.available("sister").workflows == Amount(0)
    shares.charge("other", ZERO - Usage(7))
    shares.charge("sister", Usage(3))
    assert shares.available("leaf").workflows == Amount(3)
    assert shares.available("sister").workflows == Amount(0)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([Member("a"), Member("a")], "a is in the tree twice"),
        ([Member("a", "b")], "b, the parent of a, is not in the tree"),
        ([Member("r"), Member("a", "b"), Member("b", "a")], "a, b: the parents go in a circle"),
    ],
)
def test_what_is_no_tree_is_refused(members: list[Member], message: str) -> None:
    """A name twice, a parent missing, a circle."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        compile_tree(members)
