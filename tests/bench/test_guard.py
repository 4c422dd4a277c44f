"""The guard sees what becomes slower, and says which figure and why it is limited."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.guard import MARGIN, UNIT, Limit, ReviewParts, exceeded, guard, limits, review_parts
from bench.inprocess import DECIDE, DECODE, WHOLE, load_policies
from bench.recording import record
from bench.reviews import CASES, write_policies

PARTS = (DECODE, DECIDE, WHOLE)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> ReviewParts:
    """Return the parts of a review of 20 kB."""
    folder = tmp_path_factory.mktemp("guard")
    return review_parts(CASES[1], load_policies(write_policies(folder / "policies")), folder / "log")


def slower(part: Callable[[], object]) -> Callable[[], object]:
    """Return a part that takes 1.3 times as long: of ten calls three are made twice."""
    calls = [0]

    def twice_now_and_then() -> object:
        calls[0] += 1
        if calls[0] % 10 in (2, 5, 8):
            part()
        return part()

    return twice_now_and_then


@pytest.mark.parametrize("planted", [DECODE, DECIDE])
def test_a_part_that_takes_a_third_longer_is_found(planted: str, parts: ReviewParts) -> None:
    """By limits that lie as far above the figures as those of the guard may, and no other part is blamed."""
    kept = {name: parts.parts[name] for name in (UNIT, *PARTS)}
    usual = ReviewParts(CASES[1], kept)
    usual.measure()
    before = usual.measure()  # The smallest of both count, so that a busy machine moves them little.
    allowed = {name: Limit(name, value, value * MARGIN, "a test") for name, value in before.items()}
    changed = ReviewParts(CASES[1], {**kept, planted: slower(kept[planted])})
    found = guard([changed.measure], allowed)
    assert [each.partition(" is ")[0] for each in exceeded(found, allowed)] == [f"{planted}, 20 kB"]


def test_every_limit_is_close_to_what_was_measured_and_has_a_reason() -> None:
    """A limit with room to spare guards nothing."""
    found = limits()
    assert len(found) > 10
    for each in found.values():
        assert each.measured < each.most <= each.measured * MARGIN * 1.001, each.name
        assert len(each.why.split()) > 3, each.name


def test_a_figure_without_a_limit_and_a_limit_without_a_figure_are_told() -> None:
    """Neither may be forgotten when parts are renamed."""
    allowed = {"old": Limit("old", 1, 1.1, "a test"), "kept": Limit("kept", 1, 1.1, "it is paid often")}
    assert exceeded({"new": 1.0, "kept": 1.2}, allowed) == [
        "kept is 1.200, above its limit of 1.1 (it is paid often)",
        "new has no limit in guard_limits.toml",
        "the limit of old is that of no figure",
    ]


def test_what_is_above_a_limit_once_is_measured_again() -> None:
    """Others on the machine are no reason to fail, and a figure that stays above is."""
    allowed = {"a": Limit("a", 1, 1.1, "a test")}
    values = iter([2.0, 1.5, 1.0])
    assert guard([lambda: {"a": next(values)}], allowed) == {"a": 1.0}
    assert guard([lambda: {"a": 2.0}], allowed) == {"a": 2.0}


def test_a_result_is_kept_as_text_and_put_into_its_block_of_the_page(tmp_path: Path) -> None:
    """With the commit that it was measured at; the rest of the page stays as it is."""
    page, results = tmp_path / "page.md", tmp_path / "results"
    page.write_text(
        "before\n\n<!-- guard: written by the benchmark -->\nold\n<!-- end of guard -->\n\nafter\n"
    )
    record("guard", "first\\1", page=page, results=results)
    file = record("guard", "second", page=page, results=results)
    assert file.read_text().startswith("Measured on ")
    assert file.read_text().endswith("second\n")
    written = page.read_text()
    assert written.startswith("before\n\n<!-- guard")
    assert written.endswith("```text\nsecond\n```\n<!-- end of guard -->\n\nafter\n")
    assert written.count("Measured on") == 1
    with pytest.raises(LookupError, match="no block other"):
        record("other", "text", page=page, results=results)


def test_the_unit_is_no_figure_itself(parts: ReviewParts) -> None:
    """All else is told as a multiple of it."""
    assert not any(name.startswith(UNIT) for name in parts.measure())
