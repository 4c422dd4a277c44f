"""A Prometheus that scrapes ports of this machine, and answers queries."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from math import isnan
from pathlib import Path
from signal import SIGTERM
from socket import socket
from threading import Event
from time import monotonic
from typing import Final
from urllib.parse import urlencode

import msgspec
import yaml

from tests.e2e.processes import Process
from tests.e2e.prometheus import prometheus_program
from tests.patience import PATIENCE

PLAIN: Final = "plain"
HONEST: Final = "honest"
"""The `namespace` that targets get, once scraped without `honorLabels` and once with."""


class Row(msgspec.Struct, frozen=True):
    """One row of an answer; `value` has a time and a text."""

    metric: dict[str, str]
    value: tuple[float, str]

    @property
    def number(self) -> float:
        """The value."""
        return float(self.value[1])


class PrometheusServer:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._port = port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def rows(self, query: str) -> list[Row]:
        """Return the rows that a query gives now, without those that are not a number."""
        body = self._get(f"/api/v1/query?{urlencode({'query': query})}")
        assert body["status"] == "success", (query, body)
        found = msgspec.convert(body["data"]["result"], list[Row])  # type: ignore[index]  # by the API's own rules
        return [each for each in found if not isnan(each.number)]

    def value(self, query: str) -> float | None:
        """Return the number that a query gives, None where it gives none."""
        found = self.rows(query)
        return found[0].number if found else None

    def await_value(self, query: str, wanted: float | None, why: str) -> None:
        """Wait until a query gives a number; fail with `why` when it does not."""
        deadline, pause = monotonic() + PATIENCE, Event()
        while self.value(query) != wanted:
            assert monotonic() < deadline, why
            pause.wait(0.2)

    def is_ready(self) -> bool:
        """Return whether it answers."""
        try:
            return self.rows("vector(1)") != []
        except (OSError, ValueError):
            return False

    def _get(self, path: str) -> dict[str, object]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            body: dict[str, object] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return body


@contextmanager
def prometheus(folder: Path, ports: Mapping[str, list[int]]) -> Iterator[PrometheusServer]:
    """Run a Prometheus in a folder, which scrapes these ports every second, in both ways.

    Raises PrometheusIsMissingError.
    """
    program = prometheus_program("prometheus")
    jobs = [
        {
            "job_name": f"{way}-{component}",
            "honor_labels": way == HONEST,
            "static_configs": [
                {"targets": [f"127.0.0.1:{number}" for number in numbers], "labels": {"namespace": way}}
            ],
        }
        for way in (PLAIN, HONEST)
        for component, numbers in ports.items()
    ]
    settings = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = _free_port()
    command = [
        str(program),
        "--config.file=prometheus.yml",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = Process(command, name="prometheus", log=folder / "prometheus.log")
    server = PrometheusServer(port)
    try:
        process.await_ready(server.is_ready)
        yield server
    finally:
        process.stop(SIGTERM)


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number
