"""Where template objects are found, and what those are called that a reference leads to."""

from enum import StrEnum
from typing import Final, NamedTuple

from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import TemplateRef


class ObjectKind(StrEnum):
    """The kinds of Argo's objects that are judged; everything else is Other."""

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
        """Which kind of template object it is."""
        return kind_in(self.namespace)

    @property
    def text(self) -> str:
        """How annotations name it."""
        return f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def ref(self) -> JsonObject:
        """Return how a Workflow of its namespace refers to it."""
        return {"name": self.name} if self.namespace else {"name": self.name, "clusterScope": True}

    def is_named_by(self, ref: TemplateRef) -> bool:
        """Tell whether a reference of its namespace leads to it."""
        return ref.name == self.name and bool(ref.cluster_scope) != bool(self.namespace)


def kind_in(namespace: str) -> ObjectKind:
    """Return the kind of the template objects of a namespace, or of the cluster ("")."""
    return ObjectKind.WORKFLOW_TEMPLATE if namespace else ObjectKind.CLUSTER_WORKFLOW_TEMPLATE


def key_of(ref: TemplateRef, namespace: str) -> TemplateKey:
    """Return where the object is found that a reference leads to from a namespace."""
    return TemplateKey("" if ref.cluster_scope else namespace, ref.name or "")


def known_key(ref: TemplateRef, namespace: str) -> TemplateKey | None:
    """Return the same, None where an object of the cluster, without a namespace, refers to one of some.

    A template of the cluster is used in many namespaces: which, is not known there.
    """
    return key_of(ref, namespace) if ref.cluster_scope or namespace else None


def key_named(text: str, namespace: str) -> TemplateKey | None:
    """Return the template object that an annotation names in a namespace, None where it names none."""
    kind, _, name = text.partition("/")
    if not name or kind not in TEMPLATE_KINDS:
        return None
    return TemplateKey(namespace if kind == ObjectKind.WORKFLOW_TEMPLATE else "", name)


def kind_of(ref: TemplateRef) -> ObjectKind:
    """Return the kind of object that a reference leads to."""
    return ObjectKind.CLUSTER_WORKFLOW_TEMPLATE if ref.cluster_scope else ObjectKind.WORKFLOW_TEMPLATE


def described(ref: TemplateRef) -> str:
    """Return what a reference leads to, in words."""
    return f"{kind_of(ref)} {ref.name or ''}".strip()
