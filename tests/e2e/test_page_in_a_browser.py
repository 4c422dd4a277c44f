"""The page in a real Chromium: every view, filters, live changes, keyboard, sizes, colours, and no script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from lockkeeper.page.page_server import PageServer, page_url
from tests.e2e.chromium import CHROMIUM, Browser, Tab, opened_browser
from tests.e2e.shown_page import HOSTILE, TOKEN, Measured, crowded, served, served_to_all
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import complete
from webhook.serving.server import bind

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]

SHORT: Final = "<img src=x onerror=alert(1)>"
VIEWS: Final = (
    "",
    "queue",
    "queue?show=running",
    "workflows/a/w3",
    "workflows/a/r1",
    "locks",
    "policies",
    "history",
)
CONTRAST: Final = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if ((parts(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255,255,255)";
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [one, two] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) poor.push(`${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""
"""What is written in too little contrast to its ground (WCAG 2, AA)."""
UNNAMED: Final = """(() => {
  const faults = [];
  const say = (selector, fine, text) => {
    for (const each of document.querySelectorAll(selector))
      if (!fine(each)) faults.push(`${text}: ${each.outerHTML.slice(0, 80)}`);
  };
  say("input, select", (each) => each.labels.length > 0, "without a label");
  say("svg", (each) => each.ariaHidden === "true" || each.getAttribute("aria-label"), "without a name");
  say("img", (each) => each.hasAttribute("alt"), "without a text");
  say("a, button", (each) => (each.ariaLabel || each.textContent).trim(), "without words");
  say("thead th", (each) => each.scope === "col", "without a scope");
  say("tbody tr > :first-child", (each) => each.scope === "row", "without a head");
  say("table", (each) => each.caption, "without a caption");
  say("[id]", (each) => document.querySelectorAll(`#${CSS.escape(each.id)}`).length === 1, "twice");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (document.documentElement.lang !== "en") faults.push("no language");
  if (!document.title) faults.push("no title");
  if (document.querySelectorAll("main, header, footer, nav").length < 4) faults.push("no landmarks");
  return faults;
})()"""
"""What a screen reader could not name."""
FOCUS_IS_SEEN: Final = """(() => {
  const found = document.activeElement, place = found.getBoundingClientRect();
  return found === document.body || place.right > 0 && getComputedStyle(found).outlineStyle === "solid";
})()"""
"""Whether what has the focus is in sight, with a line around it; past the last it is the document."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser for all tests."""
    with opened_browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def tab(browser: Browser) -> Tab:
    """Return a new tab."""
    return browser.new_tab()


@pytest.fixture
def scene() -> Scene:
    """Return a pool where many wait."""
    return crowded()


@pytest.fixture
def url(scene: Scene) -> Iterator[str]:
    """Return the address of the page of the scene."""
    with served(scene) as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1600])
def test_every_view_fits_is_named_and_can_be_read(url: str, tab: Tab, width: int, scheme: str) -> None:
    """On a phone and on a wide screen, by day and by night; it asks nobody else and complains of nothing."""
    tab.resize(width)
    tab.prefer(scheme)
    for view in VIEWS:
        tab.open(url + view)
        assert tab.run("document.documentElement.scrollWidth") <= width, view
        assert tab.run(UNNAMED) == [], view
        assert tab.run(CONTRAST) == [], view
    dark = "rgb(18, 22, 28)"
    assert (tab.run("getComputedStyle(document.body).backgroundColor") == dark) == (scheme == "dark")
    assert [each for each in tab.requests if not each.startswith(url)] == []
    assert tab.complaints == []


@pytest.mark.parametrize(
    ("view", "text"),
    [
        ("queue?namespace=a", HOSTILE),
        ("workflows/a/w3", HOSTILE),
        ("locks", HOSTILE),
        (f"queue?reason={quote(HOSTILE)}", HOSTILE),
        (f"workflows/a/{quote(SHORT)}", SHORT),
        (f"history?span={quote(HOSTILE)}", "a/main"),
    ],
)
def test_names_are_text(url: str, tab: Tab, view: str, text: str) -> None:
    """What users call themselves, their locks and steps, and what a link says, is shown and does nothing."""
    tab.open(url + view)
    fields = tab.run("[...document.querySelectorAll('input, option')].map((each) => each.value).join()")
    assert text in tab.text + fields
    assert tab.run("document.querySelectorAll('main img').length") == 0
    assert [each for each in tab.requests if not each.startswith(url)] == []


def test_a_change_is_shown_where_the_focus_and_the_place_stay(scene: Scene, url: str, tab: Tab) -> None:
    """Nobody has to load the page again, and nobody loses the place."""
    tab.open(url)
    assert "2 running 0 starting 123 queued" in tab.text
    tab.run("document.getElementById('to-queue').focus(); document.title = 'the same page'")
    complete(scene.cluster, "r1", namespace="a")
    scene.leader.work()
    tab.wait_until("document.body.innerText.includes('122')")
    assert tab.run("document.activeElement.id") == "to-queue"
    assert tab.run("document.title") == "the same page"
    assert tab.complaints == []


def test_what_is_unchanged_is_not_sent_again(url: str, tab: Tab) -> None:
    """The script shows the tag of what there is."""
    tab.open(f"{url}queue")
    tab.run("document.getElementById('live').dataset.mine = 'yes'; answers = []")
    tab.run(
        "document.body.addEventListener('htmx:afterRequest',"
        " (event) => { answers.push(event.detail.xhr.status); })"
    )
    tab.wait_until("answers.length >= 2")
    assert set(tab.run("answers")) == {304}


