"""The fields of a Pod that it can ask for (the downward API), as text."""

import json
import re
from typing import Final

import msgspec

from tests.e2e.podrunner.pod_objects import Pod
from tests.e2e.podrunner.refusals import Refused

_ENTRY: Final = re.compile(r"metadata\.(labels|annotations)(?:\['([^']+)'\])?")


class Place(msgspec.Struct, frozen=True):
    """Where a Pod runs: its own address, and that of its node."""

    pod_ip: str
    node_ip: str


def field(pod: Pod, path: str, place: Place) -> str:
    """Return the text of a field.

    Raises:
        Refused: there is no such field, or none that the podrunner knows.
    """
    entry = _ENTRY.fullmatch(path)
    if entry is not None:
        labels = entry[1] == "labels"
        values = pod.metadata.labels if labels else pod.metadata.annotations
        return values.get(entry[2], "") if entry[2] else _lines(values)
    known = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.podIP": place.pod_ip,
        "status.podIPs": place.pod_ip,
        "status.hostIP": place.node_ip,
        "status.hostIPs": place.node_ip,
    }
    if path not in known:
        raise Refused(f"fieldRef {path} is none that the podrunner gives")
    return known[path]


def _lines(values: dict[str, str]) -> str:
    """Return labels or annotations as the kubelet writes them into a file."""
    return "\n".join(f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values))
