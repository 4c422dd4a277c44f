"""Which Workflows lead to a template that may be among those left out of the snapshot: they are refused.

The locks, labels and tasks of such a template are unknown, so a Workflow with it could evade every policy. It
is refused until its namespace has fewer templates. Other namespaces are not affected.
"""

from collections.abc import Iterator
from typing import Final

from policy.core.decision.decision import Code, Reason
from policy.core.lock_graph.references import of_hooks, references
from policy.core.objects.json_patch import field_path
from policy.core.objects.read_extent import LeftOut
from policy.core.objects.template_keys import TemplateKey, key_of
from policy.core.objects.workflow import Template, TemplateRef, WorkflowSpec
from policy.core.policies.snapshot import Snapshot

_MOST_FOLLOWED: Final = 500
"""Templates that are followed below one Workflow; one that leads to more is refused as well."""


def left_out_faults(
    spec: WorkflowSpec, namespace: str, snapshot: Snapshot, *, stored: bool = False
) -> Iterator[Reason]:
    """Yield the fields of a Workflow that lead to a template which may be left out.

    With `stored`, Argo continues with its stored copy of the template that the Workflow refers to.
    """
    extent = snapshot.extent
    if extent.beyond_templates(namespace) is None and extent.beyond_templates("") is None:
        return
    seen: set[TemplateKey] = set()
    for where, ref in _leads_to(spec):
        if stored and ref is spec.workflow_template_ref:
            continue
        missing = _missing_below(ref, namespace, snapshot, seen)
        if missing is not None:
            key, why = missing
            name = f"{why.kind} {key.name}"
            message = (
                f"leads to {name}, which is not known: {why}. Delete {why.kind}s that are not needed, or "
                "ask for fewer in one namespace"
            )
            yield Reason(Code.UNKNOWN_REFERENCE, where, message)


def _leads_to(spec: WorkflowSpec) -> Iterator[tuple[str, TemplateRef]]:
    """Yield the templates of other objects that a spec calls, with the fields that call them."""
    if spec.workflow_template_ref is not None:
        yield "spec.workflowTemplateRef", spec.workflow_template_ref
    for each in of_hooks(spec.hooks, "/spec"):
        if each.ref is not None:
            yield field_path(each.pointer), each.ref
    for index, template in enumerate(spec.templates or ()):
        yield from _of_template(template, f"/spec/templates/{index}")


def _of_template(template: Template, pointer: str) -> Iterator[tuple[str, TemplateRef]]:
    stack = [(template, pointer)]
    while stack:
        caller, at = stack.pop()
        for each in references(caller, at):
            if each.ref is not None:
                yield field_path(each.pointer), each.ref
            if each.inline is not None:
                stack.append((each.inline, each.pointer))


def _missing_below(
    ref: TemplateRef, namespace: str, snapshot: Snapshot, seen: set[TemplateKey]
) -> tuple[TemplateKey, LeftOut] | None:
    """Return the first template below a reference that may be left out, and why."""
    stack = [ref]
    while stack:
        each = stack.pop()
        key = key_of(each, namespace)
        if key in seen:
            continue
        beyond = snapshot.extent.beyond_templates(key.namespace)
        spec = snapshot.templates.get(key)
        if beyond is not None and (spec is None or len(seen) >= _MOST_FOLLOWED):
            return key, beyond
        seen.add(key)
        if spec is not None and len(seen) < _MOST_FOLLOWED:
            stack.extend(found for _, found in _leads_to(spec))
    return None
