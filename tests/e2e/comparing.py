"""Sends the same requests to two APIs, and makes the answers comparable: what differs each time is named."""

import base64
import json
import re
import ssl
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import yaml

from policy.core.objects.json_patch import JsonObject
from tests.e2e.api_requests import Ask
from tests.patience import PATIENCE

_UID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_AGE: Final = re.compile(r"\d+m?s")
_PROSE: Final = ("description",)
_LEFT_OUT_WHERE_EMPTY: Final = ("continue", "managedFields")
"""Some lists of the API server have an empty token, and some objects of ours no owners of fields."""
_SAME_LETTERS: Final = re.compile(r"(?<=run-)[a-z0-9]{5}")
_TOO_OLD: Final = re.compile(r"(?<=too old resource version: )\d+ \(\d+\)")
_RECORD: Final = re.compile(r"(?<=ResourceVersion in record )\(\d+\)")
_WORDS: Final = re.compile(
    r"(?<=json parse error: ).*|(?<=json: ).*|(?<=error decoding patch: ).*|(?<=error decoding YAML: ).*"
    r"|(?<=unable to parse requirement: ).*|(?<=continue key is not valid: ).*"
    r"|(?<=Object 'Kind' is missing).*"
    r"|(?<=patch: Invalid value: ).*(?=: strict decoding)|(?<=^Invalid value: ).*(?=: strict decoding)",
    re.DOTALL,
)
"""Where both say what a parser says, and each has its own; or a whole object, with fields in other orders."""


class Reply(msgspec.Struct, frozen=True):
    """An answer: its code, its warnings, and its body or the events of a watch; comparable."""

    code: int
    kind: str
    warnings: tuple[str, ...]
    body: Any


class Api:
    """One API, as a kubeconfig leads to it."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text("utf-8"))
        cluster = config["clusters"][0]["cluster"]
        if "certificate-authority" in cluster:
            tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        else:
            data = base64.b64decode(cluster["certificate-authority-data"])
            tls = ssl.create_default_context(cadata=data.decode())
        url = urlsplit(cluster["server"])
        self._connection = HTTPSConnection(url.hostname or "", url.port, context=tls, timeout=PATIENCE)
        self._token = config["users"][0]["user"]["token"]

    def replies(self, namespace: str, asks: tuple[Ask, ...]) -> list[Reply]:
        """Return the answers to a story, in a namespace of its own; its connection is closed at the end."""
        made: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        known = {"ns": namespace}
        try:
            self._send(Ask("POST /api/v1/namespaces", made), {})
            return [self._reply(each, known) for each in asks]
        finally:
            self._connection.close()

    def _reply(self, ask: Ask, known: dict[str, str]) -> Reply:
        code, kind, warnings, text = self._send(ask, known)
        body: Any = text
        if kind == "application/json":
            found = [json.loads(line) for line in text.splitlines()] if "watch=" in ask.line else None
            body = json.loads(text) if found is None else found
            _learn(body, known)
        return Reply(code, kind, warnings, comparable(body, known["ns"]))

    def _send(self, ask: Ask, known: dict[str, str]) -> tuple[int, str, tuple[str, ...], str]:
        method, _, path = _filled(ask.line, known).partition(" ")
        body = _filled(ask.sent(), known)
        headers = {"Accept": ask.accept, "Authorization": f"Bearer {self._token}"}
        if body:
            headers["Content-Type"] = ask.sends
        self._connection.request(method, path, body or None, headers)
        response = self._connection.getresponse()
        text = response.read().decode()
        kind = (response.getheader("Content-Type") or "").partition(";")[0]
        return response.status, kind, tuple(response.headers.get_all("Warning") or ()), text


def _filled(text: str, known: dict[str, str]) -> str:
    for key, value in known.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def _learn(body: Any, known: dict[str, str]) -> None:
    """Keep what later requests may name."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict):
        return
    for key, name in (("uid", "uid"), ("resourceVersion", "rv"), ("continue", "token")):
        if metadata.get(key):
            known[name] = metadata[key]
    if "items" in body and "resourceVersion" in metadata:
        known["listed"] = metadata["resourceVersion"]


def comparable(value: Any, namespace: str) -> Any:
    """Return a part of an answer with names in place of what differs each time."""
    match value:
        case dict():
            parts = {key: _known_to_differ(key, each, namespace) for key, each in value.items()}
            return {
                key: each
                for key, each in parts.items()
                if key not in _PROSE and (each or key not in _LEFT_OUT_WHERE_EMPTY)
            }
        case list():
            return [comparable(each, namespace) for each in value]
        case str():
            for found, name in (
                (_UID, "UID"),
                (_TIME, "TIME"),
                (_SAME_LETTERS, "xxxxx"),
                (_TOO_OLD, "OLD (NEW)"),
                (_RECORD, "(NEW)"),
                (_WORDS, "..."),
            ):
                value = found.sub(name, value)
            return "AGE" if _AGE.fullmatch(value) else value.replace(namespace, "NS")
    return value


def _known_to_differ(key: str, value: Any, namespace: str) -> Any:
    if key in ("resourceVersion", "continue") and value:
        return key.upper()
    if key == "managedFields":
        return _managed(value)
    if key == "causes":
        # The API server checks some fields twice, and names them twice.
        return sorted({json.dumps(comparable(each, namespace), sort_keys=True) for each in value})
    return comparable(value, namespace)


def _managed(value: Any) -> Any:
    """Return who owns which fields by an apply; other writes are not recorded by both from the first on."""
    return [{**each, "time": "TIME"} for each in value if each.get("operation") == "Apply"]
