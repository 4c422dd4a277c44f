"""Listing many Workflows: what it costs to decode and remember them, beside only reading the same bytes.

A server in a process of its own gives recorded pages of metadata over TLS on loopback, as fast as they are
read; the client is the one that the controller uses.
"""

import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from random import Random
from socket import create_server, socket
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration

from lockkeeper.certificates.loopback import loopback_certificate
from policy.cluster.kube import requests
from policy.cluster.kube.connection import KubeTransport
from policy.cluster.kube.kube_cluster import PAGE_SIZE, KubeCluster
from policy.cluster.protocol import WORKFLOWS, Selection
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.service.tracking.tracker import LIVE, Tracker

BORN: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMESPACES: Final = 1_000
USERS: Final = 3
"""In each namespace."""
FACTOR: Final = 3.0
"""How much longer a list may take than reading its bytes."""


class Figures(msgspec.Struct, frozen=True):
    """Seconds of CPU for the bytes alone, for the list, and for the list with all of it remembered.

    CPU of this process, because a neighbour of the machine would take part in the other kind. `wall` is the
    other kind, of the last of the three.
    """

    objects: int
    megabytes: float
    floor: float
    listed: float
    tracked: float
    wall: float


def metadata_of(number: int, rng: Random) -> JsonObject:
    """Return the metadata of a Workflow as Argo and we leave it, with what the API server adds."""
    uid = str(UUID(int=rng.getrandbits(128), version=4))
    at = (BORN + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels: JsonObject = {
        "team": rng.choice(("red", "green", "blue")),
        "workflows.argoproj.io/phase": "Running",
        "workflows.argoproj.io/completed": "false",
        "workflows.argoproj.io/creator": "system-serviceaccount-argo-ci",
    }
    annotations: JsonObject = {
        well_known.TASKS: str(rng.choice((1, 2, 4, 8))),
        well_known.PRIORITY: "0",
        well_known.USER: f"user-{rng.randrange(USERS)}-of-team-{number % NAMESPACES}",
        well_known.HOLDS: "1",
        "workflows.argoproj.io/pod-name-format": "v2",
    }
    fields: JsonObject = {
        "f:metadata": {"f:labels": {f"f:{key}": {} for key in labels}, "f:annotations": {}},
        "f:spec": {},
        "f:status": {},
    }
    managed: JsonObject = {
        "manager": "workflow-controller",
        "operation": "Update",
        "apiVersion": WORKFLOWS.api_version,
        "time": at,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return {
        "name": f"nightly-report-{number:06d}",
        "generateName": "nightly-report-",
        "namespace": f"team-{number % NAMESPACES}",
        "uid": uid,
        "resourceVersion": str(1_000_000 + number),
        "generation": 7,
        "creationTimestamp": at,
        "labels": labels,
        "annotations": annotations,
        "managedFields": [managed],
    }


def pages_of(objects: int) -> list[bytes]:
    """Return the pages of a list, each with the number of the next one as its token."""
    rng = Random(1)  # noqa: S311 - the same list in every run
    found: list[bytes] = []
    for start in range(0, objects, PAGE_SIZE):
        numbers = range(start, min(start + PAGE_SIZE, objects))
        after = str(len(found) + 1) if numbers.stop < objects else ""
        page = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": "2000000", "continue": after},
            "items": [
                {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata_of(number, rng),
                }
                for number in numbers
            ],
        }
        found.append(msgspec.json.encode(page))
    return found


def serve(objects: int, folder: Path, pipe: Pipe) -> None:
    """Give pages to whoever connects, one connection after the other, until the process is ended."""
    pages = pages_of(objects)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with create_server(("127.0.0.1", 0)) as server:
        pipe.send(server.getsockname()[1])
        while True:
            client, _ = server.accept()
            with trust.wrap_socket(client, server_side=True) as secured:
                _answer(secured, pages)


def _answer(client: socket, pages: list[bytes]) -> None:
    asked = b""
    while piece := client.recv(1 << 16):
        asked += piece
        while b"\r\n\r\n" in asked:
            head, asked = asked.split(b"\r\n\r\n", 1)
            query = parse_qs(urlsplit(head.split(b" ", 2)[1].decode()).query)
            body = pages[int(query.get("continue", ["0"])[0])]
            length = f"Content-Length: {len(body)}\r\n\r\n".encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + length + body)


@contextmanager
def recorded(objects: int) -> Iterator[KubeTransport]:
    """Give a connection to a server of recorded pages."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with TemporaryDirectory(prefix="bench-") as folder:
        paths, _ = loopback_certificate(Path(folder), "127.0.0.1")
        process = context.Process(target=serve, args=(objects, paths.cert.parent, theirs), daemon=True)
        process.start()
        configuration = Configuration()
        configuration.host = f"https://127.0.0.1:{ours.recv()}"
        configuration.ssl_ca_cert = str(paths.authority_cert)
        connection = KubeTransport(client=ApiClient(configuration), source="the benchmark", inside=False)
        try:
            yield connection
        finally:
            connection.close()
            process.kill()
            process.join()


def read_bytes(connection: KubeTransport) -> int:
    """Read every page and look at nothing but the token of the next one; return how many bytes there were."""
    scope = Selection(WORKFLOWS, labels=LIVE, metadata_only=True)
    after, total, page = "", 0, 0
    while True:
        body = connection.send(requests.page(scope, limit=PAGE_SIZE, after=after))
        total, page = total + len(body), page + 1
        after = str(page)
        if f'"continue":"{after}"'.encode() not in body[:300]:
            return total


def timed(do: Callable[[], object]) -> float:
    """Return how much CPU something takes."""
    since = time.process_time()
    do()
    return time.process_time() - since


def measure(objects: int, rounds: int) -> list[Figures]:
    """List as often as asked, each time beside the floor."""
    found = []
    with recorded(objects) as connection:
        cluster = KubeCluster(transport=connection, rng=Random(1))  # noqa: S311 - nothing is drawn here
        size = read_bytes(connection) / 1e6

        def tracker() -> Tracker:
            made = Tracker()
            made.keep_labels({"team"})
            return made

        shape = tracker().shape

        def listed() -> None:
            cluster.list_as(Selection(WORKFLOWS, labels=LIVE, metadata_only=True), shape)

        def tracked() -> None:
            tracker().reset(cluster.list_as(Selection(WORKFLOWS, labels=LIVE, metadata_only=True), shape))

        for _ in range(rounds):
            floor = timed(lambda: read_bytes(connection))
            listed_in = timed(listed)
            since = time.perf_counter()
            tracked_in = timed(tracked)
            wall = time.perf_counter() - since
            found.append(Figures(objects, size, floor, listed_in, tracked_in, wall))
    return found


def report(objects: int, rounds: int) -> bool:
    """Measure and print; returns whether the goal is met."""
    found = measure(objects, rounds)
    for each in found:
        print(
            f"{each.objects} objects, {each.megabytes:.0f} MB: bytes alone {each.floor:.2f} s of CPU, listed "
            f"{each.listed:.2f} s ({each.listed / each.floor:.2f}), remembered as well {each.tracked:.2f} s "
            f"({each.wall:.2f} s by the clock)"
        )
    ratio = median(each.listed / each.floor for each in found)
    print(f"listing takes {ratio:.2f} times as long as reading the bytes (goal {FACTOR:.0f})")
    return ratio <= FACTOR


if __name__ == "__main__":
    sys.exit(0 if report(100_000, 5) else 1)
