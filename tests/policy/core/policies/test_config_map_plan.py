"""What is written into a ConfigMap: what is asked for, nothing of others, nothing twice."""

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
    plan,
)

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["1", "2"])


def managed(manager: str, *keys: str, operation: str = "Apply") -> JsonObject:
    """Return what one manager owns."""
    fields: JsonObject = {".": {}, **{f"f:{key}": {} for key in keys}}
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:data": fields}}


def standing(data: dict[str, str], *entries: JsonObject, labelled: bool = True) -> ObservedConfigMap:
    """Return a ConfigMap as it stands."""
    metadata: JsonObject = {"name": "m", "namespace": "team-a", "managedFields": list[JsonValue](entries)}
    if labelled:
        metadata["labels"] = {LABEL: "true"}
    return msgspec.convert({"metadata": metadata, "data": data}, ObservedConfigMap)


def never(_: str) -> bool:
    """Tell that nobody uses a lock."""
    return False


def test_a_config_map_that_is_not_there_is_made() -> None:
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


def test_what_stands_as_it_should_is_not_written() -> None:
    """A pass over thousands of ConfigMaps writes none."""
    stands = standing({"a": "1", "z": "x"}, managed(FIELD_MANAGER, "a"), managed("theirs", "z"))
    made = plan(stands, {"a": "1"}, never)
    assert (made.data, made.foreign, made.empty) == (None, {}, False)


def test_a_key_of_somebody_else_is_told_and_left() -> None:
    """With the same value it is owned together: then a change of theirs shows as a conflict."""
    stands = standing({"a": "1", "b": "7"}, managed("argocd", "a", "b", operation="Update"), labelled=False)
    made = plan(stands, {"a": "1", "b": "2"}, never)
    assert made.data == {"a": "1"}
    assert made.foreign == {"b": ForeignKey("argocd", "7")}


def test_a_key_that_somebody_took_over_is_let_go_of() -> None:
    """To go on applying our value would be refused for ever."""
    stands = standing({"a": "5", "b": "1"}, managed(FIELD_MANAGER, "b"), managed("kubectl-edit", "a"))
    made = plan(stands, {"a": "1", "b": "1"}, never)
    assert made.data is None
    assert made.foreign == {"a": ForeignKey("kubectl-edit", "5")}


def test_a_key_that_nobody_defines_any_more_stays_while_its_lock_is_used() -> None:
    """Argo would strand those that wait for it."""
    stands = standing({"a": "1", "b": "2"}, managed(FIELD_MANAGER, "a", "b"))
    made = plan(stands, {}, lambda key: key == "b")
    assert (made.data, made.retained, made.empty) == ({"b": "2"}, ("b",), False)
    last = plan(stands, {}, never)
    assert (last.data, last.empty) == ({}, True)
    assert "data" not in config_map_to_apply(("team-a", "m"), {})


def test_a_key_that_was_removed_by_hand_comes_back() -> None:
    """The record of ownership goes with the key."""
    made = plan(standing({}, managed(FIELD_MANAGER)), {"a": "1"}, never)
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
    """And changes no value that somebody else owns."""
    entries = (managed(FIELD_MANAGER, *ours & data.keys()), managed("theirs", *theirs & data.keys()))
    before = standing(data, *entries)
    made = plan(before, wanted, used.__contains__)
    if made.data is None:
        return
    assert all(made.data.get(key, data[key]) == data[key] for key in theirs & data.keys())
    kept = {key: value for key, value in data.items() if key in theirs or key not in ours}
    after = standing({**kept, **made.data}, managed(FIELD_MANAGER, *made.data), entries[1])
    assert plan(after, wanted, used.__contains__).data is None
