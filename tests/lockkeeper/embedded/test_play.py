"""The play: what is created, in which order, and what a failure of a call is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lockkeeper.embedded.api_server import USER, AdmissionFailed, Admitted, ApiServer
from lockkeeper.embedded.play import create_child, injected_locks, lock_names, play
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.lockkeeper.embedded.printed import PrintedCluster


class ScriptedApiServer(ApiServer):
    """An API server without a webhook: it does what the test says with each object."""

    def __init__(self, answer: Callable[[JsonObject, str], Admitted]) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.users: list[str] = []
        self.closed = False

    def create(self, obj: JsonObject, *, namespace: str, user: str = USER) -> Admitted:
        """Answer as the test says."""
        self.asked.append(namespace)
        self.users.append(user)
        return self._answer(obj, namespace)

    def close(self) -> None:
        """Note it."""
        self.closed = True


def folder_of(tmp_path: Path, *texts: str) -> Path:
    """Write manifests into a folder."""
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    return tmp_path


def test_injected_locks_are_read_from_the_patch() -> None:
    """Each with the template that it was put on."""
    original: JsonObject = {"spec": {"templates": [{"name": "one"}, {"name": "two"}]}}
    semaphore: JsonObject = {"configMapKeyRef": {"name": "sem", "key": "db"}}
    patch: tuple[JsonObject, ...] = (
        {"op": "add", "path": "/spec/templates/0/synchronization", "value": {"semaphores": [semaphore]}},
        {"op": "add", "path": "/spec/templates/1/synchronization/mutexes/-", "value": {"name": "m"}},
        {"op": "add", "path": "/spec/templates/5/synchronization", "value": {"mutex": {"name": "n"}}},
        {"op": "add", "path": "/metadata/labels", "value": {"name": "no lock"}},
    )
    assert injected_locks(original, Admitted({}, patch, ())) == [
        "lock sem/db on one",
        "lock mutex m on two",
        "lock mutex n on templates[5]",
    ]


@pytest.mark.parametrize("value", [None, 5, "x", {}, {"semaphores": []}])
def test_what_holds_no_lock_has_no_names(value: JsonValue) -> None:
    """A patch of another kind is no lock."""
    assert lock_names(value) == []


def test_a_play_creates_workflows_only_in_the_order_of_files(printed: PrintedCluster, tmp_path: Path) -> None:
    """A Workflow without a namespace goes to `default`, as kubectl would send it."""

    def deny(_: JsonObject, __: str) -> Admitted:
        return Admitted(None, (), (), "no")

    api_server = ScriptedApiServer(deny)
    folder = folder_of(
        tmp_path,
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: b, namespace: here}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a}\n",
    )
    assert play(folder, api_server, printed.printer) == []
    assert api_server.asked == ["here", "default"]
    assert api_server.closed
    assert printed.told() == ["denied: no", "denied: no"]


def test_a_failed_call_is_reported_and_the_play_continues(printed: PrintedCluster, tmp_path: Path) -> None:
    """It is a failure of the run, not a decision."""

    def fail(_: JsonObject, __: str) -> Admitted:
        raise AdmissionFailed("failed calling /mutate: 500")

    api_server = ScriptedApiServer(fail)
    manifest = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a, namespace: here}\n"
    failures = play(folder_of(tmp_path, manifest, manifest), api_server, printed.printer)
    assert [each.partition(": ")[2] for each in failures] == ["failed calling /mutate: 500"] * 2
    assert len(api_server.asked) == 2
    assert api_server.closed


def test_a_child_is_created_as_the_account_of_a_pod(printed: PrintedCluster) -> None:
    """And told of like any other Workflow; one that is refused or fails is nobody's child."""
    pod = "system:serviceaccount:here:default"
    child: JsonObject = {"kind": "Workflow", "metadata": {"name": "child"}}
    stored = printed.store("child", held=False)
    api_servers = [
        ScriptedApiServer(lambda _, __: Admitted(stored, (), ())),
        ScriptedApiServer(lambda _, __: Admitted(None, (), (), "no")),
    ]
    uids = [create_child(child, "here", pod, api_server, printed.printer) for api_server in api_servers]
    metadata = stored["metadata"]
    assert isinstance(metadata, dict)
    assert uids == [metadata["uid"], ""]
    assert [api_server.users for api_server in api_servers] == [[pod], [pod]]

    def fail(_: JsonObject, __: str) -> Admitted:
        raise AdmissionFailed("failed calling /mutate: 500")

    assert create_child(child, "here", pod, ScriptedApiServer(fail), printed.printer) == ""
    assert printed.told()[-2:] == ["denied: no", "failed: failed calling /mutate: 500"]
