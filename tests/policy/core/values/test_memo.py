"""What is kept beside values that never change."""

import msgspec

from policy.core.values.memo import Memo


class Owner(msgspec.Struct, frozen=True):
    """A value with a memo."""

    name: str
    memo: Memo[int, str | None]


def test_what_was_worked_out_is_not_worked_out_again() -> None:
    """That nothing was found is an answer, too."""
    memo: Memo[int, str | None] = Memo()
    asked: list[int] = []

    def work_out() -> str | None:
        asked.append(1)
        return None

    assert [memo.get_or(1, work_out) for _ in range(3)] == [None] * 3
    assert len(asked) == 1
    memo.forget(1)
    memo.get_or(1, work_out)
    assert len(asked) == 2
    assert memo.items() == [(1, None)]


def test_made_up_keys_do_not_fill_a_bounded_memo() -> None:
    """It is cleared at its bound and stores again."""
    memo: Memo[int, str | None] = Memo(most=3)
    for key in range(10):
        assert memo.keep(key, str(key)) == str(key)
        assert memo.get(key) == str(key)
        assert len(memo) <= 3


def test_what_is_stored_does_not_count_when_owners_are_compared() -> None:
    """Owners are equal whose memos store different values."""
    asked, unasked = Owner("a", Memo()), Owner("a", Memo())
    asked.memo.keep(1, "x")
    assert asked == unasked
    assert hash(asked) == hash(unasked)
    assert asked != Owner("b", asked.memo)
