"""Past runs as tests need them, and policies to play them under."""

from collections.abc import Iterable
from typing import Any

import msgspec

from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.policies.snapshot import Document, Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import NamespaceObject, PolicyMetadata
from policy.service.simulation.past_run import UNKNOWN, PastRun, Stretch

BEGIN = 1_780_000_000.0
"""2026-05-28T20:26:40Z."""


def past_run(
    name: str,
    at: float = 0.0,
    seconds: float | None = 60.0,
    *,
    namespace: str = "team-a",
    user: str = "ann",
    priority: int = 0,
    tasks: int | None = None,
    template: str = "daily",
    stretches: Iterable[Stretch] = (),
    spec: dict[str, Any] | None = None,
    started: float = UNKNOWN,
    ended: float = UNKNOWN,
) -> PastRun:
    """Return a run that is created `at` so many seconds; without `seconds` its length is not known."""
    body: dict[str, Any] = {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "i"}}],
        **(spec or {}),
    }
    if priority:
        body["priority"] = priority
    if tasks is not None:
        body["parallelism"] = tasks
    metadata = {"name": name, "namespace": namespace}
    whole = () if seconds is None else (Stretch(seconds, ("main",)),)
    return PastRun(
        created=BEGIN + at,
        namespace=namespace,
        name=name,
        uid=f"uid-{namespace}-{name}",
        user=user,
        template=template,
        stretches=tuple(stretches) or whole,
        manifest=msgspec.json.encode(
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": body}
        ),
        started=started if started == UNKNOWN else BEGIN + started,
        ended=ended if ended == UNKNOWN else BEGIN + ended,
    )


def policies(*documents: Document, namespaces: Iterable[str] = ("team-a", "team-b")) -> Snapshot:
    """Return the snapshot of some policies; all namespaces have the label `pool: data`."""
    made = [NamespaceObject(PolicyMetadata(each, labels={"pool": "data"})) for each in namespaces]
    return take_snapshot([*documents, *made], version="test", argo=DEFAULT_VERSION)


def of_kind(kind: type[Document], name: str, namespace: str = "", **spec: Any) -> Any:
    """Return a policy of a kind, as its author writes the spec."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return msgspec.convert({"metadata": metadata, "spec": spec}, kind)
