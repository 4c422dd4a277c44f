"""Bodies in protobuf, as kubectl sends what it makes from its arguments."""

import base64

import msgspec
import pytest

from lockkeeper.kube_api.answers import RequestRefused
from lockkeeper.kube_api.protobuf_bodies import PROTOBUF, in_json
from lockkeeper.kube_api.requests import ApiRequest
from policy.core.objects.json_patch import JsonObject


def part(number: int, content: bytes) -> bytes:
    """Return a field with content."""
    return bytes([number << 3 | 2, len(content)]) + content


def enveloped(kind: str, *parts: bytes) -> bytes:
    """Return the body for an object of a kind."""
    return b"k8s\x00" + part(1, part(1, b"v1") + part(2, kind.encode())) + part(2, b"".join(parts))


def sent(body: bytes) -> ApiRequest:
    """Return a request with the body."""
    request = ApiRequest("POST", "/api/v1/namespaces", {}, body)
    return msgspec.structs.replace(request, content_type=PROTOBUF)


def read(body: bytes) -> JsonObject:
    """Return what is read of a body."""
    request = in_json(sent(body))
    assert request.content_type == "application/json"
    found: JsonObject = msgspec.json.decode(request.body)
    return found


def test_a_namespace_is_read() -> None:
    """With the empty parts that kubectl sends beside it."""
    metadata = part(1, b"team") + part(2, b"") + part(8, b"") + part(14, b"a/b") + part(14, b"a/c")
    assert read(enveloped("Namespace", part(1, metadata), part(2, b""), part(3, part(1, b"")))) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "team", "finalizers": ["a/b", "a/c"]},
    }


def test_a_config_map_is_read() -> None:
    """Each entry of a map is a field of its own; bytes are base64, as in JSON."""
    owner = (
        part(1, b"Workflow") + part(3, b"w") + part(4, b"u") + part(5, b"argoproj.io/v1alpha1") + b"\x30\x01"
    )
    data = [part(2, part(1, b"a") + part(2, b"2")), part(2, part(1, b"b") + part(2, b""))]
    binary = part(3, part(1, b"c") + part(2, b"\xff"))
    metadata = part(1, part(1, b"sem") + part(11, part(1, b"l") + part(2, b"m")) + part(13, owner))
    assert read(enveloped("ConfigMap", metadata, *data, binary, b"\x20\x01")) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "sem",
            "labels": {"l": "m"},
            "ownerReferences": [
                {
                    "kind": "Workflow",
                    "name": "w",
                    "uid": "u",
                    "apiVersion": "argoproj.io/v1alpha1",
                    "controller": True,
                }
            ],
        },
        "data": {"a": "2", "b": ""},
        "binaryData": {"c": base64.b64encode(b"\xff").decode()},
        "immutable": True,
    }


@pytest.mark.parametrize(
    "body",
    [
        enveloped("Pod", part(1, part(1, b"p"))),
        enveloped("Namespace", part(1, part(1, b"n")), part(9, b"unknown")),
        enveloped("Namespace", part(1, part(1, b"\xff"))),
        enveloped("Namespace", part(1, b"\x08\x01")),
        enveloped("Namespace", b"\x0d\x00\x00\x00\x00"),
        b"k8s\x00\x0a\x7f",
        b"k8s\x00\x0a",
        b"k8s\x00" + b"\xff" * 12,
        b"k8s\x00",
    ],
)
def test_what_is_not_known_is_refused(body: bytes) -> None:
    """Also what ends too soon, or is no protobuf; no field is lost."""
    with pytest.raises(RequestRefused, match="use a file instead") as caught:
        in_json(sent(body))
    assert caught.value.code == 415


def test_bodies_of_other_types_are_left_as_they_are() -> None:
    """Some clients say protobuf and send JSON."""
    request = sent(b"{}")
    assert in_json(request) is request
