"""Values are checked against the policy structs: every mistake, with its path, in YAML's words."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from policy.core.objects.workflow import TemplateObject
from policy.core.policy_kinds.kinds import (
    POLICY_KINDS,
    ClusterWorkflowQuota,
    ConfigMap,
    CrossNamespace,
    NamespaceObject,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.sources.schema_check import decode, walk
from policy.sources.yaml_positions import Json

TYPES: list[type] = [*POLICY_KINDS.values(), ConfigMap, NamespaceObject, TemplateObject]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
LEAVES: dict[type, st.SearchStrategy[Json]] = {
    inspect.StrType: st.text(max_size=8),
    inspect.IntType: st.integers(),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
    inspect.AnyType: st.text(max_size=8) | st.integers() | st.none(),
    inspect.DateTimeType: st.just("2024-01-31T08:00:00Z"),
    inspect.AnyType: JSON,
}


def wire(expected: inspect.Type, twist: Callable[[st.SearchStrategy[Json]], st.SearchStrategy[Json]]) -> Any:
    """Return a strategy for the wire form of a type; `twist` may put anything else in every place."""
    strategy: Any
    match expected:
        case inspect.StructType(fields=fields):
            needed = {each.encode_name: wire_of(each.type, twist) for each in fields if each.required}
            others = {each.encode_name: wire_of(each.type, twist) for each in fields if not each.required}
            strategy = st.fixed_dictionaries(needed, optional=others)
        case inspect.UnionType(types=types):
            strategy = st.one_of([wire_of(each, twist) for each in types])
        case inspect.VarTupleType(item_type=each):
            strategy = st.lists(wire_of(each, twist), max_size=2)
        case inspect.DictType(value_type=each):
            strategy = st.dictionaries(st.text(max_size=4), wire_of(each, twist), max_size=2)
        case inspect.EnumType(cls=enum):
            strategy = st.sampled_from([member.value for member in enum])
        case inspect.LiteralType(values=values):
            strategy = st.sampled_from(list(values))
        case inspect.IntType(ge=least, le=most):
            strategy = st.integers(least, most)
        case _:
            strategy = LEAVES[type(expected)]
    return twist(strategy)


def wire_of(expected: inspect.Type, twist: Any) -> Any:
    """Return the strategy only when it is drawn from, for templates may hold templates."""
    return st.deferred(lambda: wire(expected, twist))


def right(strategy: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Leave a place as it should be."""
    return strategy


