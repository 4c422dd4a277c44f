"""The page for all who have a token: nobody sees more than the cluster lets it, and no token is shown."""

import pytest

from lockkeeper.page.app import HEADERS
from lockkeeper.page.sign_in import COOKIE, LONGEST_TOKEN
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS
from tests.lockkeeper.page.opened_page import PART, tag_of, words
from tests.lockkeeper.page.shared_page import FROM_HERE, HOST, Reached, SharedPage, signed_in
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import member, pool

EVERYWHERE = {"", "a", "b"}
VIEWS = ("/", "/queue", "/workflows/a/a3", "/workflows/b/b2", "/locks", "/policies", "/history")
BASE = f"https://{HOST}"


@pytest.fixture
def scene() -> Scene:
    """Return a pool of two slots that two namespaces share."""
    made = Scene(pool("data", workflows=2), member("a", "data"), member("b", "data"))
    for name in ("a1", "a2", "a3"):
        made.submit(name)
    made.submit("b1", "b", user="bea")
    made.submit("b2", "b", user="bea")
    made.leader.work()
    made.publish()
    return made


@pytest.fixture
def ann(scene: Scene) -> Reached:
    """Return the cluster for a user of the namespace a, who may see pools."""
    return Reached(scene.cluster, {"a"}, CLUSTER_WORKFLOW_QUOTAS, user="ann")


@pytest.fixture
def page(scene: Scene, ann: Reached) -> SharedPage:
    """Return the page for ann, an administrator, and one who may see nothing."""
    return SharedPage(
        scene,
        {
            "ann-token": ann,
            "root-token": Reached(scene.cluster, EVERYWHERE, user="root"),
            "eve-token": Reached(scene.cluster, set(), user="eve"),
        },
    )


@pytest.mark.parametrize("path", [*VIEWS, "/in/a/queue", "/nowhere"])
def test_without_a_token_there_is_the_form_and_nothing_else(page: SharedPage, path: str) -> None:
    """Not even whether there is such a page or such a Workflow."""
    answer = page.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="lockkeeper"'
    assert "Token of the cluster" in words(answer)
    for name in ("a1", "b2", "pool data"):
        assert name not in words(answer)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_an_administrator_sees_everything(page: SharedPage) -> None:
    """By the token that a proxy sends, or by that of the form."""
    assert "1 to 3 of 3 queued" in words(page.get("/queue", "root-token"))
    browser, answer = signed_in(page, "root-token")
    assert (answer.status_code, answer.location) == (303, "/")
    text = words(browser.get("/queue", base_url=BASE))
    assert "1 to 3 of 3 queued" in text
    assert "root Sign out" in text


def test_a_user_of_one_namespace_sees_it_and_only_counts_of_others(page: SharedPage) -> None:
    """The name of no Workflow and no user of another namespace is there."""
    browser, answer = signed_in(page, "ann-token", namespace="a")
    assert answer.location == "/in/a/"
    queue = words(browser.get("/in/a/queue", base_url=BASE))
    assert "1 to 2 of 2 queued" in queue
    assert "a3" in queue
    assert "pool data 2 of 2" in words(browser.get("/in/a/", base_url=BASE))
    assert "a3 is queued" in words(browser.get("/in/a/workflows/a/a3", base_url=BASE))
    for path in ("/in/a/", "/in/a/queue", "/in/a/workflows/a/a3", "/in/a/locks", "/in/a/history"):
        text = browser.get(path, base_url=BASE).text
        for secret in ("b1", "b2", "bea"):
            assert secret not in text


@pytest.mark.parametrize("path", [*VIEWS, "/in/b/", "/in/b/queue", "/in/a/workflows/b/b2"])
def test_what_the_token_may_not_list_is_not_shown(page: SharedPage, path: str) -> None:
    """It says which right is missing on what, and which ClusterRole gives it; others saw it just before."""
    assert page.get(path, "root-token").status_code in (200, 404)
    answer = page.get(path, "ann-token")
    if path in ("/policies", "/workflows/a/a3"):
        assert "b2" not in answer.text
        return
    assert answer.status_code == 403
    text = words(answer)
    assert "You have no right to see this" in text
    where = (
        "in b" if path.startswith("/in/b") else "in a" if path.startswith("/in/a") else "in all namespaces"
    )
    assert f"list workflows.argoproj.io {where}" in text
    assert "ClusterRole view" in text
    assert "missing" in text or path == "/in/a/workflows/b/b2"
    for secret in ("b1", "bea"):
        assert secret not in text


def test_who_may_see_nothing_is_told_what_is_missing(page: SharedPage) -> None:
    """With the name of the ClusterRole for pools."""
    text = words(page.get("/in/a/", "eve-token"))
    assert "list clusterworkflowquotas.lockkeeper.dev pools and their figures missing" in text
    assert "ClusterRole lockkeeper-pools , by a ClusterRoleBinding" in text


@pytest.mark.parametrize("token", ["", "stranger", "with blanks in it", "ann-token\x00", "ä", "x" * 5000])
def test_a_bad_token_is_one_clear_sentence(page: SharedPage, token: str) -> None:
    """It is not repeated, and not kept."""
    browser, answer = signed_in(page, token, back="/queue")
    assert answer.status_code == 401
    said = answer.text.partition('role="alert">')[2].partition("</p>")[0]
    assert said.count(".") + said.count("?") <= 3
    assert said
    assert not token or token not in answer.text
    assert browser.get_cookie(COOKIE, domain=HOST) is None
    assert browser.get("/", base_url=BASE).status_code == 401


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
def test_who_opens_the_address_of_a_form_gets_the_page(page: SharedPage, path: str) -> None:
    """It is in the address bar after a wrong token; with or without one it leads to the beginning."""
    for token in ("", "ann-token"):
        answer = page.get(path, token)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")


