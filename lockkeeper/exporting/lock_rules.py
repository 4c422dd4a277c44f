"""What lock policies say of the locks that a new Workflow has: their namespaces, names, forms and places."""

from collections.abc import Iterator
from typing import Final

from lockkeeper.exporting.static_rules import StaticPart, StaticRule, Unsaid, governed_by, text
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


_DEFAULTS: Final = "variables.spec.templateDefaults"
_BLOCKS: Final = (
    f"variables.templates.filter(t, {_has('t', 'synchronization')}).map(t, t.synchronization)",
    _one("variables.spec", "synchronization"),
    f"({_has('variables.spec', 'templateDefaults')} ? {_one(_DEFAULTS, 'synchronization')} : [])",
)
_INLINE: Final = f"{_has('c', 'inline')} && {_has('c.inline', 'synchronization')}"
_SPEC: Final = f"object.kind == 'CronWorkflow' ? {_map('object.spec', 'workflowSpec')} : object.spec"
VARIABLES: Final = (
    ("spec", _SPEC),
    ("templates", _list("variables.spec", "templates")),
    ("blocks", " + ".join(_BLOCKS)),
    (
        "tasks",
        f"variables.templates.filter(t, {_has('t', 'dag')} && {_has('t.dag', 'tasks')}).map(t, t.dag.tasks)",
    ),
    ("steps", f"variables.templates.filter(t, {_has('t', 'steps')}).map(t, t.steps)"),
    ("calls", "[variables.tasks] + variables.steps"),
    (
        "inlines",
        f"variables.calls.map(a, a.map(b, b.filter(c, {_INLINE}).map(c, c.inline.synchronization)))",
    ),
    ("all", "[[variables.blocks]] + variables.inlines"),
)
"""`all` is a list of lists of lists of the blocks of locks; CEL joins lists, and flattens none."""
_RESOURCES: Final = {
    MatchedKind.WORKFLOW: "workflows",
    MatchedKind.WORKFLOW_TEMPLATE: "workflowtemplates",
    MatchedKind.CRON_WORKFLOW: "cronworkflows",
}
_UNKNOWN: Final = '.contains("{{")'


def lock_part(policy: LockPolicy, argo: ArgoVersion) -> StaticPart:
    """Return what a lock policy says of the locks of a Workflow."""
    spec, name = policy.spec, name_of(policy)
    resources = tuple(plural for kind, plural in _RESOURCES.items() if kind in spec.match.kinds)
    rules = tuple(_rules(spec.validate, argo)) if resources else ()
    unsaid = tuple(Unsaid(str(name), *each) for each in _unsaid(spec))
    return StaticPart(
        policy=name,
        resources=resources,
        namespaces=governed_by(policy),
        workflows=spec.match.workflows,
        rules=rules,
        unsaid=unsaid,
        variables=VARIABLES,
    )


def _rules(validate: LockValidation, argo: ArgoVersion) -> Iterator[StaticRule]:
    if validate.cross_namespace is CrossNamespace.DENY:
        own = '!has(r.namespace) || r.namespace in ["", request.namespace]'
        yield StaticRule(
            Code.LOCK_NAMESPACE,
            _each_lock(own, own),
            "a lock of another namespace: use one of your own namespace",
        )
    yield StaticRule(
        Code.LOCK_NAME,
        _each_lock(
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
            _each_lock(keys, "true"),
            f"the key of a semaphore does not follow the naming rule {rule.text}; rename it",
        )
    if validate.singular is Singular.DENY and not argo.reads_singular:
        single = f"!({_has('b', 'semaphore')}) && !({_has('b', 'mutex')})"
        lists = f"({_has('b', 'semaphores')}) || ({_has('b', 'mutexes')})"
        yield StaticRule(
            Code.LOCK_FORM,
            _each_block(f"{single} && ({lists})"),
            f'Argo {argo} drops "semaphore" and "mutex" and would run this unlocked; write "semaphores" or '
            '"mutexes" with a list',
        )
    yield StaticRule(
        Code.LOCK_PLACE,
        f"variables.calls.all(a, a.all(b, b.all(c, !({_has('c', 'synchronization')}))))",
        "a DAG task or step cannot hold a lock: Argo drops it and runs unlocked. Move it to the template",
    )


def _name(parent: str, field: str) -> str:
    """Return that a name is there, and has no slash unless a part of it is filled in later."""
    name = f"{parent}.{field}"
    return f'has({name}) && {name} != "" && (!{name}.contains("/") || {name}{_UNKNOWN})'


def _each_block(condition: str) -> str:
    """Return that something holds for every block `b` of locks."""
    return f"variables.all.all(x, x.all(y, y.all(b, {condition})))"


def _each_lock(semaphore: str, mutex: str) -> str:
    """Return that something holds for every semaphore and every mutex `r`, in both forms."""
    parts = [
        f"({_list('b', plural)} + {_one('b', singular)}).all(r, {condition})"
        for singular, plural, condition in (
            ("semaphore", "semaphores", semaphore),
            ("mutex", "mutexes", mutex),
        )
        if condition != "true"
    ]
    return _each_block(" && ".join(parts))


def _unsaid(spec: SynchronizationPolicySpec) -> Iterator[tuple[str, str]]:
    """Yield the fields that are not in the rules."""
    validate = spec.validate
    if MatchedKind.CLUSTER_WORKFLOW_TEMPLATE in spec.match.kinds:
        yield "spec.match.kinds", "templates of the cluster have no namespace, by which rules are chosen"
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