def often_wrong(strategy: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Put anything in a place now and then."""
    return st.integers(0, 9).flatmap(lambda dice: JSON if dice == 0 else strategy)


def said(text: str, expected: type) -> dict[str, str]:
    """Return the messages about a YAML text, by path."""
    return {problem.path: problem.message for problem in walk(yaml.safe_load(text), expected)}


@pytest.mark.parametrize("expected", TYPES)
def test_any_value_is_walked_without_raising(expected: type) -> None:
    """Whatever a file holds, there are problems or there is an object."""

    @given(JSON)
    def check(value: Json) -> None:
        assert isinstance(walk(value, expected), list)

    check()


@pytest.mark.parametrize("expected", TYPES)
def test_a_value_without_problems_can_be_decoded(expected: type) -> None:
    """The walk is at least as strict as msgspec, also for values that are right but in one place."""

    @given(wire(inspect.type_info(expected), often_wrong))
    def check(value: Json) -> None:
        if not walk(value, expected):
            assert isinstance(decode(value, expected), expected)

    check()


@pytest.mark.parametrize("expected", TYPES)
def test_a_right_value_has_no_problems(expected: type) -> None:
    """The walk is no stricter than the structs say, null for optional fields included."""

    @given(wire(inspect.type_info(expected), right))
    def check(value: Json) -> None:
        assert walk(value, expected) == []
        assert isinstance(decode(value, expected), expected)

    check()


def test_every_mistake_is_reported_at_once() -> None:
    """Not one error a run, but all of them, each at its field."""
    text = """
    metadata: {name: 5, labels: {a: 1, app.io/name: true}}
    spec:
      limts: {}
      limits: {workflows: "10", tasks: unlimited}
      perUser: {workflows: 1.5, tasks: [1]}
      per_workflow: {}
      onExceed: queue
      namespaceDefaults: {perWorkflow: {maxTasks: x}}
      selector: {matchExpressions: [{key: a, operator: in}, {operator: In, values: x}, 3]}
    """
    assert said(text, ClusterWorkflowQuota) == {
        "metadata.name": "must be a string; found the integer 5: put it in quotes",
        "metadata.labels.a": "must be a string; found the integer 1: put it in quotes",
        'metadata.labels["app.io/name"]': "must be a string; found the boolean true: put it in quotes",
        "spec.limts": 'unknown field; did you mean "limits"?',
        "spec.limits.workflows": 'must be an integer or "Unlimited"; found the string "10"'
        ": write it without quotes",
        "spec.limits.tasks": 'must be an integer or "Unlimited"; found the string "unlimited"'
        '; did you mean "Unlimited"?',
        "spec.perUser.workflows": 'must be an integer or "Unlimited"; found the number 1.5',
        "spec.perUser.tasks": 'must be an integer or "Unlimited"; found a list',
        "spec.per_workflow": 'unknown field; did you mean "perWorkflow"?',
        "spec.onExceed": 'must be one of "Queue", "Deny", "Warn"; found the string "queue"'
        '; did you mean "Queue"?',
        "spec.namespaceDefaults.perWorkflow.maxTasks": 'must be an integer; found the string "x"',
        "spec.selector.matchExpressions[0].operator": 'must be one of "In", "NotIn", "Exists", '
        '"DoesNotExist"; found the string "in"; did you mean "In"?',
        "spec.selector.matchExpressions[1].values": 'must be a list; found the string "x"',
        "spec.selector.matchExpressions[1].key": "is required, but missing",
        "spec.selector.matchExpressions[2]": "must be a map; found the integer 3",
        "spec.namespaceSelector": "is required, but missing",
    }


def test_a_boolean_in_other_words_is_explained() -> None:
    """`yes` is a string here, and the message has the word to write."""
    text = "{metadata: {name: a}, spec: {validate: {requireDefined: 'yes'}}}"
    assert said(text, SynchronizationPolicy) == {
        "spec.validate.requireDefined": 'must be a boolean; found the string "yes"'
        ": write true or false, without quotes"
    }


def test_paths_lead_into_lists_of_lists() -> None:
    """The path of an item names every index on the way."""
    text = "{metadata: {name: a}, spec: {inject: [{name: a, lock: {}, templates: {names: [a, 1]}}]}}"
    assert list(said(text, SynchronizationPolicy)) == ["spec.inject[0].templates.names[1]"]


def test_fields_that_kubernetes_adds_are_ignored() -> None:
    """What `kubectl get -o yaml` prints can be used as it is; other unknown metadata is an error."""
    text = """
    metadata: {name: a, creationTimestamp: null, managedFields: [], finalizers: [], ownerReferences: [],
               selfLink: x, deletionTimestamp: null, generateName: a, uid: u, generation: 2, nam: x}
    spec: {}
    status: {running: 1, borrowed: {workflows: 1}, effectiveLimits: {tasks: Unlimited}, openWindows: [night],
             conditions: []}
    """
    assert said(text, WorkflowQuota) == {"metadata.nam": 'unknown field; did you mean "name"?'}


def test_null_is_absent_where_a_field_is_optional_and_missing_where_it_is_not() -> None:
    """An empty `spec:` is null to YAML."""
    value = yaml.safe_load("{metadata: {name: a, namespace: null, labels: null}, spec: {limits: null}}")
    assert walk(value, WorkflowQuota) == []
    decoded = decode(value, WorkflowQuota)
    assert (decoded.metadata.namespace, decoded.metadata.labels) == ("default", {})
    assert said("{metadata: {name: a}, spec: }", WorkflowQuota) == {"spec": "is required, but null here"}


def test_argos_objects_may_have_any_other_field_but_not_another_type() -> None:
    """Only what Lockkeeper reads of a template is checked; Argo would crash on a wrong type there."""
    text = """
    metadata: {name: a, creationTimestamp: soon}
    spec:
      arguments: {}
      templates: [{name: a, container: {image: 1, command: [x]}, steps: [[{name: 5}], x]}]
    """
    assert list(said(text, TemplateObject)) == [
        "metadata.creationTimestamp",
        "spec.templates[0].container.image",
        "spec.templates[0].steps[0][0].name",
        "spec.templates[0].steps[1]",
    ]


def test_a_long_value_is_shown_in_part() -> None:
    """One error stays one line that can be read, also for integers that Python would not print."""
    (text,) = walk("x" * 1000, WorkflowQuota)
    (number,) = walk(10**5000, WorkflowQuota)
    assert len(text.message) < 120
    assert number.message == "must be a map; found the integer of many digits"


def test_a_type_the_walker_does_not_know_is_a_bug_that_shows() -> None:
    """A new kind of field in a policy struct must not go unchecked."""

    class Odd(msgspec.Struct):
        """Has a field that no policy has."""

        raw: bytes

    with pytest.raises(TypeError, match="does not know"):
        walk({"raw": "x"}, Odd)


def test_decoding_gives_enums() -> None:
    """The words of a file become the values that decisions compare with."""
    value = yaml.safe_load("{metadata: {name: a}, spec: {validate: {crossNamespace: Allow}}}")
    assert decode(value, SynchronizationPolicy).spec.validate.cross_namespace is CrossNamespace.ALLOW
