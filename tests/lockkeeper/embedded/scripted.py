"""An API server that does what a test says, and what takes files into a cluster by it."""

from collections.abc import Callable
from pathlib import Path

from lockkeeper.embedded.api_server import USER, Admitted, ApiServer
from lockkeeper.embedded.submitting import Submitter
from lockkeeper.embedded.taking import Taker
from lockkeeper.kube_api.object_writes import ObjectWrites
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.embedded.printed import PrintedCluster
from tests.lockkeeper.kube_api.served_api import NoAdmission


class ScriptedApiServer(ApiServer):
    """An API server without a webhook: it does what the test says with each object."""

    def __init__(self, answer: Callable[[JsonObject, str], Admitted]) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.users: list[str] = []

    def create(self, obj: JsonObject, *, namespace: str, user: str = USER) -> Admitted:
        """Answer as the test says."""
        self.asked.append(namespace)
        self.users.append(user)
        return self._answer(obj, namespace)


def taker(printed: PrintedCluster, api_server: ApiServer) -> Taker:
    """Return what takes files; admission allows all but what the API server refuses."""
    return Taker(
        cluster=printed.cluster,
        submitter=Submitter(api_server=api_server, printer=printed.printer),
        writes=ObjectWrites(cluster=printed.cluster, admission=NoAdmission()),
        printer=printed.printer,
    )


def folder_of(tmp_path: Path, *texts: str) -> Path:
    """Write manifests into a folder."""
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    return tmp_path
