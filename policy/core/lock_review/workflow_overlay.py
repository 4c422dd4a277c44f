"""A Workflow over the template that it refers to: what of its own makes rules select the templates there.

Argo takes each field from the Workflow where it has one (argo-workflows G). The locks of such templates
follow from the template alone, so a lock that only the Workflow's own fields ask for is put nowhere: that is
reported.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledRule, MissingLock
from policy.core.lock_model.template_selectors import Match
from policy.core.objects.template_keys import ObjectKind, key_of
from policy.core.objects.workflow import Parameter, Parameters, Template, WorkflowSpec
from policy.core.policy_kinds.kinds import MatchedKind

_FIELDS: Final = ("service_account_name", "volumes", "pod_spec_patch", "pod_metadata")


class Overlaid(msgspec.Struct, frozen=True):
    """What a Workflow adds: locks that lack because of it, and rules of which that is not known."""

    lacking: tuple[MissingLock, ...] = ()
    unknown: tuple[tuple[Template, CompiledRule], ...] = ()


_NOTHING: Final = Overlaid()


def overlaid(spec: WorkflowSpec, locks: LockPolicies, reviewed: ReviewedObject) -> Overlaid:
    """Return what a Workflow's own fields ask for in the templates that it refers to."""
    ref = spec.workflow_template_ref
    if (
        ref is None
        or not locks.by_pod
        or reviewed.kind is not ObjectKind.WORKFLOW
        or not _says_anything(spec)
    ):
        return _NOTHING
    key = key_of(ref, locks.namespace)
    owner = reviewed.library.owner(key)
    if owner is None:
        return _NOTHING
    lacking: list[MissingLock] = []
    unknown: list[tuple[Template, CompiledRule]] = []
    for template, rule, match in _selected(spec, owner.spec, locks):
        if match is Match.YES:
            lacking.append(MissingLock(rule, template.name or "", key.name, MatchedKind(key.kind)))
        else:
            unknown.append((template, rule))
    return Overlaid(tuple(lacking), tuple(unknown))


def _selected(
    spec: WorkflowSpec, below: WorkflowSpec, locks: LockPolicies
) -> Iterator[tuple[Template, CompiledRule, Match]]:
    """Yield the rules that select a template with the Workflow over it, and not by itself."""
    alone, merged = locks.view(below), locks.view(_merged(spec, below))
    for template in below.templates or ():
        if not locks.may_select_when_called(template, sets_pods=merged.sets_pods):
            continue
        known = {rule.name for rule in locks.rules_for(template, alone)}
        held = held_locks(template.synchronization, locks.namespace)
        for rule, match in locks.matches(template, merged):
            if rule.name not in known and held.isdisjoint(rule.names):
                yield template, rule, match


def _says_anything(spec: WorkflowSpec) -> bool:
    return (
        spec.template_defaults is not None
        or (spec.arguments is not None and bool(spec.arguments.parameters))
        or any(getattr(spec, field) for field in _FIELDS)
    )


def _merged(spec: WorkflowSpec, below: WorkflowSpec) -> WorkflowSpec:
    """Return the template's spec with what rules ask about from the Workflow, where it has it."""
    given = {field: getattr(spec, field) for field in _FIELDS if getattr(spec, field)}
    own, their = spec.template_defaults, below.template_defaults
    if own is not None and their is not None:
        set_here = {
            field: value for field in own.__struct_fields__ if (value := getattr(own, field)) is not None
        }
        own = msgspec.structs.replace(their, **set_here)
    return msgspec.structs.replace(
        below,
        arguments=_arguments(spec.arguments, below.arguments),
        template_defaults=own or their,
        **given,
    )


def _arguments(own: Parameters | None, below: Parameters | None) -> Parameters:
    found: dict[str | None, Parameter] = {}
    for each in (own, below):
        for parameter in (each.parameters if each is not None else None) or ():
            found.setdefault(parameter.name, parameter)
    return Parameters(tuple(found.values()))
