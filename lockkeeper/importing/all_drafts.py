"""All drafts together: a namespace is in one pool, and limits on Workflows hold in pools that lend tasks."""

from collections.abc import Iterator, Sequence

import msgspec

from lockkeeper.importing.argo_settings import ArgoSettings
from lockkeeper.importing.drafts import Draft, Drafts, NotImported, Origin, TaskSize
from lockkeeper.importing.kueue_queues import KueueQueues
from lockkeeper.importing.present_policies import PresentPolicies
from lockkeeper.importing.resource_quotas import quota_drafts
from lockkeeper.importing.semaphore_limits import semaphore_drafts
from lockkeeper.manifests.manifest import Manifest
from policy.core.objects.json_parts import part
from policy.core.objects.json_patch import JsonObject
from policy.sources.documents import read

_HARD: str = (
    "a quota of a member is its share of a pool that lends: with 0 nothing is borrowed beyond it, as before"
)


def all_drafts(
    manifests: Sequence[Manifest], size: TaskSize, namespace: str, present: PresentPolicies
) -> Drafts:
    """Return the policies that say what these objects limit, and what none of them says."""
    kueue = KueueQueues(manifests, size, namespace)
    argo = ArgoSettings(manifests)
    lending = kueue.namespaces(borrowing=True)
    counted = quota_drafts(manifests, size, namespace, lending)
    quotas = counted.joined(argo.drafts(kueue.namespaces(), lending, _bounded(counted)))
    bounded = _bounded(quotas)
    pools = Drafts(
        tuple(_with_workflows(each, argo, bounded) for each in kueue.drafts().drafts),
        kueue.drafts().left_out,
    )
    found = pools.joined(quotas).joined(semaphore_drafts(manifests, namespace, present))
    return _valid(found)


def _bounded(found: Drafts) -> set[str]:
    """Return the namespaces with a quota of their own that bounds Workflows."""
    return {
        str(part(each.policy, "metadata", "namespace"))
        for each in found.drafts
        if each.policy["kind"] == "WorkflowQuota"
        and part(each.policy, "spec", "limits", "workflows") is not None
    }


def _with_workflows(pool: Draft, argo: ArgoSettings, bounded: set[str]) -> Draft:
    """Return a pool of Kueue's limits with Argo's limit of each namespace."""
    spec, origins = pool.policy["spec"], list(pool.origins)
    if not isinstance(spec, dict):
        return pool
    spec = dict(spec)
    if argo.defaults is not None:
        spec["namespaceDefaults"] = {"limits": {"workflows": argo.defaults}}
        origins.append(argo.default_origin("spec.namespaceDefaults.limits.workflows"))
    shares = part(spec, "borrowing", "shares")
    borrowing = spec.get("borrowing")
    members = set(shares) if isinstance(shares, dict) else set()
    if isinstance(borrowing, dict) and (argo.defaults is not None or members & bounded):
        limit = borrowing.get("borrowingLimit")
        given: JsonObject = dict(limit) if isinstance(limit, dict) else {}
        spec["borrowing"] = {**borrowing, "borrowingLimit": {**given, "workflows": 0}}
        origins.append(Origin("spec.borrowing.borrowingLimit.workflows", "limits on Workflows", _HARD))
    return Draft({**pool.policy, "spec": spec}, tuple(origins))


def _valid(found: Drafts) -> Drafts:
    """Return only drafts that are policies; the names of their sources may be too long, say."""
    drafts, left_out = [], list(found.left_out)
    for each in found.drafts:
        problems = list(_problems(each))
        if problems:
            left_out += problems
        else:
            drafts.append(each)
    return msgspec.structs.replace(found, drafts=tuple(drafts), left_out=tuple(left_out))


def _problems(draft: Draft) -> Iterator[NotImported]:
    sources = ", ".join(dict.fromkeys(each.source for each in draft.origins))
    for problem in read(draft.policy).problems:
        yield NotImported(sources, f"would give a policy that is wrong: {problem.path} {problem.message}")
