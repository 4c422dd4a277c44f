"""What lock policies say of the locks that a new Workflow has: their namespaces, names, forms and places."""

from collections.abc import Iterator
from typing import Final

import msgspec

from lockkeeper.exporting.static_rules import EDITED, StaticPart, StaticRule, Unsaid, governed_by, text
from policy.core.decision.decision import Code
from policy.core.lock_model.key_rules import LONGEST_KEY, key_rule
from policy.core.lock_model.semaphore_definitions import LockPolicy
from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.conflicts import name_of
from policy.core.policy_kinds.kinds import (
    CrossNamespace,
    LockValidation,
    MatchedKind,
    Parameterised,
    Severity,
    Singular,
    SynchronizationPolicySpec,
)


def _has(parent: str, field: str) -> str:
    """Return whether a field is there; one that is null is not."""
    return f"has({parent}.{field}) && {parent}.{field} != null"


def _list(parent: str, field: str) -> str:
    return f"({_has(parent, field)} ? {parent}.{field} : [])"


def _map(parent: str, field: str) -> str:
    return f"({_has(parent, field)} ? {parent}.{field} : {{}})"


def _one(parent: str, field: str) -> str:
    """Return a list of a field, or an empty one."""
    return f"({_has(parent, field)} ? [{parent}.{field}] : [])"


_INLINE: Final = f"{_has('c', 'inline')} && {_has('c.inline', 'synchronization')}"
_NOW: Final = "variables."
_BEFORE: Final = "variables.old_"
"""What variables of the new object begin with, and those of the object as it was before an edit."""


def _variables(obj: str, named: str) -> tuple[tuple[str, str], ...]:
    """Return the variables of an object."""
    spec, defaults, templates = f"{named}spec", f"{named}spec.templateDefaults", f"{named}templates"
    blocks = (
        f"{templates}.filter(t, {_has('t', 'synchronization')}).map(t, t.synchronization)",
        _one(spec, "synchronization"),
        f"({_has(spec, 'templateDefaults')} ? {_one(defaults, 'synchronization')} : [])",
    )
    found = (
        ("spec", f"{obj}.kind == 'CronWorkflow' ? {_map(f'{obj}.spec', 'workflowSpec')} : {obj}.spec"),
        ("templates", _list(spec, "templates")),
        ("blocks", " + ".join(blocks)),
        (
            "tasks",
            f"{templates}.filter(t, {_has('t', 'dag')} && {_has('t.dag', 'tasks')}).map(t, t.dag.tasks)",
        ),
        ("steps", f"{templates}.filter(t, {_has('t', 'steps')}).map(t, t.steps)"),
        ("calls", f"[{named}tasks] + {named}steps"),
        (
            "inlines",
            f"{named}calls.map(a, a.map(b, b.filter(c, {_INLINE}).map(c, c.inline.synchronization)))",
        ),
        ("all", f"[[{named}blocks]] + {named}inlines"),
    )
    return tuple((f"{named.removeprefix(_NOW)}{name}", expression) for name, expression in found)


VARIABLES: Final = _variables("object", _NOW)
"""`all` is a list of lists of lists of the blocks of locks; CEL joins lists, and flattens none."""
_RESOURCES: Final = {
    MatchedKind.WORKFLOW: "workflows",
    MatchedKind.WORKFLOW_TEMPLATE: "workflowtemplates",
    MatchedKind.CRON_WORKFLOW: "cronworkflows",
    MatchedKind.CLUSTER_WORKFLOW_TEMPLATE: "clusterworkflowtemplates",
}
_REQUESTED: Final = '(has(request.namespace) ? request.namespace : "")'
"""A template of the cluster has no namespace, and neither has its request."""
_UNKNOWN: Final = '.contains("{{")'


def lock_part(policy: LockPolicy, argo: ArgoVersion) -> StaticPart:
    """Return what a lock policy says of the locks of a Workflow."""
    spec, name = policy.spec, name_of(policy)
    resources = tuple(plural for kind, plural in _RESOURCES.items() if kind in spec.match.kinds)
    edited = tuple(each for each in resources if each != _RESOURCES[MatchedKind.WORKFLOW])
    rules = tuple(
        msgspec.structs.replace(now, before=before.expression)
        for now, before in zip(
            _rules(spec.validate, argo, _NOW), _rules(spec.validate, argo, _BEFORE), strict=True
        )
    )
    unsaid = tuple(Unsaid(str(name), *each) for each in _unsaid(spec))
    return StaticPart(
        policy=name,
        resources=resources,
        namespaces=governed_by(policy),
        workflows=spec.match.workflows,
        rules=rules,
        unsaid=unsaid,
        variables=(*VARIABLES, *(_variables("oldObject", _BEFORE) if edited else ())),
        edited=edited,
    )


