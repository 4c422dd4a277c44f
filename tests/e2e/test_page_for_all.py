"""The page in the cluster, on a real control plane: what each token may list, and no more."""

import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection
from typing import Final
from urllib.parse import urlencode

import msgspec
import pytest

from tests.e2e.acting import QUICK
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.creating import workflow
from tests.e2e.installed import Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.product import until
from tests.e2e.replicas import ASKING
from tests.e2e.test_commands_on_the_control_plane import OTHERS, POLICIES, USER
from tests.patience import PATIENCE

pytestmark = [pytest.mark.e2e, ASKING]
SETTINGS: Final = (
    *QUICK,
    "page.enabled=true",
    "page.deployment.replicas=1",
    "page.hosts={queues.example}",
    "rbac.poolReaders[0].kind=ServiceAccount",
    f"rbac.poolReaders[0].name={USER}",
    f"rbac.poolReaders[0].namespace={GOVERNED}",
)
STRANGER: Final = "nobody-special"


class Shown(msgspec.Struct, frozen=True):
    """An answer of the page."""

    code: int
    text: str
    headers: dict[str, str]


class Page(msgspec.Struct, frozen=True):
    """The page of an installation, and the tokens of three users."""

    installed: Installed
    administrator: str
    user: str
    stranger: str

    def asks(self, path: str, token: str = "", *, form: str = "", **headers: str) -> Shown:
        """Return what a browser gets."""
        (pod,) = self.installed.pods(f"{RELEASE}-page")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sent = {"Host": "queues.example", **headers}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if form:
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        connection = HTTPSConnection(pod.status.pod_ip, 8443, timeout=PATIENCE, context=context)
        connection.request("POST" if form else "GET", path, body=form or None, headers=sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Shown(answer.status, text, dict(answer.getheaders()))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Fill a pool of two slots from two namespaces."""
    with installation(tmp_path_factory.mktemp("site"), *SETTINGS) as installed:
        kubectl = installed.site.kubectl
        installed.namespace(OTHERS)
        kubectl.said("apply", "-f", "-", text=POLICIES)
        kubectl.said("create", "serviceaccount", STRANGER, f"--namespace={OTHERS}")
        kubectl.said("wait", "--for=condition=Ready", "clusterworkflowquota/shared", AWHILE)
        kubectl.said(
            "wait", "--for=condition=Available", f"deployment/{RELEASE}-page", f"-n={NAMESPACE}", AWHILE
        )
        for name, namespace in (
            ("mine-1", GOVERNED),
            ("theirs-1", OTHERS),
            ("mine-2", GOVERNED),
            ("theirs-2", OTHERS),
        ):
            text = msgspec.json.encode(workflow(name)).decode()
            kubectl.said("create", f"--namespace={namespace}", "-f", "-", text=text)
        kubectl.said("wait", "clusterworkflowquota/shared", "--for=jsonpath={.status.queued}=2", AWHILE)
        token = kubectl.said("create", "token", USER, f"--namespace={GOVERNED}").strip()
        stranger = kubectl.said("create", "token", STRANGER, f"--namespace={OTHERS}").strip()
        yield Page(installed, installed.site.plane.token, token, stranger)


def test_an_administrator_sees_all_namespaces(page: Page) -> None:
    """Pools with figures, and everybody who waits."""
    assert "pool shared" in page.asks("/", page.administrator).text
    queue = page.asks("/queue", page.administrator)
    assert queue.code == 200
    assert "mine-2" in queue.text
    assert "theirs-2" in queue.text
    assert page.asks(f"/workflows/{OTHERS}/theirs-2", page.administrator).code == 200


def test_a_user_of_one_namespace_sees_it_and_counts_of_others(page: Page) -> None:
    """In no view is there a name of another namespace's Workflow."""
    here = f"/in/{GOVERNED}"
    for view in ("/", "/queue", f"/workflows/{GOVERNED}/mine-2", "/locks", "/policies", "/history"):
        shown = page.asks(here + view, page.user)
        assert shown.code == 200, shown.text
        assert "theirs" not in shown.text
    assert "mine-2" in page.asks(f"{here}/queue", page.user).text
    assert "pool shared" in page.asks(f"{here}/", page.user).text


@pytest.mark.parametrize("path", ["/", "/queue", "/locks", f"/in/{OTHERS}/", f"/in/{OTHERS}/queue"])
def test_what_a_token_may_not_list_is_refused_with_the_role_that_gives_it(page: Page, path: str) -> None:
    """In the words of the API server; an administrator saw it just before."""
    assert page.asks(path, page.administrator).code == 200
    shown = page.asks(path, page.user)
    assert shown.code == 403
    assert "theirs" not in shown.text
    assert "cannot list resource" in shown.text
    assert "list workflows.argoproj.io" in shown.text
    assert "ClusterRole <code>view</code>" in shown.text
    assert "ClusterRole <code>lockkeeper-pools</code>" in shown.text


def test_who_has_no_rights_sees_which_are_missing(page: Page) -> None:
    """The API server says of each whether it is there."""
    shown = page.asks(f"/in/{OTHERS}/", page.stranger)
    assert shown.code == 403
    assert shown.text.count('class="tag bad">missing<') == 3
    assert "pool shared" not in shown.text


def test_the_form_keeps_a_token_that_the_cluster_knows(page: Page) -> None:
    """And no other: that is one sentence."""
    answer = page.asks("/sign-in", form=urlencode({"token": page.user, "namespace": GOVERNED}))
    assert (answer.code, answer.headers["Location"]) == (303, f"/in/{GOVERNED}/")
    cookie = answer.headers["Set-Cookie"]
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"))
    shown = page.asks(f"/in/{GOVERNED}/queue", Cookie=cookie.partition(";")[0])
    assert shown.code == 200
    assert f"system:serviceaccount:{GOVERNED}:{USER}" in shown.text
    for wrong in ("x.y.z", page.user[:-4] + "AAAA"):
        refused = page.asks("/sign-in", form=urlencode({"token": wrong}))
        assert (refused.code, "Set-Cookie" in refused.headers) == (401, True)
        assert "The cluster does not know this token, or it has expired" in refused.text
        assert wrong not in refused.text + str(refused.headers)


def test_a_token_for_somebody_else_is_not_taken(page: Page) -> None:
    """A token whose audience is not the API server is for another service."""
    kubectl = page.installed.site.kubectl
    other = kubectl.said("create", "token", USER, f"--namespace={GOVERNED}", "--audience=elsewhere").strip()
    assert page.asks(f"/in/{GOVERNED}/", other).code == 401


def test_a_right_that_is_taken_away_ends_what_is_shown(page: Page) -> None:
    """Within a minute; the account itself never had one."""
    kubectl = page.installed.site.kubectl
    kubectl.said(
        "create",
        "rolebinding",
        "for-a-while",
        f"--namespace={OTHERS}",
        "--clusterrole=cluster-admin",
        f"--serviceaccount={OTHERS}:{STRANGER}",
    )
    kubectl.said(
        "create",
        "clusterrolebinding",
        "pools-for-a-while",
        f"--clusterrole={RELEASE}-pools",
        f"--serviceaccount={OTHERS}:{STRANGER}",
    )
    path = f"/in/{OTHERS}/queue"
    until(lambda: page.asks(path, page.stranger).code == 200, "the rights do not come")
    kubectl.said("delete", "rolebinding", "for-a-while", f"--namespace={OTHERS}")
    kubectl.said("delete", "clusterrolebinding", "pools-for-a-while")
    until(lambda: page.asks(path, page.stranger).code == 403, "it is still shown")
    account = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-page"
    rights = kubectl.run("auth", "can-i", "--list", f"--as={account}", f"--namespace={GOVERNED}").stdout
    assert not [word for word in ("workflows", "secrets", "configmaps", "quota") if word in rights]


def test_no_log_has_a_token(page: Page) -> None:
    """After all of this the Pod has said where it listens, and nothing of anybody."""
    (pod,) = page.installed.pods(f"{RELEASE}-page")
    log = page.installed.log(pod.name)
    for token in (page.administrator, page.user, page.stranger):
        assert token not in log
    assert "Traceback" not in log
