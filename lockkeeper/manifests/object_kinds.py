"""Which documents are objects that concern us, which are passed over, and which only misspell a kind.

A repository holds files of many programs, and kubectl and Argo skip what has no apiVersion and kind. A kind
that is nearly one of Argo's is told: it would not be created as what its author means.
"""

from typing import Final

from policy.core.objects.well_known import GROUP
from policy.core.policy_kinds.kinds import POLICY_KINDS
from policy.core.values.problems import Problem, nearest
from policy.sources.documents import ARGO_API_VERSION
from policy.sources.schema_check import did_you_mean
from policy.sources.yaml_positions import Json

ARGO_KINDS: Final = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
_ARGO_GROUP: Final = ARGO_API_VERSION.partition("/")[0]
_NEIGHBOURS: Final = frozenset(
    {
        *("WorkflowEventBinding", "WorkflowTaskSet", "WorkflowTaskResult", "WorkflowArtifactGCTask"),
        *("WorkflowAction", "Sensor", "EventSource", "EventBus"),
        *("Application", "ApplicationSet", "AppProject", "ArgoCD", "ArgoCDExport", "ImageUpdater"),
        *("NotificationsConfiguration", "RolloutManager", "NamespaceManagement"),
        *("Rollout", "Experiment", "AnalysisRun", "AnalysisTemplate", "ClusterAnalysisTemplate"),
    }
)
"""Other kinds of the group `argoproj.io`, which no slip of the pen explains."""
_VERY_LIKE: Final = 0.8


def is_object(value: Json) -> bool:
    """Return whether a document is a Kubernetes object: it says its apiVersion and kind."""
    return isinstance(value, dict) and _is_text(value.get("kind")) and _is_text(value.get("apiVersion"))


def is_policy(value: Json) -> bool:
    """Return whether a document is meant as a policy, even if its apiVersion is missing."""
    if not isinstance(value, dict):
        return False
    group = str(value.get("apiVersion")).partition("/")[0]
    return str(value.get("kind")) in POLICY_KINDS or group == GROUP


def misspelt(value: Json) -> Problem | None:
    """Return what is wrong with the kind or apiVersion of an object that was meant for Argo."""
    if not isinstance(value, dict):
        return None
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind is not None and not isinstance(kind, str):
        return None
    if version == ARGO_API_VERSION:
        return _kind_problem(kind or "")
    if kind in ARGO_KINDS:
        return _version_problem(kind, "" if version is None else str(version))
    if isinstance(version, str) and version.partition("/")[0] == _ARGO_GROUP and kind:
        return _kind_problem(kind)
    return None


def _kind_problem(kind: str) -> Problem | None:
    if not kind:
        return Problem("kind", f"is missing, so nothing was checked: write one of {', '.join(ARGO_KINDS)}")
    if kind in ARGO_KINDS or kind in _NEIGHBOURS:
        return None
    hint = did_you_mean(kind, ARGO_KINDS)
    return Problem("kind", f'"{kind}" is not a kind of Argo, and nothing was checked{hint}') if hint else None


def _version_problem(kind: str, version: str) -> Problem | None:
    if not version:
        message = f"is missing, so nothing was checked: write {ARGO_API_VERSION} for kind {kind}"
        return Problem("apiVersion", message)
    group, slash, _ = version.partition("/")
    ours = group == _ARGO_GROUP or not slash or nearest(version, (ARGO_API_VERSION,), likeness=_VERY_LIKE)
    if not ours:  # Others have a kind of that name.
        return None
    message = (
        f'"{version}" is not what Argo reads, and nothing was checked; did you mean "{ARGO_API_VERSION}"?'
    )
    return Problem("apiVersion", message)


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value)