def _rules(validate: LockValidation, argo: ArgoVersion, named: str) -> Iterator[StaticRule]:
    """Yield the rules of an object whose variables have names that begin so."""
    if validate.cross_namespace is CrossNamespace.DENY:
        own = f'!has(r.namespace) || r.namespace in ["", {_REQUESTED}]'
        yield StaticRule(
            Code.LOCK_NAMESPACE,
            _each_lock(named, own, own),
            "a lock of another namespace: use one of your own namespace",
        )
    yield StaticRule(
        Code.LOCK_NAME,
        _each_lock(
            named,
            "(has(r.configMapKeyRef) != has(r.database))"
            f" && (!has(r.configMapKeyRef) || ({_name('r.configMapKeyRef', 'name')}"
            f" && {_name('r.configMapKeyRef', 'key')}))"
            ' && (!has(r.database) || (has(r.database.key) && r.database.key != ""))',
            'has(r.name) && r.name != ""',
        ),
        "a lock without a name, with a slash in it, or a semaphore that does not have exactly one of "
        "configMapKeyRef and database: Argo ends such a Workflow with an error",
    )
    if validate.key_pattern is not None:
        rule = key_rule(validate.key_pattern)
        keys = (
            f"!has(r.configMapKeyRef) || !has(r.configMapKeyRef.key) || r.configMapKeyRef.key{_UNKNOWN}"
            f" || (has(r.configMapKeyRef.name) && r.configMapKeyRef.name{_UNKNOWN})"
            f" || (has(r.namespace) && r.namespace{_UNKNOWN})"
            f" || (size(r.configMapKeyRef.key) <= {LONGEST_KEY}"
            f" && r.configMapKeyRef.key.matches({text(rule.expression)}))"
        )
        yield StaticRule(
            Code.LOCK_NAME,
            _each_lock(named, keys, "true"),
            f"the key of a semaphore does not follow the naming rule {rule.text}; rename it",
        )
    if validate.singular is Singular.DENY and not argo.reads_singular:
        single = f"!({_has('b', 'semaphore')}) && !({_has('b', 'mutex')})"
        lists = f"({_has('b', 'semaphores')}) || ({_has('b', 'mutexes')})"
        yield StaticRule(
            Code.LOCK_FORM,
            _each_block(named, f"{single} && ({lists})"),
            f'Argo {argo} drops "semaphore" and "mutex" and would run this unlocked; write "semaphores" or '
            '"mutexes" with a list',
        )
    yield StaticRule(
        Code.LOCK_PLACE,
        f"{named}calls.all(a, a.all(b, b.all(c, !({_has('c', 'synchronization')}))))",
        "a DAG task or step cannot hold a lock: Argo drops it and runs unlocked. Move it to the template",
    )


def _name(parent: str, field: str) -> str:
    """Return that a name is there, and has no slash unless a part of it is filled in later."""
    name = f"{parent}.{field}"
    return f'has({name}) && {name} != "" && (!{name}.contains("/") || {name}{_UNKNOWN})'


def _each_block(named: str, condition: str) -> str:
    """Return that something holds for every block `b` of locks."""
    return f"{named}all.all(x, x.all(y, y.all(b, {condition})))"


def _each_lock(named: str, semaphore: str, mutex: str) -> str:
    """Return that something holds for every semaphore and every mutex `r`, in both forms."""
    parts = [
        f"({_list('b', plural)} + {_one('b', singular)}).all(r, {condition})"
        for singular, plural, condition in (
            ("semaphore", "semaphores", semaphore),
            ("mutex", "mutexes", mutex),
        )
        if condition != "true"
    ]
    return _each_block(named, " && ".join(parts))


def _unsaid(spec: SynchronizationPolicySpec) -> Iterator[tuple[str, str]]:
    """Yield the fields that are not in the rules."""
    validate = spec.validate
    if MatchedKind.WORKFLOW in spec.match.kinds:
        yield "spec.match.kinds", EDITED
    if spec.semaphores:
        yield "spec.semaphores", "an expression writes no ConfigMap"
    if spec.inject:
        yield "spec.inject", "an expression writes nothing into the object"
    if validate.require_defined:
        yield "spec.validate.requireDefined", "ConfigMaps of the namespace are not in the object"
    if validate.allow_parameterised is not Parameterised.ALLOW:
        yield (
            "spec.validate.allowParameterised",
            "values of parameters are known only with all who call a template",
        )
    if validate.singular is Singular.CONVERT:
        yield "spec.validate.singular", "an expression writes nothing into the object"
    if validate.deadlocks is not Severity.IGNORE:
        yield "spec.validate.deadlocks", "an expression has no recursion, and sees no other template"
    if validate.unknown_references is not Severity.IGNORE:
        yield "spec.validate.unknownReferences", "other templates are not in the object"
