"""Requests that our own client never sends: what kubectl sends, and what is wrong."""

import json
import ssl
from collections.abc import Iterator
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import NAMESPACES, WORKFLOWS
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.kube_api.served_api import served
from tests.patience import PATIENCE

WORKFLOW: JsonObject = {
    "apiVersion": WORKFLOWS.api_version,
    "kind": WORKFLOWS.kind,
    "metadata": {"name": "w"},
    "spec": {"entrypoint": "main"},
}
NOWHERE = "/apis/argoproj.io/v1alpha1/namespaces/nowhere/workflows"
UNRECOGNIZED = (
    "the object provided is unrecognized (must be of type Workflow): couldn't get version/kind; "
    "json parse error: "
)
OPTIONS = 'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: '
POLICIES = 'Unsupported value: "x": supported values: "Foreground", "Background", "Orphan", "nil"'
PATH = "/apis/argoproj.io/v1alpha1/namespaces/a/workflows"


class Site:
    """A served cluster with the namespace `a`, and a plain client of it."""

    def __init__(self, memory: MemoryCluster, kubeconfig: Path, folder: Path) -> None:
        self.memory = memory
        config = yaml.safe_load(kubeconfig.read_text("utf-8"))
        self.url = urlsplit(config["clusters"][0]["cluster"]["server"])
        self._tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._connections: list[HTTPSConnection] = []
        memory.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> HTTPResponse:
        """Send a request over a connection of its own."""
        connection = HTTPSConnection(
            self.url.hostname or "", self.url.port, context=self._tls, timeout=PATIENCE
        )
        self._connections.append(connection)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, body, named)
        return connection.getresponse()

    def json(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Return the body of an answer."""
        sent = None if body is None else json.dumps(body).encode()
        return json.loads(self.send(method, path, sent, **headers).read())

    def close(self) -> None:
        """Close the connections."""
        for each in self._connections:
            each.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve a cluster."""
    with served(tmp_path) as (memory, kubeconfig):
        made = Site(memory, kubeconfig, tmp_path)
        yield made
        made.close()


def test_a_list_as_a_table_has_the_columns_of_kubectl(site: Site) -> None:
    """That is what `kubectl get` asks for."""
    site.json("POST", PATH, WORKFLOW)
    shown = site.json("GET", PATH, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [each["name"] for each in shown["columnDefinitions"]] == ["Name", "Status", "Age", "Message"]
    assert shown["rows"][0]["cells"][0] == "w"


def test_a_dry_run_stores_nothing(site: Site) -> None:
    """`kubectl create --dry-run=server`."""
    assert site.json("POST", f"{PATH}?dryRun=All", WORKFLOW)["metadata"]["name"] == "w"
    assert site.memory.list(WORKFLOWS).items == ()


@pytest.mark.parametrize(
    ("request_line", "body", "code", "message"),
    [
        (f"GET {PATH}/none", b"", 404, 'workflows.argoproj.io "none" not found'),
        (f"POST {NOWHERE}", json.dumps(WORKFLOW).encode(), 404, 'namespaces "nowhere" not found'),
        (f"POST {PATH}", b"", 400, f"{UNRECOGNIZED}unexpected end of JSON input (<empty>)"),
        (f"POST {PATH}", b"[]", 400, f"{UNRECOGNIZED}it is no object"),
        (f"DELETE {PATH}/w?propagationPolicy=x", b"", 422, f"{OPTIONS}{POLICIES}"),
        (f"GET {PATH}?fieldSelector=spec.x=1", b"", 400, "field label not supported: spec.x"),
    ],
)
def test_what_is_wrong_is_answered_as_the_api_server_does(
    site: Site, request_line: str, body: bytes, code: int, message: str
) -> None:
    """With its words, as a Status, so that kubectl prints them."""
    method, _, path = request_line.partition(" ")
    response = site.send(method, path, body or None)
    status = json.loads(response.read())
    assert (response.status, status["code"], status["message"]) == (code, code, message)
    assert (status["kind"], status["status"]) == ("Status", "Failure")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/namespaces/a/pods/x", "pods"),
        ("/apis/apps/v1/deployments", "deployments"),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles/x", "clusterroles"),
    ],
)
def test_a_kind_of_kubernetes_that_is_not_there_is_named(site: Site, path: str, kind: str) -> None:
    """With what there is; `kubectl logs` asks for Pods, for one."""
    status = site.json("GET", path)
    assert (status["code"], status["reason"]) == (404, "NotFound")
    assert status["message"].startswith(f"lockkeeper run has no {kind}: it serves Workflows, ")


def test_other_paths_are_not_found_as_by_the_api_server(site: Site) -> None:
    """In plain text."""
    response = site.send("GET", "/apis/nothing.example/v1/things")
    assert (response.status, response.read()) == (404, b"404 page not found\n")


def test_a_body_in_protobuf_is_refused_with_what_to_do(site: Site) -> None:
    """`kubectl create namespace` sends one; a file is sent as JSON."""
    response = site.send(
        "POST", "/api/v1/namespaces", b"k8s\0", Content_Type="application/vnd.kubernetes.protobuf"
    )
    assert response.status == 415
    assert b"kubectl create -f FILE" in response.read()


def test_a_client_that_never_makes_its_handshake_stops_no_other(site: Site) -> None:
    """Each connection makes its own."""
    with create_connection((site.url.hostname or "", site.url.port or 0), timeout=PATIENCE):
        assert site.json("GET", "/version")["major"] == "1"


def test_a_watch_ends_with_its_time_and_the_connection_serves_on(site: Site) -> None:
    """`kubectl get -w` starts another one then."""
    site.json("POST", PATH, WORKFLOW)
    response = site.send("GET", f"{PATH}?watch=1&resourceVersion=1&timeoutSeconds=0")
    events = [json.loads(line) for line in response.read().splitlines()]
    assert [(each["type"], each["object"]["metadata"]["name"]) for each in events] == [("ADDED", "w")]


def test_the_old_schemas_are_empty_so_that_kubectl_sends_lists(site: Site) -> None:
    """It checks the items of a List by them, and says of kinds that are not served that there is no match."""
    answer = site.send("GET", "/openapi/v2")
    assert (answer.status, answer.read()) == (200, b"")
