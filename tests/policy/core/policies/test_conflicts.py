"""What only the whole set of policies shows is reported on the policy without effect, as reviews decide."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.label_selectors import LabelSelector, Operator, Requirement, why_nothing
from policy.core.policies.conflicts import SHOWN, Finding, FindingKind, all_findings, name_of
from policy.core.policies.snapshot import Document, Snapshot, with_policy
from policy.core.policy_kinds.kinds import Policy
from policy.core.quota.accounts import Account
from tests.policy.core.builders import (
    cluster_lock_policy,
    config_map,
    definition,
    lock_policy,
    namespace_object,
    pool,
    quota,
    rule,
    semaphore_target,
    snapshot,
)

ETL: JsonObject = {"matchLabels": {"team": "etl"}}
NEVER: JsonObject = {
    "matchLabels": {"team": "etl"},
    "matchExpressions": [{"key": "team", "operator": "DoesNotExist"}],
}
A, B = namespace_object("team-a", team="etl"), namespace_object("team-b", team="ml")


def found(*documents: Document) -> dict[str, list[Finding]]:
    """Return the findings by the name of the policy."""
    return {str(name): list(found) for name, found in all_findings(snapshot(*documents)).items()}


def kinds(*documents: Document) -> dict[str, list[FindingKind]]:
    """Return the kinds of the findings by the name of the policy."""
    return {name: [each.kind for each in findings] for name, findings in found(*documents).items()}


def test_policies_without_conflicts_have_no_findings() -> None:
    """One of each kind, each with a namespace to speak about."""
    rules: JsonValue = [rule("a", semaphore_target("db"))]
    assert not found(
        A,
        quota(),
        pool(),
        lock_policy(semaphores=[definition("db")], inject=rules),
        cluster_lock_policy(semaphores=[definition("gpu")]),
    )


def test_the_younger_of_two_pools_reports_the_namespaces_of_the_older() -> None:
    """And nothing is reported on the older one, whose limits count."""
    old, young = pool("old", created="2026-01-01"), pool("young", created="2026-01-02", namespaceSelector=ETL)
    third = pool("third", created="2026-01-03", namespaceSelector={"matchLabels": {"team": "ml"}})
    assert found(A, B, young, old, third) == {
        "ClusterWorkflowQuota young": [
            Finding(
                FindingKind.OLDER_POOL,
                "spec.namespaceSelector",
                "ClusterWorkflowQuota old is the oldest pool that selects namespace team-a (all that this "
                "one selects), and its limits count there: select other namespaces in one of the two",
                "ClusterWorkflowQuota old",
            )
        ],
        "ClusterWorkflowQuota third": found(A, B, old, third)["ClusterWorkflowQuota third"],
    }


def test_many_namespaces_are_counted_and_some_of_them_named() -> None:
    """A sentence stays a sentence in a cluster of thousands."""
    spaces = [namespace_object(f"n{index:02}") for index in range(SHOWN + 7)]
    (finding,) = found(*spaces, pool("a", created="1"), pool("b", created="2"))["ClusterWorkflowQuota b"]
    assert "selects namespaces n00, n01, n02, n03, n04 and 7 more (all that" in finding.message


def test_a_pool_that_loses_only_some_namespaces_reports_these() -> None:
    """The others are its own."""
    old = pool("old", created="1", namespaceSelector=ETL)
    (finding,) = found(A, B, old, pool("young", created="2"))["ClusterWorkflowQuota young"]
    assert "selects namespace team-a, and its limits count" in finding.message


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([{}, ETL, {"matchLabels": {"team": "ml"}}])),
        min_size=1,
        max_size=4,
    )
)
def test_the_winner_of_a_namespace_is_the_pool_that_reviews_count_it_in(
    pools: list[tuple[int, JsonObject]],
) -> None:
    """What is reported of overlaps is what `Snapshot.policies` does."""
    made = [
        pool(f"p{index}", created=f"2026-01-0{day + 1}", namespaceSelector=selector)
        for index, (day, selector) in enumerate(pools)
    ]
    policies = snapshot(A, B, *made)
    reported = all_findings(policies)
    for each, space in product(made, (A, B)):
        if not each.spec.namespace_selector.matches(space.metadata.labels):
            continue
        counted = policies.policies(space.metadata.name).quotas
        wins = Account("", each.metadata.name) in [one.account for one in counted]
        lost = [
            finding
            for finding in reported.get(name_of(each), ())
            if finding.kind is FindingKind.OLDER_POOL and space.metadata.name in finding.message
        ]
        assert wins != bool(lost)


@pytest.mark.parametrize(
    ("policies", "loser", "winner"),
    [
        (
            (
                lock_policy("a", semaphores=[definition("db", 1)]),
                lock_policy("b", semaphores=[definition("db", 2)]),
            ),
            "SynchronizationPolicy team-a/a",
            "SynchronizationPolicy team-a/b",
        ),
        (
            (
                cluster_lock_policy("z", semaphores=[definition("db", 1)]),
                lock_policy("b", semaphores=[definition("db", 2)]),
            ),
            "ClusterSynchronizationPolicy z",
            "SynchronizationPolicy team-a/b",
        ),
        (
            (
                cluster_lock_policy("z", semaphores=[definition("db", 1)]),
                cluster_lock_policy("y", semaphores=[definition("db", 2)]),
            ),
            "ClusterSynchronizationPolicy z",
            "ClusterSynchronizationPolicy y",
        ),
    ],
)
def test_a_definition_that_does_not_count_names_the_one_that_does(
    policies: tuple[Document, ...], loser: str, winner: str
) -> None:
    """It is the limit that a review looks up."""
    (reported,) = found(A, *policies).items()
    assert reported[0] == loser
    (finding,) = reported[1]
    assert (finding.kind, finding.path, finding.winner) == (
        FindingKind.DEFINED_ELSEWHERE,
        "spec.semaphores[0]",
        winner,
    )
    limit = "another limit" if loser.startswith("Cluster") and winner.startswith("Sync") else "the limit 2"
    assert f"{limit}, and that counts in namespace team-a" in finding.message
    locks = snapshot(A, *policies).policies("team-a").locks
    assert locks is not None
    assert locks.definitions.limit("team-a", "limits", "db") == "2"


def test_two_definitions_with_one_limit_or_in_other_namespaces_are_no_conflict() -> None:
    """Whichever counts, both have the same limit."""
    same = [lock_policy(name, semaphores=[definition("db", 2)]) for name in ("a", "b")]
    other = lock_policy("c", namespace="team-b", semaphores=[definition("db", 3)])
    ml = cluster_lock_policy(
        namespaceSelector={"matchLabels": {"team": "ml"}}, semaphores=[definition("gpu", 3)]
    )
    assert not found(A, B, *same, other, ml, lock_policy("d", semaphores=[definition("gpu", 1)]))


def test_a_rule_whose_lock_is_refused_names_the_policy_that_refuses_it() -> None:
    """Every Workflow that it selects would be denied, and its users could not correct that."""
    rules: JsonValue = [rule("slow", semaphore_target("db"))]
    strict = cluster_lock_policy(validate={"keyPattern": "^team-", "requireDefined": False})
    own = lock_policy(semaphores=[definition("db")], inject=rules)
    (finding,) = found(A, strict, own)["SynchronizationPolicy team-a/locks"]
    assert finding == Finding(
        FindingKind.RULE_REFUSED,
        "spec.inject[name=slow]",
        "every Workflow of namespace team-a that it selects is refused by ClusterSynchronizationPolicy "
        'everywhere, because of the lock that it injects: key "db" does not follow the naming rule ^team-; '
        "rename it",
        "ClusterSynchronizationPolicy everywhere",
    )


def test_a_rule_that_injects_an_undefined_lock_is_reported_until_it_is_defined() -> None:
    """Its own policy refuses it; the definition may come later, in a ConfigMap as well."""
    undefined = cluster_lock_policy(inject=[rule("a", semaphore_target("db"))])
    (finding,) = found(A, B, undefined)["ClusterSynchronizationPolicy everywhere"]
    assert (finding.kind, finding.winner) == (FindingKind.RULE_REFUSED, "")
    assert "every Workflow of namespaces team-a, team-b" in finding.message
    assert 'semaphore "db" of ConfigMap team-a/limits is not defined, or no number' in finding.message
    defined = [config_map("limits", namespace=name, db="2") for name in ("team-a", "team-b")]
    assert not found(A, B, undefined, *defined)


def test_a_policy_for_some_workflows_only_does_not_refuse_a_rule_for_certain() -> None:
    """Whether both speak about one Workflow depends on its labels."""
    some = cluster_lock_policy(match={"workflows": ETL}, validate={"keyPattern": "^team-"})
    assert not found(
        A, some, lock_policy(semaphores=[definition("db")], inject=[rule("a", semaphore_target("db"))])
    )


@pytest.mark.parametrize(
    ("policy", "path", "message"),
    [
        (
            pool(namespaceSelector={"matchLabels": {"team": "nobody"}}),
            "spec.namespaceSelector",
            "selects no namespace: none that exists now has such labels",
        ),
        (
            cluster_lock_policy(namespaceSelector=NEVER),
            "spec.namespaceSelector",
            "selects no namespace: no object can match all that it requires of the label team",
        ),
        (
            quota(selector=NEVER),
            "spec.selector",
            "selects no Workflow: no object can match all that it requires of the label team",
        ),
        (
            pool(namespaceDefaults={"selector": NEVER}),
            "spec.namespaceDefaults.selector",
            "selects no Workflow: no object can match all that it requires of the label team",
        ),
        (
            lock_policy(match={"workflows": NEVER}),
            "spec.match.workflows",
            "selects no Workflow: no object can match all that it requires of the label team",
        ),
    ],
)
def test_a_policy_that_selects_nothing_reports_why(policy: Document, path: str, message: str) -> None:
    """It is in force and does nothing, which is seldom what its author wants."""
    ((finding,),) = found(A, policy).values()
    assert finding == Finding(FindingKind.SELECTS_NOTHING, path, message)
    assert str(finding) == f"{path}: {message}"


_VALUES = st.sampled_from(["x", "y", "z"])
_REQUIREMENTS = st.one_of(
    st.builds(
        Requirement,
        st.sampled_from(["a", "b"]),
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.lists(_VALUES, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(
        Requirement, st.sampled_from(["a", "b"]), st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])
    ),
)


@given(
    st.builds(
        LabelSelector,
        st.dictionaries(st.sampled_from(["a", "b"]), _VALUES),
        st.lists(_REQUIREMENTS, max_size=4).map(tuple),
    )
)
def test_a_selector_is_reported_exactly_where_no_labels_match(selector: LabelSelector) -> None:
    """All labels that can make a difference are tried."""
    choices = [None, "x", "y", "z", "other"]
    matched = any(
        selector.matches({key: value for key, value in (("a", a), ("b", b)) if value is not None})
        for a, b in product(choices, choices)
    )
    assert bool(why_nothing(selector)) != matched


def same(one: Snapshot, other: Snapshot) -> bool:
    """Return whether two snapshots have the same policies in the same order."""
    return (one.quotas, one.pools, one.lock_policies) == (other.quotas, other.pools, other.lock_policies)


@pytest.mark.parametrize(
    "policy",
    [
        quota("b", limits={"workflows": 5}),
        quota("new"),
        quota("b", namespace="team-b"),
        pool("b", created="2", limits={"workflows": 5}),
        pool("new", created="3"),
        lock_policy("b", semaphores=[definition("db")]),
        lock_policy("b", namespace="team-b"),
        cluster_lock_policy("b", semaphores=[definition("db")]),
        cluster_lock_policy("new"),
    ],
)
def test_a_snapshot_with_one_more_policy_is_that_of_all_documents(policy: Policy) -> None:
    """Another one of its name gives way to it; those of other namespaces and kinds stay."""
    beside: list[Document] = [A, B]
    for name, created in (("a", "1"), ("b", "2"), ("c", "4")):
        beside += [quota(name), pool(name, created=created), lock_policy(name), cluster_lock_policy(name)]

    def named(document: Document) -> tuple[object, ...]:
        return type(document), document.metadata.namespace, document.metadata.name

    everything = [*(each for each in beside if named(each) != named(policy)), policy]
    assert same(with_policy(snapshot(*beside), policy), snapshot(*everything))


def test_a_pool_that_is_not_stored_yet_is_the_youngest() -> None:
    """The API server gives it its time only when it stores it."""
    made = with_policy(snapshot(A, pool("old", created="2026-01-01")), pool("new"))
    assert [each.metadata.name for each in made.pools] == ["old", "new"]
    assert not len(made.compiled.namespaces)


def borrowing(*reserve: JsonValue) -> Policy:
    """Return a pool of the namespaces of one team whose members borrow."""
    return pool(
        "data",
        namespaceSelector=ETL,
        limits={"workflows": 9},
        borrowing={"enabled": True},
        reserve=[*reserve],
    )


def reserving(**spec: JsonValue) -> Policy:
    """Return a quota that keeps one Workflow for higher priorities."""
    reserve: JsonValue = [{"abovePriority": 5, "workflows": 1}]
    return quota("own", namespace="team-a", limits={"workflows": 4}, reserve=reserve, **spec)


def test_a_share_with_a_reserve_reports_that_it_reserves_nothing() -> None:
    """What others borrow of it they do not keep free; a reserve of the pool does that."""
    assert found(A, borrowing(), reserving()) == {
        "WorkflowQuota team-a/own": [
            Finding(
                FindingKind.RESERVES_NOTHING,
                "spec.reserve",
                "reserves nothing: ClusterWorkflowQuota data lets its members borrow, so these limits are "
                "the share of team-a in it, which others use too. Give the pool a reserve",
                "ClusterWorkflowQuota data",
            )
        ]
    }


@pytest.mark.parametrize(
    "documents",
    [
        (A, pool("data", namespaceSelector=ETL, limits={"workflows": 9}), reserving()),
        (A, reserving()),
        (A, borrowing(), reserving(selector=ETL)),
        (A, borrowing({"abovePriority": 5, "workflows": 1}), quota("own", namespace="team-a")),
    ],
    ids=["nobody borrows", "no pool", "no share", "of the pool"],
)
def test_a_reserve_that_works_has_no_finding(documents: tuple[Document, ...]) -> None:
    """It is a part of a limit then."""
    assert not found(*documents)


def sharing(**spec: JsonValue) -> Policy:
    """Return a pool of the namespaces of one team whose members borrow."""
    spec.setdefault("borrowing", {})
    return pool("data", created="", namespaceSelector=ETL, limits={"workflows": 9}, **spec)


def own(**spec: JsonValue) -> Policy:
    """Return a quota that is the share of its namespace."""
    return quota("own", namespace="team-a", **spec)


WINDOW: JsonObject = {"name": "night", "schedule": "@daily", "duration": "8h"}


@pytest.mark.parametrize(
    ("spec", "bound", "whose"),
    [
        ({}, 9, "the limit"),
        ({"borrowing": {"shares": {"team-a": {"workflows": 5}}}}, 5, "the share of team-a"),
        ({"namespaceDefaults": {"limits": {"workflows": 4}}}, 4, "the share of team-a"),
        ({"borrowing": {"shares": {"team-b": {"workflows": 5}}}}, 9, "the limit"),
    ],
)
def test_a_quota_above_what_the_pool_gives_reports_what_counts(
    spec: JsonObject, bound: int, whose: str
) -> None:
    """For its limits and for those of its windows; below that nothing is reported."""
    limits: JsonValue = {"workflows": 10**9}
    greedy = own(limits=limits, windows=[{**WINDOW, "limits": limits}])
    message = (
        f"1000000000 is above {bound}, {whose} in ClusterWorkflowQuota data, and {bound} counts: a quota may "
        "lower what the pool gives, and not raise it. Ask for a larger spec.borrowing.shares.team-a there"
    )
    assert found(A, sharing(**spec), greedy) == {
        "WorkflowQuota team-a/own": [
            Finding(FindingKind.SHARE_CUT, path, message, "ClusterWorkflowQuota data")
            for path in ("spec.limits.workflows", "spec.windows[0].limits.workflows")
        ]
    }
    assert not found(A, sharing(**spec), own(limits={"workflows": bound}))
    apart = sharing(borrowing={"enabled": False})
    assert not found(A, apart, greedy)


def test_the_windows_of_the_pool_and_of_its_defaults_are_what_a_quota_may_have() -> None:
    """What is allowed at night is no mistake."""
    most: JsonValue = [{**WINDOW, "limits": {"workflows": 20}}]
    night = own(limits={"workflows": 20})
    assert not found(A, sharing(windows=most), night)
    assert not found(A, sharing(namespaceDefaults={"limits": {"workflows": 2}, "windows": most}), night)


def test_a_quota_beside_defaults_of_the_pool_reports_why_they_count() -> None:
    """Only if it is for every Workflow: one for some of them is not meant to replace the defaults."""
    defaults: JsonObject = {"limits": {"workflows": 3}, "perWorkflow": {"maxTasks": 5}}
    shared = pool("data", namespaceSelector=ETL, namespaceDefaults=defaults)
    more: JsonValue = {"workflows": 40}
    assert found(A, shared, own(limits=more)) == {
        "WorkflowQuota team-a/own": [
            Finding(
                FindingKind.DEFAULTS_HOLD,
                "spec",
                "namespaceDefaults of ClusterWorkflowQuota data hold beside it, since the quotas of team-a "
                "do not bound perWorkflow.maxTasks for every Workflow: bound that too, for them to count "
                "instead",
                "ClusterWorkflowQuota data",
            )
        ]
    }
    assert not found(A, shared, own(limits=more, perWorkflow={"maxTasks": 9}))
    assert not found(A, shared, own(limits=more, selector=ETL))
    assert not found(A, shared, own(limits=more, onExceed="Warn"))
