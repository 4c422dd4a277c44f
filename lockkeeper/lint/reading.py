"""What `lockkeeper lint` reads: objects with their places in files, and documents for a snapshot."""

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from lockkeeper.findings.finding import FileCode, FileFinding, Level
from lockkeeper.manifests.applied_templates import with_text
from lockkeeper.manifests.manifest import Carrier, Manifest
from lockkeeper.manifests.reading import Inputs
from policy.core.decision.decision import Code
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.read_extent import Extent
from policy.core.objects.template_keys import TEMPLATE_KINDS, ObjectKind, TemplateKey
from policy.core.objects.workflow import CronWorkflow, Metadata, TemplateObject, Workflow, WorkflowSpec
from policy.core.policies.rule_conditions import conditions_in_front
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, SynchronizationPolicy
from policy.core.values.problems import Problem
from policy.sources.default_namespace import placed
from policy.sources.directory import DocumentOrigin, SourceError
from policy.sources.documents import ARGO_API_VERSION, Document, read
from policy.sources.schema_check import decode, walk

_STATUS: Final = "status"
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
    carrier: Carrier | None = None

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        inside = f" in {self.carrier.object}" if self.carrier is not None else ""
        return f"{self.kind.value} {name}{inside}"

    def place(self, field: str) -> SourceError:
        """Return where a field is, or the nearest one around it."""
        return self.origin.error(Problem(field, ""))


class LintObjects(msgspec.Struct, frozen=True):
    """What is checked: Argo's objects, what a snapshot is made of, and what is wrong with policies."""

    subjects: tuple[LintSubject, ...]
    documents: tuple[Document, ...]
    findings: tuple[FileFinding, ...]

    @property
    def extent(self) -> Extent:
        """What is known: the files, and which of the templates in them cannot be read."""
        templates = (each for each in self.subjects if each.kind in TEMPLATE_KINDS and each.spec is None)
        return Extent(
            files=True, unread=frozenset(TemplateKey(each.namespace, each.name) for each in templates)
        )

    def templates(self, stored: Collection[str] = ()) -> Iterator[JsonObject]:
        """Yield the template objects that can be read, except those in the files `stored`."""
        for each in self.subjects:
            readable = each.spec is not None and each.name and each.carrier is None
            if readable and each.kind in TEMPLATE_KINDS and each.origin.file not in stored:
                yield each.value


def lint_objects(inputs: Inputs, namespace: str) -> LintObjects:
    """Decode the objects that were read; those that name no namespace are in the given one."""
    reading = _LintReader(namespace)
    for manifest in inputs.manifests:
        reading.add(manifest)
    return LintObjects(tuple(reading.subjects), tuple(reading.documents), tuple(reading.findings))


class _LintReader:
    """Collects subjects and documents."""

    def __init__(self, namespace: str) -> None:
        self.subjects: list[LintSubject] = []
        self.documents: list[Document] = []
        self.findings: list[FileFinding] = []
        self._namespace = namespace

    def add(self, manifest: Manifest) -> None:
        """Take one object as what it is."""
        for repeated in manifest.repeated_keys:
            self._tell(manifest, Level.WARNING, FileCode.REPEATED_KEY, repeated)
        value = placed(manifest.value, self._namespace)
        if manifest.api_version == ARGO_API_VERSION and manifest.kind in _TYPES:
            self._add_subject(value, manifest)
            return
        contents = read(value)
        for problem in contents.problems:
            self._tell(manifest, Level.ERROR, Code.WRONG_POLICY, problem)
        for decoded in contents.documents:
            self.documents.append(decoded.document)
            if isinstance(decoded.document, SynchronizationPolicy | ClusterSynchronizationPolicy):
                for problem in conditions_in_front(decoded.document):
                    self._tell(manifest, Level.WARNING, FileCode.WARNING, problem)

    def _tell(self, manifest: Manifest, level: Level, code: str, problem: Problem) -> None:
        place = manifest.origin.error(problem)
        about = manifest.called(manifest.namespace_or(self._namespace))
        self.findings.append(
            FileFinding(place.file, place.line, level, str(code), about, problem.path, problem.message)
        )

    def _add_subject(self, value: JsonObject, manifest: Manifest) -> None:
        kind = manifest.kind
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
                if metadata.name and manifest.carrier is None:
                    self.documents.append(with_text(decoded, value))
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
                origin=manifest.origin,
                cron=cron,
                carrier=manifest.carrier,
            )
        )
