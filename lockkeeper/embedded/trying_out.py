"""What a person may send to the running webhook: a review in a file, and how to read the answer."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

import msgspec

from lockkeeper.embedded.api_server import USER
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import read_manifests
from policy.core.objects.json_patch import JsonObject
from webhook.wire import admission_review

_FILE: Final = "review.json"
_HELLO: Final[JsonObject] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "hello-"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "hello-world"}}]},
}
"""What is reviewed where there is no Workflow to play."""


def trying_out(
    *,
    folder: Path,
    authority: Path,
    url: str,
    workflows: Path | None,
    namespace: str,
    kubeconfig: Path | None = None,
    page: str = "",
) -> str:
    """Write a review of the first Workflow into the folder; return commands that work from everywhere."""
    first = next(_workflows(workflows), None)
    obj = _HELLO if first is None else first.value
    where = namespace if first is None else first.namespace or namespace
    review = admission_review(obj, namespace=where, uid="try-it", user=USER)
    file = (folder / _FILE).absolute()
    file.write_bytes(msgspec.json.format(msgspec.json.encode(review), indent=2))
    curl = f"curl -sS --cacert {quote(str(authority.absolute()))}"
    return (
        f"{_as_a_cluster(kubeconfig, workflows)}"
        f"{_in_a_browser(page)}"
        f"\nServing on {url} until Ctrl-C. Try in another terminal:\n"
        f"  {curl} {url}/metrics\n"
        f"  {curl} -H 'Content-Type: application/json' -d @{quote(str(file))} {url}/mutate\n"
        "In the answer response.allowed is the decision, response.status.message says why not, and\n"
        "response.patch holds the changes in base64; to read them add\n"
        "  | jq -r .response.patch | base64 -d"
    )


def _as_a_cluster(kubeconfig: Path | None, workflows: Path | None) -> str:
    """Return what to try with kubectl and our own commands, where there is a kubeconfig."""
    if kubeconfig is None:
        return ""
    file = quote(str(kubeconfig.absolute()))
    first = "FILE" if workflows is None else quote(str(workflows.absolute()))
    return (
        "\nThis is a cluster to try, with an API of its own:\n"
        f"  export KUBECONFIG={file}\n"
        f"  kubectl create -f {first}\n"
        "  kubectl get wf,wfq,cwfq -A\n"
        "  lockkeeper status; lockkeeper queue; lockkeeper why NAME -n NAMESPACE\n"
    )


def _in_a_browser(page: str) -> str:
    return f"\nOpen {page} in a browser: quotas, queue, locks and policies as they are now.\n" if page else ""


def _workflows(workflows: Path | None) -> Iterator[Manifest]:
    if workflows is not None:
        yield from (each for each in read_manifests(workflows) if each.kind == "Workflow")
