"""What axe-core has against the page: nothing, in every view, small and wide, by day and by night."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.axe import AxeIsMissingError, axe_script, violations
from tests.e2e.chromium import CHROMIUM, Browser, Tab, opened_browser
from tests.e2e.shown_page import TOKEN, Measured, crowded, served, served_to_all

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]
VIEWS: Final = (
    "",
    "queue",
    "queue?show=running",
    "queue?user=nobody",
    "workflows/a/w3",
    "workflows/a/r1",
    "workflows/a/nothing",
    "locks",
    "policies",
    "history?span=1d",
    "in/a/",
    "no/such/page",
)
SIGNED_IN: Final = (
    "in/b/",
    "in/b/queue",
    "in/b/workflows/b/b1",
    "in/b/locks",
    "in/b/policies",
    "in/b/history",
    "queue",
)
"""Of the last, bea is told which rights are missing."""


@pytest.fixture(scope="module")
def axe() -> str:
    """Return axe-core."""
    try:
        return axe_script()
    except AxeIsMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser for all tests."""
    with opened_browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(
    params=[(360, "light"), (360, "dark"), (1600, "light"), (1600, "dark")],
    ids=lambda each: f"{each[0]}-{each[1]}",
)
def tab(browser: Browser, request: pytest.FixtureRequest) -> Tab:
    """Return a tab on a phone or on a wide screen, by day or by night."""
    width, scheme = request.param
    made = browser.new_tab()
    made.resize(width)
    made.prefer(scheme)
    return made


def test_the_page_of_one_has_no_violation(axe: str, tab: Tab) -> None:
    """With a history from Prometheus, and with pages of errors."""
    with served(crowded(), prometheus=Measured()) as url:
        for view in VIEWS:
            tab.open(url + view)
            assert violations(tab, axe) == [], view


def test_it_would_be_found(axe: str, tab: Tab) -> None:
    """In every size and colour, what is wrong is told with the element."""
    with served(crowded()) as url:
        tab.open(url)
        tab.run("document.getElementById('main').insertAdjacentHTML('beforeend', '<input><button></button>')")
        rules = {each.partition(":")[0] for each in violations(tab, axe)}
    assert {"label", "button-name"} <= rules


def test_the_page_for_all_has_no_violation(axe: str, tab: Tab, tmp_path: Path) -> None:
    """From the form to the page that tells which rights are missing."""
    tab.call("Security.setIgnoreCertificateErrors", ignore=True)
    with served_to_all(crowded(), tmp_path) as url:
        tab.open(f"{url}in/b/")
        assert "Token of the cluster" in tab.text
        assert violations(tab, axe) == []
        tab.call("Input.insertText", text=TOKEN)
        tab.enter()
        for view in SIGNED_IN:
            tab.open(url + view)
            assert "bea" in tab.text
            assert violations(tab, axe) == [], view