def test_the_queue_is_filtered_by_keyboard_alone(url: str, tab: Tab) -> None:
    """From the top: past the link to the content and the views, to the filters."""
    tab.open(f"{url}queue")
    tab.tab()
    assert tab.run("document.activeElement.textContent") == "Skip to content"
    for _ in range(40):
        if tab.run("document.activeElement.name") == "namespace":
            break
        tab.tab()
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("ArrowDown", 40)
    assert tab.run("document.activeElement.value") == "a"
    for _ in range(10):
        if tab.run("document.activeElement.type") == "submit":
            break
        tab.tab()
    tab.enter()
    assert "1 to 3 of 3 queued" in tab.text
    assert "namespace=a" in tab.run("location.search")


def test_every_view_is_reached_by_keyboard_alone(url: str, tab: Tab) -> None:
    """What has the focus is seen, and the link at the top leads past the head."""
    tab.open(url)
    for view in ("Queue", "Locks", "Policies", "History", "Overview"):
        for _ in range(40):
            tab.tab()
            assert tab.run(FOCUS_IS_SEEN)
            if tab.run("document.activeElement.textContent") == view:
                break
        tab.enter()
        assert tab.run("document.querySelector('h1').textContent") == view
    tab.tab()
    tab.press("Enter", 13, "\r")
    tab.wait_until("document.activeElement.id === 'main'")
    tab.tab()
    assert tab.run("document.activeElement.id") == "to-queue"


def test_one_goes_from_the_queue_to_a_workflow_and_to_those_before_it(url: str, tab: Tab) -> None:
    """Each name is a link."""
    tab.open(f"{url}queue")
    tab.run("document.getElementById('wf-a-w3').focus()")
    tab.enter()
    assert "w3 is queued" in tab.text
    tab.run("document.querySelector('tbody a').focus()")
    tab.enter()
    assert tab.run("location.pathname").startswith("/workflows/b/b")


def test_how_far_back_the_history_goes_is_chosen_by_keyboard(scene: Scene, tab: Tab) -> None:
    """And it stays so while the page asks again."""
    with served(scene, prometheus=Measured()) as url:
        tab.open(f"{url}history")
        assert "From Prometheus: the last 6h." in tab.text
        tab.run("document.getElementById('span-7d').focus()")
        tab.enter()
        assert "From Prometheus: the last 7d." in tab.text
        tab.run("document.getElementById('live').dataset.before = 'yes'; answers = 0")
        tab.run("document.body.addEventListener('htmx:afterRequest', () => { answers += 1; })")
        tab.wait_until("answers >= 1")
        assert "From Prometheus: the last 7d." in tab.text
        assert tab.complaints == []


def test_pages_of_a_long_queue_are_links(url: str, tab: Tab) -> None:
    """A hundred on each."""
    tab.open(f"{url}queue")
    assert "1 to 100 of 123 queued" in tab.text
    tab.run("document.getElementById('next-page').focus()")
    tab.enter()
    assert "101 to 123 of 123 queued" in tab.text


def test_without_scripts_all_is_there(url: str, tab: Tab) -> None:
    """Only that it is not asked again."""
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    for view, text in (
        ("", "pool data"),
        ("queue", "1 to 100 of 123 queued"),
        ("queue?show=running", "1 to 2 of 2 running"),
        ("workflows/a/w3", "What would help"),
        ("locks", "waits for ever"),
        ("policies", "ClusterWorkflowQuota"),
        ("history", "longest wait"),
    ):
        tab.open(url + view)
        assert text in tab.html
    assert [each for each in tab.requests if each.endswith(".js")] == []


def test_one_signs_in_looks_at_five_thousand_and_signs_out_by_keyboard_alone(
    tab: Tab, tmp_path: Path
) -> None:
    """The token is in no address and no script sees it; every address that is led to is over TLS."""
    scene = crowded()
    for number in range(5000):
        scene.submit(f"c{number}", "b", user="bea", age=0)
    scene.leader.work()
    scene.publish()
    tab.call("Security.setIgnoreCertificateErrors", ignore=True)
    with served_to_all(scene, tmp_path) as url:
        tab.open(f"{url}in/b")
        tab.call("Input.insertText", text="wrong")
        tab.enter()
        assert "The cluster does not know this token" in tab.text
        tab.call("Input.insertText", text=TOKEN)
        tab.enter()
        assert tab.run("location.href") == f"{url}in/b/"
        assert tab.run("document.cookie") == ""
        tab.open(f"{url}in/b/queue")
        assert "1 to 100 of 5120 queued" in tab.text
        tab.run("document.getElementById('next-page').focus()")
        tab.enter()
        assert "101 to 200 of 5120 queued" in tab.text
        for _ in range(20):
            tab.tab()
            if tab.run("document.activeElement.textContent") == "Sign out":
                break
        tab.enter()
        tab.open(f"{url}in/b/queue")
        assert "Token of the cluster" in tab.text
        assert TOKEN not in tab.text + tab.html
    assert [each for each in tab.requests if not each.startswith(url) or TOKEN in each] == []


def test_a_page_that_is_away_is_told(scene: Scene, tab: Tab) -> None:
    """With how old it is what is shown."""
    listener = bind("127.0.0.1", 0)
    server = PageServer(
        cluster=scene.cluster, namespace="", listener=listener, clock=scene.clock, bug=lambda _: None
    )
    server.start()
    tab.open(page_url(listener))
    server.stop()
    scene.cluster.close()
    tab.wait_until("document.body.innerText.includes('Lockkeeper does not answer; what is shown is from')")
    assert "pool data" in tab.text
