"""The worst policies that could be found for their review, in any size."""

from collections.abc import Callable
from typing import Any, Final

from tests.properties.worst_inputs import fill
from tests.webhook.oracle import Json
from tests.webhook.reviews import NAMESPACE, admission_review


def policy(kind: str, **spec: Any) -> Json:
    """Return the review of a new policy."""
    group = {"group": "lockkeeper.dev", "version": "v1alpha1", "kind": kind}
    metadata = {"name": "worst", **({} if kind.startswith("Cluster") else {"namespace": NAMESPACE})}
    obj = {"apiVersion": "lockkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    return admission_review(obj, kind=group, namespace=metadata.get("namespace", ""))


def locks(**spec: Any) -> Json:
    """Return the review of a new SynchronizationPolicy."""
    return policy("SynchronizationPolicy", **spec)


def rule(number: int, **templates: Any) -> Json:
    """Return a rule."""
    return {
        "name": f"rule-{number}",
        "templates": templates or {"names": ["*"]},
        "lock": {"mutex": f"m{number}"},
    }


def semaphores(size: int) -> Json:
    """Very many definitions, of the same key each."""
    return locks(semaphores=fill(size, lambda _: {"configMap": "locks", "key": "db", "limit": 1}))


def windows(size: int) -> Json:
    """One definition with very many windows."""

    def window(number: int) -> Json:
        return {"name": f"w{number}", "schedule": "1-59/2 1-23/2 * * *", "duration": "1h", "limit": 1}

    made = fill(size, window)
    return locks(semaphores=[{"configMap": "locks", "key": "db", "limit": 1, "windows": made}])


def rules(size: int) -> Json:
    """Very many rules, each with a condition."""
    when = "'{{workflow.parameters.p}}' == 'x' && " * 20 + "'a' == 'b'"
    return locks(inject=fill(size, lambda n: {**rule(n), "when": when}))


def globs(size: int) -> Json:
    """Rules with as many globs as fit, full of stars."""
    many = [f"{'ab*' * 160}{n}" for n in range(100)]
    return locks(inject=fill(size, lambda n: rule(n, names=many)))


def one_glob(size: int) -> Json:
    """One glob without end."""
    return locks(inject=[rule(0, names=["a*" * (size // 2)])])


def selectors(size: int) -> Json:
    """Selectors with very many expressions."""
    expressions = fill(size, lambda n: {"key": f"k{n % 9}", "operator": "In", "values": [f"v{n}"]})
    return policy("ClusterSynchronizationPolicy", namespaceSelector={"matchExpressions": expressions})


def quota_windows(size: int) -> Json:
    """A quota with very many windows."""

    def window(number: int) -> Json:
        opening = {"schedule": "1-59/2 1-23/2 * * *", "duration": "1h", "limits": {"workflows": 1}}
        return {"name": f"w{number}", **opening}

    return policy("WorkflowQuota", limits={"workflows": 2}, windows=fill(size, window))


def reserves(size: int) -> Json:
    """A quota with very many reserves."""
    made = fill(size, lambda n: {"abovePriority": n, "workflows": 1})
    return policy("WorkflowQuota", limits={"workflows": 2}, reserve=made)


def groups(size: int) -> Json:
    """Very many groups, with keys of as many wrong parts as fit, and one of a long name and a long key."""
    wrong = {"key": "{{workflow.label.a}}" * 24, "limits": {"workflows": 0}}
    long = {"name": "n" * (size // 4), "key": "{{user}}" * (size // 32)}
    return policy("WorkflowQuota", groups=[long, *fill(size // 2, lambda n: {"name": f"g{n}", **wrong})])


def unknown_fields(size: int) -> Json:
    """Fields that nobody knows."""
    return policy("WorkflowQuota", **{f"field{n}": n for n in range(size // 20)})


def wrong_entries(size: int) -> Json:
    """Entries of a wrong type."""
    return locks(inject=fill(size, lambda _: 1), semaphores=[])


def labels(size: int) -> Json:
    """Labels without end on the policy itself."""
    review = policy("WorkflowQuota", limits={"workflows": 2})
    review["request"]["object"]["metadata"]["labels"] = {f"label-{n}": "v" for n in range(size // 20)}
    return review


POLICIES: Final[dict[str, Callable[[int], Json]]] = {
    each.__name__: each
    for each in (
        semaphores,
        windows,
        rules,
        globs,
        one_glob,
        selectors,
        quota_windows,
        reserves,
        groups,
        unknown_fields,
        wrong_entries,
        labels,
    )
}
"""Reviews of policies of about the size that is asked for."""
