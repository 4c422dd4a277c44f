"""Which siblings templates have: copies with the locks that policies want, for Workflows without templates.

A Workflow with only a workflowTemplateRef has no place for a lock. Under a policy with `referenced: Sibling`
it is redirected to a copy of its template that has the locks. The copy follows from the template and the
policies alone, so the webhook, which redirects to it, and the leader, which creates it, need no messages.

A sibling is recognised by its content alone: ours are admitted unchanged and never edited. A user's template
with the label is reviewed as any template.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import msgspec

from policy.core.decision.decision import (
    IGNORED,
    Code,
    Decision,
    Operation,
    Outcome,
    Reason,
    Review,
    for_side,
)
from policy.core.injection.inject import InjectedSpec, convert_and_inject
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_graph.template_library import library_of
from policy.core.lock_model.generated_names import Sibling, is_sibling, sibling_mark, sibling_name
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy
from policy.core.lock_model.semaphore_definitions import LockPolicy
from policy.core.lock_review.missing_locks import template_finder
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_patch import JsonObject, patched
from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.objects.template_keys import ObjectKind, TemplateKey, key_named
from policy.core.objects.well_known import INJECTED, SIBLING, SIBLING_OF
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, Read, WorkflowSpec
from policy.core.policies.snapshot import Compiled, Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, MatchedKind, Referenced

FIELD: Final = "spec.workflowTemplateRef"
_MOST_SELECTORS: Final = 3
"""Different match.workflows in a namespace that siblings are made for: each doubles their number."""


def sibling_policies(active: Sequence[CompiledLockPolicy]) -> tuple[CompiledLockPolicy, ...]:
    """Return the policies of a Workflow that redirect it to siblings."""
    return tuple(each for each in active if each.referenced is Referenced.SIBLING)


def sibling_for(
    origin: TemplateKey, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    """Return the sibling of a template under the policies of a Workflow; None where no lock is missing.

    It is worked out once for the same template and policies.
    """
    key = (*origin, _sources(active))
    return locks.caches.siblings.get_or(
        key, lambda: _work_out(origin, active, locks, snapshot) if active else None
    )


def _possible_sibling(
    origin: TemplateKey, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    """Return the sibling of a template, None where no lock is missing or there can be none."""
    found = sibling_for(origin, active, locks, snapshot)
    return None if found is None or found.faults else found


def _canonical(text: str) -> str:
    """Return a JSON text in canonical form: equal values have equal texts."""
    value: Any = msgspec.json.decode(text) if text else None
    return msgspec.json.encode(value, order="deterministic").decode()


def _policy_sets(locks: LockPolicies) -> Iterator[tuple[CompiledLockPolicy, ...]]:
    """Yield the sets of policies that may apply to one Workflow: its labels match some of the selectors."""
    policies = [each for each in sibling_policies(locks.policies) if MatchedKind.WORKFLOW in each.kinds]
    selectors = _selectors(policies)
    if len(selectors) > _MOST_SELECTORS:
        return
    for number in range(len(selectors) + 1):
        for chosen in combinations(selectors, number):
            some = tuple(each for each in policies if each.workflows in (EVERYTHING, *chosen))
            if some:
                yield some


def _selectors(policies: Sequence[CompiledLockPolicy]) -> list[LabelSelector]:
    found: list[LabelSelector] = []
    for each in policies:
        if each.workflows != EVERYTHING and each.workflows not in found:
            found.append(each.workflows)
    return found


def _work_out(
    origin: TemplateKey, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    spec, text = snapshot.templates.get(origin), snapshot.texts.get(origin, "")
    if spec is None:
        return None
    raw = msgspec.Raw(b'{"spec":' + (text or "null").encode() + b"}")
    view = locks.view(spec)
    reviewed = ReviewedObject(
        view=view,
        kind=ObjectKind.WORKFLOW_TEMPLATE,
        raw=raw,
        find=template_finder(locks, snapshot, view),
        name=origin.name,
        library=snapshot.library,
    )
    result = convert_and_inject(spec, Rulebook(locks, active), reviewed)
    faults = result.injected.faults or _impossible(result, text, locks)
    if faults:
        reasons = tuple(_of_reference(each, origin) for each in faults)
        return Sibling(locks.namespace, origin, _sources(active), faults=reasons)
    if not result.patch:
        return None
    whole: Any = patched(msgspec.json.decode(raw), result.patch)
    content = msgspec.json.encode(whole["spec"], order="deterministic").decode()
    mark = sibling_mark(origin, snapshot.header(origin).uid or "", content)
    key = TemplateKey(locks.namespace, sibling_name(origin, mark))
    return Sibling(
        locks.namespace,
        origin,
        _sources(active),
        name=key.name,
        mark=mark,
        text=content,
        exists=is_sibling(snapshot.header(key)) and _canonical(snapshot.texts.get(key, "")) == content,
        injected=result.injected.locks,
        note=result.injected.note,
    )


def _sources(active: Sequence[CompiledLockPolicy]) -> tuple[str, ...]:
    return tuple(each.source for each in active)


def _impossible(result: InjectedSpec, text: str, locks: LockPolicies) -> tuple[Reason, ...]:
    """Return why no sibling is created though the locks themselves are right."""
    if not result.patch:
        return ()
    if not text:
        return (Reason(Code.LOCK_CONFLICT, FIELD, "lacks locks, and its text is not known"),)
    selectors = _selectors(sibling_policies(locks.policies))
    if len(selectors) > _MOST_SELECTORS:
        message = (
            f"lacks locks, and no sibling is made of it, because policies with referenced: Sibling have "
            f"{len(selectors)} different match.workflows here, and {_MOST_SELECTORS} are the most"
        )
        return (Reason(Code.LOCK_CONFLICT, FIELD, message, result.injected.locks[0].policy),)
    return ()


def _of_reference(reason: Reason, origin: TemplateKey) -> Reason:
    """Return a reason as it concerns the Workflow that refers to the template."""
    if reason.field == FIELD:
        return msgspec.structs.replace(reason, message=f"{origin} {reason.message}")
    message = f"{origin} {reason.field}: {reason.message}"
    return msgspec.structs.replace(reason, field=FIELD, message=message)


class _Written(Read, frozen=True):
    """A template of which the spec is only compared."""

    metadata: Metadata = EMPTY_METADATA
    spec: msgspec.Raw = msgspec.Raw(b"null")


_WRITTEN: Final = msgspec.json.Decoder(_Written)


def review_sibling(review: Review, snapshot: Snapshot) -> Decision | None:
    """Decide about a create or an update of a sibling; None where it is reviewed as any template."""
    if review.kind is not ObjectKind.WORKFLOW_TEMPLATE:
        return None
    locks = snapshot.policies(review.namespace).locks
    if locks is None or not sibling_policies(locks.policies):
        return None
    new = _WRITTEN.decode(review.raw)
    if review.operation is Operation.CREATE:
        return IGNORED if _is_ours(new, review.namespace, snapshot) else None
    old = _WRITTEN.decode(review.old_raw)
    if not is_sibling(old.metadata):
        return None
    reasons = tuple(_edits(old, new))
    return for_side(Decision(Outcome.ALLOWED), review.side, reasons) if reasons else None


def _is_ours(new: _Written, namespace: str, snapshot: Snapshot) -> bool:
    """Return whether a template is exactly what the leader creates now."""
    origin = key_named((new.metadata.annotations or {}).get(SIBLING_OF, ""), namespace)
    locks = snapshot.policies(namespace).locks
    if origin is None or locks is None or not is_sibling(new.metadata) or is_sibling(snapshot.header(origin)):
        return False
    name, text = new.metadata.name or "", bytes(new.spec).decode()
    candidates = (_possible_sibling(origin, active, locks, snapshot) for active in _policy_sets(locks))
    return any(
        each is not None and each.name == name and each.text == _canonical(text) for each in candidates
    )


def _edits(old: _Written, new: _Written) -> Iterator[Reason]:
    """Yield what an edit changes: waiting Workflows were admitted with the sibling as it is."""
    origin = (old.metadata.annotations or {}).get(SIBLING_OF, "another template")
    message = f"is what Lockkeeper made of {origin}, and never edited: edit that, and another one is made"
    if (new.metadata.labels or {}).get(SIBLING) != (old.metadata.labels or {})[SIBLING]:
        yield Reason(Code.GUARDED_MARK, f"metadata.labels[{SIBLING}]", message)
    if bytes(old.spec) != bytes(new.spec):
        yield Reason(Code.GUARDED_MARK, "spec", message)


class SiblingInputs(msgspec.Struct, frozen=True):
    """All that decides which siblings are wanted, and which of them exist."""

    argo: ArgoVersion
    policies: tuple[LockPolicy, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    templates: Mapping[TemplateKey, WorkflowSpec]
    texts: Mapping[TemplateKey, str]
    headers: Mapping[TemplateKey, Metadata]
    limits: Mapping[tuple[str, str], Mapping[str, str]]


def sibling_inputs(snapshot: Snapshot) -> SiblingInputs:
    """Return the inputs in a snapshot; of ConfigMaps only those that locks of rules refer to."""
    targets = [rule.lock.semaphore for policy in snapshot.lock_policies for rule in policy.spec.inject]
    names = {target.config_map for target in targets if target is not None}
    return SiblingInputs(
        argo=snapshot.argo,
        policies=snapshot.lock_policies,
        namespaces=snapshot.namespace_labels,
        templates=snapshot.templates,
        texts=snapshot.texts,
        headers=snapshot.headers,
        limits={key: data for key, data in snapshot.config_maps.items() if key[1] in names},
    )


def wanted_siblings(snapshot: Snapshot) -> Iterator[Sibling]:
    """Yield the siblings that Workflows may be redirected to, each once.

    A template of the cluster has one in every namespace whose policies want one. A sibling has none.
    """
    namespaces = _sibling_namespaces(snapshot)
    origins: dict[str, list[TemplateKey]] = {}
    for key in snapshot.templates if namespaces else ():
        if not is_sibling(snapshot.header(key)):
            origins.setdefault(key.namespace, []).append(key)
    for namespace in sorted(namespaces):
        yield from _of_namespace(namespace, [*origins.get(namespace, ()), *origins.get("", ())], snapshot)


def manifest(sibling: Sibling, uid: str) -> JsonObject:
    """Return the manifest, for an origin with this uid; Kubernetes deletes it with its origin."""
    origin = sibling.origin
    annotations: JsonObject = {SIBLING_OF: origin.text}
    if sibling.note:
        annotations[INJECTED] = sibling.note
    owner: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": origin.kind.value,
        "name": origin.name,
        "uid": uid,
    }
    spec: JsonObject = msgspec.json.decode(sibling.text)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": ObjectKind.WORKFLOW_TEMPLATE.value,
        "metadata": {
            "name": sibling.name,
            "namespace": sibling.namespace,
            "labels": {SIBLING: sibling.mark},
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def with_siblings(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with all siblings: where templates are files, no controller creates them."""
    templates, texts, headers = dict(snapshot.templates), dict(snapshot.texts), dict(snapshot.headers)
    for each in wanted_siblings(snapshot):
        templates[each.key] = msgspec.json.decode(each.text, type=WorkflowSpec)
        texts[each.key] = each.text
        headers[each.key] = Metadata(
            name=each.name,
            namespace=each.namespace,
            labels={SIBLING: each.mark},
            annotations={SIBLING_OF: each.origin.text},
        )
    if len(templates) == len(snapshot.templates):
        return snapshot
    return msgspec.structs.replace(
        snapshot,
        templates=templates,
        texts=texts,
        headers=headers,
        compiled=Compiled(),
        library=library_of(templates, snapshot.library),
    )


def _sibling_namespaces(snapshot: Snapshot) -> set[str]:
    """Return the namespaces in which a policy redirects Workflows to siblings."""
    found: set[str] = set()
    known = {*snapshot.namespace_labels, *(scope for scope, _ in snapshot.templates if scope)}
    for policy in snapshot.lock_policies:
        if policy.spec.match.referenced is not Referenced.SIBLING:
            continue
        if isinstance(policy, ClusterSynchronizationPolicy):
            selector = policy.spec.namespace_selector
            found.update(name for name in known if selector.matches(snapshot.labels_of(name)))
        else:
            found.add(policy.metadata.namespace)
    return found


def _of_namespace(namespace: str, origins: list[TemplateKey], snapshot: Snapshot) -> Iterator[Sibling]:
    locks = snapshot.policies(namespace).locks
    if locks is None:
        return
    seen: set[str] = set()
    for active in _policy_sets(locks):
        for origin in origins:
            found = _possible_sibling(origin, active, locks, snapshot)
            if found is not None and found.name not in seen:
                seen.add(found.name)
                yield found
