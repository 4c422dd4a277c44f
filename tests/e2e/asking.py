"""Asks Pods what they tell a kubelet and a Prometheus: at their own addresses, ready or not."""

import re
import subprocess
import sys
from typing import Final

from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed
from tests.e2e.podrunner.launch import SeenPod
from tests.patience import PATIENCE

_PLACES: Final = {WEBHOOK: ("http", 8081), CONTROLLER: ("http", 8080)}
_ASK: Final = """
import http.client, ssl, sys
scheme, host, port, path = sys.argv[1:]
connection = http.client.HTTPConnection(host, int(port), timeout=20)
if scheme == "https":
    careless = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(host, int(port), timeout=20, context=careless)
connection.request("GET", path)
sys.stdout.write(connection.getresponse().read().decode())
"""


def told_by(pod: SeenPod, deployment: str, path: str) -> str:
    """Return what a Pod answers to a GET, "" where it does not answer.

    A process of its own asks: the tests themselves may connect to 127.0.0.1 only.
    """
    scheme, port = _PLACES[deployment]
    command = [sys.executable, "-c", _ASK, scheme, pod.status.pod_ip, str(port), path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)  # noqa: S603 - ourselves
    return done.stdout


def metric(installed: Installed, deployment: str, series: str) -> float:
    """Return the sum of a series over the Pods of a Deployment; labels that are not given may be any.

    `series` is as Prometheus writes it, with its labels in the order of the metrics page.
    """
    name, _, labels = series.partition("{")
    wanted = re.compile(rf"^{name}\{{[^}}]*{re.escape(labels.rstrip('}'))}[^}}]*\}} (\S+)$", re.MULTILINE)
    if not labels:
        wanted = re.compile(rf"^{name} (\S+)$", re.MULTILINE)
    pages = [told_by(pod, deployment, "/metrics") for pod in installed.pods(deployment)]
    return sum(float(found) for page in pages for found in wanted.findall(page))
