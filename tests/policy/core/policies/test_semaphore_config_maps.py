"""Which keys the definitions of policies ask for: those that reviews look up, at the time that it is."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.semaphore_config_maps import (
    FIELD_MANAGER,
    LABEL,
    ForeignKey,
    ObservedConfigMap,
    config_map_to_apply,
    limit_at,
    plan,
    project,
)
from policy.core.policy_kinds.kinds import SemaphoreDefinition, SemaphoreWindow
from policy.core.quota.windows import NEVER
from tests.policy.core.builders import (
    NOW,
    cluster_lock_policy,
    lock_policy,
    namespace_object,
    rule,
    semaphore_target,
    snapshot,
)

TEAMS = ("team-a", "team-b", "team-c")
LIMITS = st.integers(1, 9)
NAME = "kubernetes.io/metadata.name"
SELECTORS: list[JsonObject] = [{}, {"matchLabels": {NAME: "team-a"}}, {"matchLabels": {NAME: "team-b"}}]
DEFINITIONS = st.lists(
    st.tuples(st.sampled_from(["m", "n"]), st.sampled_from(["x", "y"]), LIMITS),
    max_size=3,
    unique_by=lambda each: each[:2],
)


def definition(config_map: str, key: str, limit: int, **more: JsonValue) -> JsonObject:
    """Return the definition of a semaphore."""
    return {"configMap": config_map, "key": key, "limit": limit, **more}


def night(limit: int, **more: JsonValue) -> JsonObject:
    """Return a window that opens every evening at eight."""
    return {"name": "night", "schedule": "0 20 * * *", "duration": "10h", "limit": limit, **more}


@given(
    st.lists(st.tuples(st.sampled_from(TEAMS), DEFINITIONS), max_size=4),
    st.lists(st.tuples(st.sampled_from(SELECTORS), DEFINITIONS), max_size=3),
)
def test_the_keys_are_what_reviews_look_up(
    own: list[tuple[str, list[tuple[str, str, int]]]],
    everywhere: list[tuple[JsonObject, list[tuple[str, str, int]]]],
) -> None:
    """In every namespace, and nothing more than that."""
    policies = [
        lock_policy(f"p{index}", namespace=team, semaphores=[definition(*each) for each in defined])
        for index, (team, defined) in enumerate(own)
    ]
    policies_everywhere = [
        cluster_lock_policy(
            f"c{index}", namespaceSelector=selector, semaphores=[definition(*each) for each in defined]
        )
        for index, (selector, defined) in enumerate(everywhere)
    ]
    view = snapshot(*(namespace_object(team) for team in TEAMS), *policies, *policies_everywhere)
    projected = {
        (team, name, key): each.value
        for (team, name), keys in project(view, NOW).config_maps.items()
        for key, each in keys.items()
    }
    looked_up = {}
    for team in TEAMS:
        locks = view.policies(team).locks
        for name in ("m", "n"):
            for key in ("x", "y"):
                limit = locks.definitions.limit(team, name, key) if locks is not None else None
                if limit is not None:
                    looked_up[team, name, key] = limit
    assert projected == looked_up


def test_a_key_names_the_definition_that_counts() -> None:
    """So that a condition is on the policy whose author can correct it."""
    view = snapshot(
        namespace_object("team-a"),
        cluster_lock_policy("all", semaphores=[definition("m", "x", 1), definition("m", "y", 2)]),
        lock_policy("own", semaphores=[definition("m", "y", 3)]),
    )
    keys = project(view, NOW).config_maps["team-a", "m"]
    assert {key: (str(each.policy), each.path, each.value) for key, each in keys.items()} == {
        "x": ("ClusterSynchronizationPolicy all", "spec.semaphores[0]", "1"),
        "y": ("SynchronizationPolicy team-a/own", "spec.semaphores[0]", "3"),
    }
    assert project(view, NOW).until == NEVER


def test_a_condition_needs_the_key_for_no_limit() -> None:
    """What a rule with `when` writes into Workflows has to be there for Argo."""
    conditional = {**rule("load", semaphore_target("db", "m")), "when": "workflow.parameters.env == 'prod'"}
    view = snapshot(lock_policy("own", semaphores=[definition("m", "db", 2)], inject=[conditional]))
    keys = project(view, NOW).config_maps["team-a", "m"]
    assert {key: (each.value, each.path) for key, each in keys.items()} == {
        "db": ("2", "spec.semaphores[0]"),
        "db-unlimited": ("1000000", "spec.inject"),
    }


def test_an_open_window_is_the_value_until_it_closes() -> None:
    """The leader asks when to look again: that is when the first window opens or closes."""
    view = snapshot(
        lock_policy("own", semaphores=[definition("m", "x", 2, windows=[night(9)]), definition("m", "y", 1)])
    )
    day = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    for at, value, until in (
        (day, "2", day.replace(hour=20)),
        (day.replace(hour=20), "9", day.replace(hour=6) + timedelta(days=1)),
        (day.replace(hour=6), "2", day.replace(hour=20)),
    ):
        projection = project(view, at)
        assert projection.config_maps["team-a", "m"]["x"].value == value
        assert projection.config_maps["team-a", "m"]["y"].value == "1"
        assert projection.until == until


@given(LIMITS, LIMITS, st.integers(0, 48 * 60))
def test_until_the_time_that_is_given_nothing_changes(base: int, other: int, minutes: int) -> None:
    """Or a window would open unnoticed."""
    window = SemaphoreWindow("w", "30 1,13 * * *", "5h30m", other, "Europe/Berlin")
    one = SemaphoreDefinition("m", "x", base, (window,))
    now = NOW + timedelta(minutes=minutes)
    limit, until = limit_at(one, now)
    assert now < until
    assert limit in (base, other)
    assert limit_at(one, until - timedelta(seconds=1))[0] == limit
    if base != other:
        assert limit_at(one, until)[0] != limit


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["1", "2"])


def managed(manager: str, *keys: str, operation: str = "Apply") -> JsonObject:
    """Return what one manager owns."""
    fields: JsonObject = {".": {}, **{f"f:{key}": {} for key in keys}}
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:data": fields}}


def present(data: dict[str, str], *entries: JsonObject, labelled: bool = True) -> ObservedConfigMap:
    """Return a ConfigMap as it is in the cluster."""
    metadata: JsonObject = {"name": "m", "namespace": "team-a", "managedFields": list[JsonValue](entries)}
    if labelled:
        metadata["labels"] = {LABEL: "true"}
    return msgspec.convert({"metadata": metadata, "data": data}, ObservedConfigMap)


def never(_: str) -> bool:
    """Return that no Workflow uses a lock."""
    return False


def test_a_missing_config_map_is_created() -> None:
    """Unless nothing is asked for."""
    made = plan(None, {"a": "1"}, never)
    assert made.data == {"a": "1"}
    assert plan(None, {}, never).data is None
    assert config_map_to_apply(("team-a", "m"), {"a": "1"}) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "m", "namespace": "team-a", "labels": {LABEL: "true"}},
        "data": {"a": "1"},
    }


def test_a_config_map_that_is_right_is_not_written() -> None:
    """A pass over thousands of ConfigMaps writes none."""
    before_plan = present({"a": "1", "z": "x"}, managed(FIELD_MANAGER, "a"), managed("theirs", "z"))
    made = plan(before_plan, {"a": "1"}, never)
    assert (made.data, made.foreign, made.empty) == (None, {}, False)


def test_a_key_of_another_manager_is_reported_and_left() -> None:
    """With the same value it is owned together: then a change of theirs shows as a conflict."""
    before_plan = present(
        {"a": "1", "b": "7"}, managed("argocd", "a", "b", operation="Update"), labelled=False
    )
    made = plan(before_plan, {"a": "1", "b": "2"}, never)
    assert made.data == {"a": "1"}
    assert made.foreign == {"b": ForeignKey("argocd", "7")}


def test_a_key_that_another_manager_took_over_is_given_up() -> None:
    """To go on applying our value would be refused for ever."""
    before_plan = present({"a": "5", "b": "1"}, managed(FIELD_MANAGER, "b"), managed("kubectl-edit", "a"))
    made = plan(before_plan, {"a": "1", "b": "1"}, never)
    assert made.data is None
    assert made.foreign == {"a": ForeignKey("kubectl-edit", "5")}


def test_a_key_without_a_definition_stays_while_its_lock_is_used() -> None:
    """Argo would strand those that wait for it."""
    before_plan = present({"a": "1", "b": "2"}, managed(FIELD_MANAGER, "a", "b"))
    made = plan(before_plan, {}, lambda key: key == "b")
    assert (made.data, made.retained, made.empty) == ({"b": "2"}, ("b",), False)
    last = plan(before_plan, {}, never)
    assert (last.data, last.empty) == ({}, True)
    assert "data" not in config_map_to_apply(("team-a", "m"), {})


def test_a_key_that_was_removed_by_hand_is_restored() -> None:
    """The record of ownership is removed with the key."""
    made = plan(present({}, managed(FIELD_MANAGER)), {"a": "1"}, never)
    assert made.data == {"a": "1"}


@given(
    st.dictionaries(KEYS, VALUES),
    st.dictionaries(KEYS, VALUES),
    st.sets(KEYS),
    st.sets(KEYS),
    st.sets(KEYS),
)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    data: dict[str, str], wanted: dict[str, str], ours: set[str], theirs: set[str], used: set[str]
) -> None:
    """And changes no value that another manager owns."""
    entries = (managed(FIELD_MANAGER, *ours & data.keys()), managed("theirs", *theirs & data.keys()))
    before = present(data, *entries)
    made = plan(before, wanted, used.__contains__)
    if made.data is None:
        return
    assert all(made.data.get(key, data[key]) == data[key] for key in theirs & data.keys())
    left = {key: value for key, value in data.items() if key in theirs or key not in ours}
    after = present({**left, **made.data}, managed(FIELD_MANAGER, *made.data), entries[1])
    assert plan(after, wanted, used.__contains__).data is None
