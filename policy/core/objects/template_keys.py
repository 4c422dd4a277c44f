"""The kind, namespace and name of template objects, and those to which a reference points."""

from enum import StrEnum
from typing import Final, NamedTuple

from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import TemplateRef


class ObjectKind(StrEnum):
    """The kinds of Argo's objects that are reviewed; everything else is Other."""

    WORKFLOW = "Workflow"
    WORKFLOW_TEMPLATE = "WorkflowTemplate"
    CLUSTER_WORKFLOW_TEMPLATE = "ClusterWorkflowTemplate"
    CRON_WORKFLOW = "CronWorkflow"
    OTHER = "Other"


TEMPLATE_KINDS: Final = frozenset({ObjectKind.WORKFLOW_TEMPLATE, ObjectKind.CLUSTER_WORKFLOW_TEMPLATE})
"""The kinds of object whose templates others may call."""


class TemplateKey(NamedTuple):
    """Namespace and name of a WorkflowTemplate; the namespace of a ClusterWorkflowTemplate is empty."""

    namespace: str
    name: str

    @property
    def kind(self) -> ObjectKind:
        """The kind of the template object."""
        return kind_in(self.namespace)

    @property
    def text(self) -> str:
        """Its form in annotations."""
        return f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def ref(self) -> JsonObject:
        """Return the reference to it in a Workflow of its namespace."""
        return {"name": self.name} if self.namespace else {"name": self.name, "clusterScope": True}

    def is_named_by(self, ref: TemplateRef) -> bool:
        """Return whether a reference in its namespace points to it."""
        return ref.name == self.name and bool(ref.cluster_scope) != bool(self.namespace)


def kind_in(namespace: str) -> ObjectKind:
    """Return the kind of the template objects of a namespace, or of the cluster ("")."""
    return ObjectKind.WORKFLOW_TEMPLATE if namespace else ObjectKind.CLUSTER_WORKFLOW_TEMPLATE


def key_of(ref: TemplateRef, namespace: str) -> TemplateKey:
    """Return the key of the object to which a reference in a namespace points."""
    return TemplateKey("" if ref.cluster_scope else namespace, ref.name or "")


def known_key(ref: TemplateRef, namespace: str) -> TemplateKey | None:
    """Return the same, but None where a cluster-scoped object refers to a namespaced one.

    A ClusterWorkflowTemplate is used in many namespaces, so the namespace is unknown.
    """
    return key_of(ref, namespace) if ref.cluster_scope or namespace else None


def key_named(text: str, namespace: str) -> TemplateKey | None:
    """Return the template object that an annotation names in a namespace, None where it names none."""
    kind, _, name = text.partition("/")
    if not name or kind not in TEMPLATE_KINDS:
        return None
    return TemplateKey(namespace if kind == ObjectKind.WORKFLOW_TEMPLATE else "", name)


def kind_of(ref: TemplateRef) -> ObjectKind:
    """Return the kind of object to which a reference points."""
    return ObjectKind.CLUSTER_WORKFLOW_TEMPLATE if ref.cluster_scope else ObjectKind.WORKFLOW_TEMPLATE


def described(ref: TemplateRef) -> str:
    """Return in words to which object a reference points."""
    return f"{kind_of(ref)} {ref.name or ''}".strip()
