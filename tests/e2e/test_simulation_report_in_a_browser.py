"""The report of `lockkeeper simulate` in a real Chromium: one file, no complaint, readable on a telephone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lockkeeper.__main__ import main
from tests.e2e.chromium import CHROMIUM, Tab, opened_browser
from tests.lockkeeper.commands import EXAMPLES

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]

SMALL: Final = """(() => [...document.querySelectorAll("svg text")]
  .filter((each) => each.getBoundingClientRect().height < 9).length)()"""
"""Texts of charts that are too small to be read."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the example, beside nothing else."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    policies = ("--policies", str(EXAMPLES / "policies"), "--against", str(EXAMPLES / "proposal"))
    assert main(["simulate", str(EXAMPLES / "history.json"), *policies, "--html", str(file)]) == 0
    return file


@pytest.fixture(scope="module")
def suggestion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a suggestion for the example."""
    file = tmp_path_factory.mktemp("suggestion") / "report.html"
    words = ("--policies", str(EXAMPLES / "policies"), "--wait", "team-etl p95 1h", "--what-ifs", "60")
    assert main(["suggest", str(EXAMPLES / "history.json"), *words, "--html", str(file)]) == 0
    return file


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Return a tab of a browser."""
    with opened_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser.new_tab()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_without_a_complaint_and_without_another_file(
    tab: Tab, report: Path, scheme: str
) -> None:
    """It is sent by mail and opened anywhere: words first, then charts of both sets of policies."""
    tab.prefer(scheme)
    tab.open(report.as_uri())
    assert tab.complaints == []
    assert {each for each in tab.requests if not each.startswith("data:")} == {report.as_uri()}
    text = tab.text
    assert text.index("88 start earlier by a minute or more") < text.index("How long 95 of 100 wait")
    assert tab.run("document.querySelectorAll('svg path.line.before').length") > 4
    assert tab.run("document.querySelectorAll('svg path.line.after').length") > 4


@pytest.mark.parametrize("width", [360, 1280])
def test_the_report_is_readable_at_every_width(tab: Tab, report: Path, width: int) -> None:
    """Nothing is wider than the screen, but tables, which scroll; no text of a chart is tiny."""
    tab.resize(width)
    tab.open(report.as_uri())
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(SMALL) == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_the_report_of_a_suggestion_has_the_trade_off_and_is_as_readable(
    tab: Tab, suggestion: Path, width: int
) -> None:
    """What shorter and longer waits need comes after the words, before what `simulate` tells."""
    tab.resize(width)
    tab.open(suggestion.as_uri())
    assert tab.complaints == []
    assert not [each for each in tab.requests if not each.startswith(("data:", "file:"))]
    text = tab.text
    assert text.index("Other limits do that") < text.index("Trade-off") < text.index("Not certain")
    assert text.index("Not certain") < text.index("Waits and use")
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(SMALL) == 0
