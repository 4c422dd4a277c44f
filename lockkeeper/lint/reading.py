"""What `lockkeeper lint` reads: objects with their places in files, and documents for a snapshot."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from policy.core.objects.json_patch import JsonObject
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import CronWorkflow, Metadata, TemplateObject, Workflow, WorkflowSpec
from policy.core.values.problems import Problem
from policy.sources.directory import DocumentOrigin, PolicyErrors, SourceError, fault_error
from policy.sources.documents import ARGO_API_VERSION, Document, read
from policy.sources.manifests import STANDARD_INPUT, files_of
from policy.sources.schema_check import decode, walk
from policy.sources.yaml_positions import Json, item, parse

_STATUS: Final = "status"
_CLUSTER_SCOPED: Final = frozenset({"ClusterWorkflowTemplate", "Namespace"})
_TYPES: Final[dict[str, type]] = {
    "Workflow": Workflow,
    "WorkflowTemplate": TemplateObject,
    "ClusterWorkflowTemplate": TemplateObject,
    "CronWorkflow": CronWorkflow,
}


class LintSubject(msgspec.Struct, frozen=True, eq=False):
    """One of Argo's objects: its name, its spec as it is checked, and where it was read."""

    kind: ObjectKind
    namespace: str
    name: str
    value: JsonObject
    spec: WorkflowSpec | None
    metadata: Metadata
    at: str
    origin: DocumentOrigin
    cron: CronWorkflow | None = None

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.value} {name}"

    def place(self, field: str) -> SourceError:
        """Return where a field is, or the nearest one around it."""
        return self.origin.error(Problem(field, ""))


class Files(msgspec.Struct, frozen=True):
    """What was read: Argo's objects, and what a snapshot is made of."""

    subjects: tuple[LintSubject, ...]
    documents: tuple[Document, ...]
    count: int


def read_files(paths: Sequence[str], namespace: str) -> Files:
    """Read files, folders and standard input; objects that name no namespace are in the given one.

    Raises:
        PolicyErrors: something cannot be read, or a policy or ConfigMap is wrong; everything at once.
    """
    reading = _LintReader(namespace)
    for path in paths:
        if path == STANDARD_INPUT:
            reading.add("standard input", sys.stdin.buffer.read())
            continue
        for file in files_of(Path(path)):
            try:
                content = file.read_bytes()
            except OSError as error:
                reading.errors.append(SourceError(str(file), 0, 0, "", f"cannot be read: {error.strerror}"))
                continue
            reading.add(str(file), content)
    if reading.errors:
        raise PolicyErrors(reading.errors)
    return Files(tuple(reading.subjects), tuple(reading.documents), reading.count)


class _LintReader:
    """Collects what the files hold."""

    def __init__(self, namespace: str) -> None:
        self.subjects: list[LintSubject] = []
        self.documents: list[Document] = []
        self.errors: list[SourceError] = []
        self.count = 0
        self._namespace = namespace

    def add(self, file: str, content: bytes) -> None:
        self.count += 1
        text = parse(content)
        faults = [] if text.fault is None else [text.fault]
        for source in text.documents:
            faults += [fault for fault in source.faults if not fault.repeated]
            for value, path in _objects(source.value, ""):
                self._add_object(value, DocumentOrigin(file, path, source))
        self.errors += [fault_error(file, fault) for fault in faults]

    def _add_object(self, value: Json, origin: DocumentOrigin) -> None:
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            self.errors.append(origin.error(Problem("", "is no Kubernetes object: it has no kind")))
            return
        kind = str(value["kind"])
        value = self._placed(value, kind)
        if value.get("apiVersion") == ARGO_API_VERSION and kind in _TYPES:
            self._add_subject(value, kind, origin)
            return
        contents = read(value)
        self.errors += [origin.error(problem) for problem in contents.problems]
        self.documents += [decoded.document for decoded in contents.documents]

    def _placed(self, value: JsonObject, kind: str) -> JsonObject:
        """Return an object with its namespace written out."""
        metadata = value.get("metadata")
        if kind in _CLUSTER_SCOPED or kind.startswith("Cluster") or not isinstance(metadata, dict):
            return value
        if metadata.get("namespace"):
            return value
        return {**value, "metadata": {**metadata, "namespace": self._namespace}}

    def _add_subject(self, value: JsonObject, kind: str, origin: DocumentOrigin) -> None:
        fits = not walk(value, _TYPES[kind])
        # What `kubectl get -o yaml` writes of a status is a record, and does not affect what will run.
        wanted: JsonObject = {key: entry for key, entry in value.items() if key != _STATUS}
        decoded = decode(wanted, _TYPES[kind]) if fits else None
        metadata, spec, at = Metadata(), None, "/spec"
        cron: CronWorkflow | None = None
        match decoded:
            case Workflow():
                metadata, spec = decoded.metadata or metadata, decoded.spec
            case TemplateObject():
                metadata, spec = decoded.metadata, decoded.spec
                if metadata.name:
                    self.documents.append(decoded)
            case CronWorkflow():
                cron = decoded
                metadata, at = decoded.metadata or metadata, "/spec/workflowSpec"
                spec = decoded.spec.workflow_spec if decoded.spec is not None else None
        written = value.get("metadata")
        named = written if isinstance(written, dict) else {}
        self.subjects.append(
            LintSubject(
                kind=ObjectKind(kind),
                namespace=str(named.get("namespace") or ""),
                name=str(named.get("name") or named.get("generateName") or ""),
                value=value,
                spec=spec,
                metadata=metadata,
                at=at,
                origin=origin,
                cron=cron,
            )
        )


def _objects(value: Json, path: str) -> Iterator[tuple[Json, str]]:
    """Yield the objects of a document with their paths in it, lists taken apart."""
    if value is None:
        return
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(value, dict) and str(value.get("kind")).endswith("List") and isinstance(items, list):
        for index, each in enumerate(items):
            yield from _objects(each, item(f"{path}.items" if path else "items", index))
        return
    yield value, path
