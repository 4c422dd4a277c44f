"""Policies of a folder together with what stands among the files that a command looks at."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lockkeeper.assembly.policy_folder import Beside, load_once
from lockkeeper.lint.reading import LintObjects
from lockkeeper.manifests.applied_templates import as_applied
from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE


def load_beside(
    policies: Path,
    objects: LintObjects,
    argo: ArgoVersion,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    allow_empty: bool = True,
    note: Callable[[str], object] | None = None,
) -> Snapshot:
    """Load policies once, as they decide once all of the objects are applied.

    Raises:
        PolicyErrors: something is wrong in the policies, or there is none though there must be one.
    """
    return load_once(
        policies,
        argo,
        namespace=namespace,
        allow_empty=allow_empty,
        note=note,
        beside=Beside(objects.documents, objects.extent, partial(as_applied, objects.templates())),
    )
