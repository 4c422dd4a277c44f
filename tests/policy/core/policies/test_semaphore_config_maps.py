"""Which keys the definitions of policies ask for: those that reviews look up, at the time that it is."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.semaphore_config_maps import limit_at, project
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
    """So that a condition goes to the policy whose author can mend it."""
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


def test_a_condition_brings_the_key_that_stands_for_no_limit() -> None:
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
    """Or a window would open and nobody would look."""
    window = SemaphoreWindow("w", "30 1,13 * * *", "5h30m", other, "Europe/Berlin")
    one = SemaphoreDefinition("m", "x", base, (window,))
    now = NOW + timedelta(minutes=minutes)
    limit, until = limit_at(one, now)
    assert now < until
    assert limit in (base, other)
    assert limit_at(one, until - timedelta(seconds=1))[0] == limit
    if base != other:
        assert limit_at(one, until)[0] != limit