def test_an_unknown_token_of_a_proxy_is_told_as_that(page: SharedPage) -> None:
    """So is one that is no token at all."""
    for token in ("stranger", "no token"):
        answer = page.get("/", token)
        assert answer.status_code == 401
        assert "The cluster does not know this token, or it has expired: sign in with a new one." in words(
            answer
        )
    assert LONGEST_TOKEN > 3000


def test_the_cookie_is_of_this_page_alone(page: SharedPage) -> None:
    """Not for scripts, not without TLS, not from other sites, and not for longer than the browser."""
    _, answer = signed_in(page, "ann-token")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    parts = {each.strip() for each in cookie.split(";")}
    assert parts == {f"{COOKIE}=ann-token", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"}
    assert "ann-token" not in answer.text + str(answer.location)


def test_signing_out_forgets_the_token(page: SharedPage, ann: Reached) -> None:
    """In the browser and here."""
    browser, _ = signed_in(page, "ann-token")
    answer = browser.post("/sign-out", data={"a": "b"}, headers=FROM_HERE, base_url=BASE)
    assert (answer.status_code, answer.location) == (303, "/")
    assert browser.get_cookie(COOKIE, domain=HOST) is None
    assert browser.get("/in/a/", base_url=BASE).status_code == 401
    assert (len(page.sessions), ann.closed) == (0, 1)


@pytest.mark.parametrize(
    ("back", "location"),
    [
        ("/queue?namespace=a", "/queue?namespace=a"),
        ("/in/a/workflows/a/a3", "/in/a/workflows/a/a3"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/sign-in", "/"),
        ("", "/"),
        ("/a\nLocation: x", "/"),
    ],
)
def test_after_signing_in_one_is_where_one_wanted_to_be(page: SharedPage, back: str, location: str) -> None:
    """And nowhere else than on this page."""
    _, answer = signed_in(page, "root-token", back=back)
    assert answer.location == location


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
def test_a_form_of_another_site_is_refused(page: SharedPage, path: str, headers: dict[str, str]) -> None:
    """It would sign somebody in as somebody else, or out."""
    answer = page.browser().post(path, data={"token": "root-token"}, headers=headers, base_url=BASE)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_a_link_on_another_site_leads_to_the_view_all_the_same(page: SharedPage) -> None:
    """The browser keeps the cookie back there; the form asks once more from here, where it sends it."""
    answer = page.get("/queue", Sec_Fetch_Site="cross-site")
    assert '<meta http-equiv="refresh" content="0">' in answer.text
    assert "http-equiv" not in page.get("/queue", Sec_Fetch_Site="same-origin").text


def test_a_token_that_expires_ends_what_is_shown(page: SharedPage, ann: Reached) -> None:
    """Within half a minute, also for a page that only asks whether something has changed."""
    first = page.get("/in/a/", "ann-token")
    assert first.status_code == 200
    ann.known = False
    page.later(29)
    assert page.get("/in/a/", "ann-token").status_code == 200
    page.later(2)
    headers = {**PART, "If-None-Match": f'"{tag_of(first)}"', "Authorization": "Bearer ann-token"}
    assert page.browser().get("/in/a/", headers=headers, base_url=BASE).status_code == 401
    assert (len(page.sessions), ann.closed) == (0, 1)


def test_the_cluster_is_asked_once_in_half_a_minute(page: SharedPage, ann: Reached) -> None:
    """Who asks every three seconds costs it next to nothing."""
    for _ in range(10):
        page.get("/in/a/", "ann-token")
        page.later(3)
    assert ann.asked == 1
    page.get("/in/a/", "ann-token")
    assert ann.asked == 2


def test_a_session_that_is_not_used_is_forgotten(page: SharedPage, ann: Reached) -> None:
    """With all that was read; the next request begins anew."""
    page.get("/in/a/", "ann-token")
    page.later(121)
    page.get("/in/a/", "root-token")
    assert (len(page.sessions), ann.closed) == (1, 1)
    assert page.get("/in/a/", "ann-token").status_code == 200


def test_many_wrong_tokens_are_told_to_wait(page: SharedPage) -> None:
    """Who is signed in is not held up by them."""
    assert page.get("/in/a/", "ann-token").status_code == 200
    codes = [page.get("/", f"guess-{number}").status_code for number in range(40)]
    assert codes.count(401) == 29
    refused = page.get("/", "guess")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert "You ask too often. Try again in 1 s." in words(refused)
    assert page.get("/in/a/", "ann-token").status_code == 200


def test_one_session_may_not_ask_without_end(page: SharedPage) -> None:
    """Others go on as before; after a while so may it."""
    codes = [page.get("/in/a/", "ann-token").status_code for _ in range(70)]
    assert set(codes) == {200, 429}
    assert page.get("/", "root-token").status_code == 200
    page.later(2)
    assert page.get("/in/a/", "ann-token").status_code == 200


def test_one_session_may_not_have_ever_more_namespaces_read(page: SharedPage) -> None:
    """Each is a reading of its own."""
    codes = [page.get(f"/in/n{number}/", "root-token").status_code for number in range(8)]
    assert codes.count(429) == 2


def test_a_body_that_is_too_large_is_refused(page: SharedPage) -> None:
    """No form of ours is so large."""
    _, answer = signed_in(page, "x" * 20_000)
    assert answer.status_code == 413
    assert "Set-Cookie" not in answer.headers


def test_no_fault_of_ours_shows_a_token(page: SharedPage) -> None:
    """In all of this there was none."""
    signed_in(page, "ann-token")
    page.get("/", "root-token")
    assert page.faults == []
