"""Each wrong lock is reported with where it is, what Argo would do, and what to write instead."""

from typing import Final

import pytest

from policy.core.decision.decision import Code, Reason
from policy.core.lock_checks.reference_faults import lock_faults
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import (
    NAMESPACE,
    cluster_lock_policy,
    config_map,
    definition,
    lock_policy,
    locks_of,
    semaphore,
    spec_of,
)

SOURCE: Final = "SynchronizationPolicy team-a/locks"
DEFINED: Final = lock_policy(semaphores=[definition("db"), definition("gpu")])
ANYTHING: Final = lock_policy(validate={"requireDefined": False})
OPEN: Final = lock_policy(validate={"requireDefined": False, "crossNamespace": "Allow"})
HERE: Final = "spec.templates[0].synchronization"
EMPTY_NAME: Final = "is empty; Argo ends such a Workflow with an error: give a name"


def _faults(spec: JsonObject, *documents: Document, argo: str = "4.1") -> list[Reason]:
    locks = locks_of(*documents, argo=argo)
    decoded = spec_of(spec)
    return list(lock_faults(decoded, all_bodies(decoded), Rulebook(locks, locks.active({}))))


def _leaf(block: JsonValue) -> JsonObject:
    return {"templates": [{"name": "load", "container": {"image": "a"}, "synchronization": block}]}


def _leaf_faults(block: JsonValue, *documents: Document, argo: str = "4.1") -> list[Reason]:
    return _faults(_leaf(block), *documents, argo=argo)


def _found(reasons: list[Reason]) -> list[tuple[Code, str]]:
    return [(each.code, each.field) for each in reasons]


@pytest.mark.parametrize("block", [None, {}, {"semaphores": None, "mutexes": None}, {"semaphores": []}])
def test_no_lock_is_no_fault(block: JsonValue) -> None:
    """Null and empty blocks hold nothing."""
    assert _leaf_faults(block, DEFINED) == []


def test_locks_that_are_defined_and_named_well_have_no_fault() -> None:
    """At the Workflow, on a template, inline, in the defaults; semaphores, mutexes, database locks."""
    locks: JsonObject = {
        "semaphores": [semaphore("db"), semaphore("gpu", namespace=NAMESPACE), {"database": {"key": "lab"}}],
        "mutexes": [{"name": "one"}, {"name": "two", "database": True}],
    }
    spec: JsonObject = {
        "synchronization": locks,
        "templateDefaults": {"synchronization": locks},
        "templates": [
            {"name": "a", "container": {"image": "a"}, "synchronization": locks},
            {"name": "d", "dag": {"tasks": [{"name": "t", "inline": {"synchronization": locks}}]}},
        ],
    }
    assert _faults(spec, DEFINED) == []


def test_an_undefined_semaphore_names_the_one_that_was_meant() -> None:
    """The whole reason of a typing error."""
    (fault,) = _leaf_faults({"semaphores": [semaphore("gpus")]}, DEFINED)
    assert fault == Reason(
        Code.LOCK_UNDEFINED,
        f"{HERE}.semaphores[0].configMapKeyRef.key",
        'semaphore "gpus" is not defined in ConfigMap team-a/limits; Argo would fail the Workflow. '
        'did you mean "gpu"?',
        SOURCE,
    )


def test_an_undefined_semaphore_names_the_keys_that_there_are() -> None:
    """Where nothing is near, people see what they may choose from, ten at most."""
    keys = [f"k{number:02}" for number in range(12)]
    policy = lock_policy(semaphores=[definition(key) for key in keys])
    (fault,) = _leaf_faults({"semaphores": [semaphore("something")]}, policy)
    assert fault.message == (
        'semaphore "something" is not defined in ConfigMap team-a/limits; Argo would fail the Workflow. '
        f"Known keys: {', '.join(keys[:10])}"
    )


def test_the_message_about_an_unknown_config_map_names_where_to_define_the_semaphore() -> None:
    """With nothing to suggest, the next thing to do is to define it."""
    (fault,) = _leaf_faults({"semaphores": [semaphore("db", "unknown")]}, DEFINED)
    assert fault.message == (
        'semaphore "db" is not defined in ConfigMap team-a/unknown; Argo would fail the Workflow. '
        "Define it there, or in a SynchronizationPolicy under spec.semaphores"
    )


@pytest.mark.parametrize("value", ["0", "-1", " 5", "5\n", "5.0", "", "99999999999999999999"])
def test_a_limit_that_argo_cannot_use_is_the_config_maps_fault(value: str) -> None:
    """It may be a secret, so it is not shown; users with access can read the ConfigMap."""
    found = f"the number {value}" if value in {"0", "-1"} else "a value that is no number"
    (fault,) = _leaf_faults({"semaphores": [semaphore("db")]}, lock_policy(), config_map(db=value))
    assert fault == Reason(
        Code.LOCK_LIMIT,
        f"{HERE}.semaphores[0].configMapKeyRef.key",
        f"ConfigMap team-a/limits has {found} for db; Argo needs an integer of 1 or more, digits only. "
        "Correct the ConfigMap",
        SOURCE,
    )


@pytest.mark.parametrize("value", ["1", "+5", "05", "3000000000"])
def test_a_limit_that_argo_reads_has_no_fault(value: str) -> None:
    """Signs and zeros in front are fine for Atoi."""
    assert _leaf_faults({"semaphores": [semaphore("db")]}, lock_policy(), config_map(db=value)) == []


def test_nothing_has_to_be_defined_where_no_policy_asks_for_it() -> None:
    """`requireDefined: false` leaves limits to Argo; one policy that requires it is enough."""
    block: JsonObject = {"semaphores": [semaphore("db")]}
    assert _leaf_faults(block, ANYTHING) == []
    assert _leaf_faults(block, ANYTHING, config_map(db="0")) == []
    (fault,) = _leaf_faults(block, ANYTHING, lock_policy("strict"))
    assert fault.policy == "SynchronizationPolicy team-a/strict"


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"mutexes": [{"name": ""}]}, "mutexes[0].name"),
        ({"mutexes": [{}]}, "mutexes[0].name"),
        ({"mutexes": [{"name": "ok"}, {"name": None, "database": True}]}, "mutexes[1].name"),
        ({"semaphores": [{"database": {"key": ""}}]}, "semaphores[0].database.key"),
        ({"semaphores": [{"database": {}}]}, "semaphores[0].database.key"),
        ({"semaphores": [semaphore("")]}, "semaphores[0].configMapKeyRef.key"),
        ({"semaphores": [semaphore("db", "")]}, "semaphores[0].configMapKeyRef.name"),
        ({"semaphores": [{"configMapKeyRef": {"key": "db"}}]}, "semaphores[0].configMapKeyRef.name"),
    ],
)
def test_an_empty_name_is_a_fault(block: JsonObject, field: str) -> None:
    """Argo panics on it; nothing else is reported about a lock without a name."""
    assert _leaf_faults(block, DEFINED) == [Reason(Code.LOCK_NAME, f"{HERE}.{field}", EMPTY_NAME, SOURCE)]


@pytest.mark.parametrize(
    ("ref", "field"),
    [
        (semaphore("a/b"), "key"),
        (semaphore("db", "a/b"), "name"),
    ],
)
def test_a_slash_in_a_config_map_semaphore_is_a_fault(ref: JsonObject, field: str) -> None:
    """Seen on Argo 4.1.2: Error, "unable to decode lock"."""
    message = '"a/b" contains "/", which Argo cannot decode: leave the slash out'
    assert _leaf_faults({"semaphores": [ref]}, DEFINED) == [
        Reason(Code.LOCK_NAME, f"{HERE}.semaphores[0].configMapKeyRef.{field}", message, SOURCE)
    ]


@pytest.mark.parametrize(
    "block", [{"mutexes": [{"name": "team/job"}]}, {"semaphores": [{"database": {"key": "team/job"}}]}]
)
def test_a_slash_in_a_mutex_or_database_name_is_no_fault(block: JsonObject) -> None:
    """DecodeLockName takes everything after the kind as the name, so these Workflows run."""
    assert _leaf_faults(block, DEFINED) == []


@pytest.mark.parametrize(
    "block",
    [
        {"mutexes": [{"name": "one", "namespace": "a/b"}]},
        {"semaphores": [{"database": {"key": "one"}, "namespace": "a/b"}]},
        {"semaphores": [semaphore("db", namespace="a/b")]},
    ],
)
def test_a_slash_in_the_namespace_of_a_lock_is_a_fault(block: JsonObject) -> None:
    """C.5: a slash in the namespace cannot be decoded either."""
    assert [each.code for each in _leaf_faults(block, OPEN)] == [Code.LOCK_NAME]


@pytest.mark.parametrize(
    "ref", [{}, {"configMapKeyRef": {"name": "limits", "key": "db"}, "database": {"key": "x"}}]
)
def test_a_semaphore_is_of_a_config_map_or_of_the_database(ref: JsonObject) -> None:
    """Neither and both end the Workflow with an error."""
    message = "needs exactly one of configMapKeyRef and database: Argo ends the Workflow with an error"
    assert _leaf_faults({"semaphores": [ref]}, DEFINED) == [
        Reason(Code.LOCK_NAME, f"{HERE}.semaphores[0]", message, SOURCE)
    ]


def test_a_key_that_does_not_follow_the_naming_rule_is_a_fault_of_each_policy_that_has_one() -> None:
    """The rule is shown as its author wrote it."""
    documents = [
        lock_policy(validate={"requireDefined": False, "keyPattern": "<resource-type>-<purpose>"}),
        lock_policy("z", validate={"requireDefined": False, "keyPattern": "^db"}),
    ]
    where = f"{HERE}.semaphores[0].configMapKeyRef.key"
    assert _leaf_faults({"semaphores": [semaphore("GPU")]}, *documents) == [
        Reason(
            Code.LOCK_NAME,
            where,
            'key "GPU" does not follow the naming rule <resource-type>-<purpose>; rename it',
            SOURCE,
        ),
        Reason(
            Code.LOCK_NAME,
            where,
            'key "GPU" does not follow the naming rule ^db; rename it',
            "SynchronizationPolicy team-a/z",
        ),
    ]
    assert _leaf_faults({"semaphores": [semaphore("db-load")]}, *documents) == []


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"mutexes": [{"name": "one", "namespace": "team-b"}]}, "mutexes[0]"),
        ({"semaphores": [{"database": {"key": "one"}, "namespace": "team-b"}]}, "semaphores[0]"),
        ({"semaphores": [semaphore("db", namespace="team-b")]}, "semaphores[0]"),
    ],
)
def test_a_lock_of_another_namespace_is_refused_unless_all_policies_allow_it(
    block: JsonObject, field: str
) -> None:
    """Deny is the default, and one policy that denies is enough."""
    message = 'locks of namespace "team-b" are not open to "team-a"; use one of your own namespace'
    strict = lock_policy("strict", validate={"requireDefined": False})
    wanted = Reason(
        Code.LOCK_NAMESPACE, f"{HERE}.{field}.namespace", message, "SynchronizationPolicy team-a/strict"
    )
    assert _leaf_faults(block, OPEN) == []
    assert _leaf_faults(block, OPEN, strict) == [wanted]


def test_an_allowed_lock_of_another_namespace_is_looked_up_there() -> None:
    """The limit that counts is in the namespace that the lock names."""
    allowed = lock_policy(validate={"crossNamespace": "Allow"})
    there = lock_policy("there", namespace="team-b", semaphores=[definition("db")])
    block: JsonObject = {"semaphores": [semaphore("db", namespace="team-b")]}
    assert _leaf_faults(block, allowed, there) == []
    (fault,) = _leaf_faults(
        block,
        allowed,
        lock_policy("here", semaphores=[definition("db")], validate={"crossNamespace": "Allow"}),
    )
    assert fault.message == (
        'semaphore "db" of ConfigMap team-b/limits is not defined, or no number of 1 or more; Argo would '
        "fail the Workflow. Have it defined there, or use another"
    )


def test_the_own_namespace_by_name_is_not_another_one() -> None:
    """Naming it is the same as leaving it out."""
    assert _leaf_faults({"mutexes": [{"name": "one", "namespace": NAMESPACE}]}, DEFINED) == []


@pytest.mark.parametrize(
    "ref",
    [
        semaphore("{{inputs.parameters.key}}"),
        semaphore("{{= inputs.parameters.env == 'prod' ? 'a/b' : 'c'}}"),
        semaphore("db", "{{workflow.parameters.map}}"),
    ],
)
def test_a_name_that_argo_fills_in_at_run_time_is_not_checked(ref: JsonObject) -> None:
    """Neither definition nor naming rule can be checked before the name is known."""
    policy = lock_policy(validate={"keyPattern": "<one>-<two>"})
    assert _leaf_faults({"semaphores": [ref]}, policy) == []


def test_parameterised_mutexes_and_database_keys_are_not_checked() -> None:
    """A slash in an expression is a division."""
    block: JsonObject = {
        "mutexes": [{"name": "{{=a/b}}"}],
        "semaphores": [{"database": {"key": "{{workflow.name}}/x"}}],
    }
    assert _leaf_faults(block, DEFINED) == []


def test_a_parameterised_namespace_is_foreign_until_it_is_allowed() -> None:
    """What may become any namespace is no way around Deny; where it is allowed, nothing is looked up."""
    block: JsonObject = {"semaphores": [semaphore("unknown", namespace="{{workflow.parameters.ns}}")]}
    assert [each.code for each in _leaf_faults(block, ANYTHING)] == [Code.LOCK_NAMESPACE]
    assert _leaf_faults(block, lock_policy(validate={"crossNamespace": "Allow"})) == []


@pytest.mark.parametrize("argo", ["4.0", "4.1"])
@pytest.mark.parametrize(
    ("field", "plural", "ref"),
    [("semaphore", "semaphores", semaphore("db")), ("mutex", "mutexes", {"name": "one"})],
)
def test_the_single_form_is_a_fault_since_argo_4(argo: str, field: str, plural: str, ref: JsonObject) -> None:
    """Argo 4 drops it without a word, so the text shows the form that works."""
    message = (
        f'Argo {argo} drops "{field}" and would run this unlocked; write it as a list: "{plural}: [...]"'
    )
    assert _leaf_faults({field: ref}, DEFINED, argo=argo) == [
        Reason(Code.LOCK_FORM, f"{HERE}.{field}", message, SOURCE)
    ]


@pytest.mark.parametrize("argo", ["3.4", "3.5"])
@pytest.mark.parametrize(
    ("field", "single", "refs"),
    [
        ("semaphores", "semaphore", [semaphore("db")]),
        ("mutexes", "mutex", [{"name": "one"}]),
        ("mutexes", "mutex", []),
    ],
)
def test_the_list_form_is_a_fault_before_argo_3_6(
    argo: str, field: str, single: str, refs: list[JsonValue]
) -> None:
    """Argo 3.5 fails such a Workflow at run time, even for an empty list."""
    message = (
        f'Argo {argo} does not know "{field}" (it came with 3.6) and would fail this; '
        f'write a single "{single}"'
    )
    assert _leaf_faults({field: refs}, DEFINED, argo=argo) == [
        Reason(Code.LOCK_FORM, f"{HERE}.{field}", message, SOURCE)
    ]


@pytest.mark.parametrize("argo", ["3.6", "3.7"])
def test_argo_3_6_and_3_7_read_both_forms(argo: str) -> None:
    """Both are concatenated there, so both are checked and neither is a fault."""
    both: JsonObject = {
        "semaphore": semaphore("db"),
        "semaphores": [semaphore("gpu")],
        "mutex": {"name": "one"},
    }
    assert _leaf_faults(both, DEFINED, argo=argo) == []
    wrong: JsonObject = {"semaphore": semaphore(""), "mutexes": [{}], "mutex": {}}
    assert _found(_leaf_faults(wrong, DEFINED, argo=argo)) == [
        (Code.LOCK_NAME, f"{HERE}.mutexes[0].name"),
        (Code.LOCK_NAME, f"{HERE}.semaphore.configMapKeyRef.key"),
        (Code.LOCK_NAME, f"{HERE}.mutex.name"),
    ]


@pytest.mark.parametrize("argo", ["3.4", "3.5"])
@pytest.mark.parametrize("field", ["semaphore", "mutex"])
def test_the_single_form_is_right_before_argo_3_6(argo: str, field: str) -> None:
    """It is the only one there."""
    ref: JsonObject = semaphore("db") if field == "semaphore" else {"name": "one"}
    assert _leaf_faults({field: ref}, DEFINED, argo=argo) == []


@pytest.mark.parametrize("argo", ["3.4", "3.5"])
def test_a_semaphore_and_a_mutex_together_are_a_fault_before_argo_3_6(argo: str) -> None:
    """C.1: exactly one lock; the mutex is silently ignored and would run unlocked."""
    message = f"Argo {argo} takes one lock and ignores the mutex beside a semaphore; remove one of them"
    both: JsonObject = {"semaphore": semaphore("db"), "mutex": {"name": "one"}}
    assert _leaf_faults(both, DEFINED, argo=argo) == [
        Reason(Code.LOCK_FORM, f"{HERE}.mutex", message, SOURCE)
    ]


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"semaphores": [{"database": {"key": "x"}}]}, "semaphores[0].database"),
        ({"mutexes": [{"name": "x", "database": True}]}, "mutexes[0].database"),
    ],
)
def test_a_database_lock_is_a_fault_before_argo_3_7(block: JsonObject, field: str) -> None:
    """C.1: Argo 3.6 does not know the field; a mutex that is none of the database's is fine."""
    message = "Argo 3.6 knows no locks in a database (they came with 3.7); use a ConfigMap or a mutex"
    assert _leaf_faults(block, DEFINED, argo="3.6") == [
        Reason(Code.LOCK_FORM, f"{HERE}.{field}", message, SOURCE)
    ]
    assert _leaf_faults(block, DEFINED, argo="3.7") == []
    assert _leaf_faults({"mutexes": [{"name": "x", "database": False}]}, DEFINED, argo="3.6") == []


def test_the_namespace_of_a_lock_is_a_fault_before_argo_3_5() -> None:
    """C.1: 3.4 drops it and locks something else."""
    message = "Argo 3.4 drops it (it came with 3.5) and takes a lock of the Workflow's own namespace"
    block: JsonObject = {"mutex": {"name": "one", "namespace": "team-b"}}
    assert _leaf_faults(block, OPEN, argo="3.4") == [
        Reason(Code.LOCK_FORM, f"{HERE}.mutex.namespace", message, SOURCE)
    ]
    assert _leaf_faults(block, OPEN, argo="3.5") == []


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ({"semaphores": [semaphore("db"), semaphore("gpu"), semaphore("db")]}, "semaphores[2]"),
        ({"mutexes": [{"name": "one"}, {"name": "two"}, {"name": "one"}]}, "mutexes[2]"),
    ],
)
def test_the_same_lock_twice_in_one_block_is_a_fault(block: JsonObject, field: str) -> None:
    """Argo-verified 3: "duplicate synchronization item found"."""
    first = f"{HERE}.{field.replace('2', '0')}"
    message = f"is the same lock as {first}; Argo would end the Workflow: remove one"
    assert _leaf_faults(block, DEFINED) == [Reason(Code.LOCK_NAME, f"{HERE}.{field}", message, SOURCE)]


@pytest.mark.parametrize(
    "block",
    [
        {"semaphores": [semaphore("db"), semaphore("db", namespace=NAMESPACE)]},
        {"semaphores": [semaphore("db"), semaphore("gpu")]},
        {"semaphores": [{"database": {"key": "x"}}], "mutexes": [{"name": "x"}]},
    ],
)
def test_locks_that_are_not_identical_are_no_duplicates(block: JsonObject) -> None:
    """Argo-verified 3: the own namespace spelled out is accepted and runs."""
    assert _leaf_faults(block, DEFINED) == []


@pytest.mark.parametrize(
    ("caller", "kind", "pointer"),
    [
        (
            {"dag": {"tasks": [{"name": "ok"}, {"name": "t", "template": "load", "synchronization": {}}]}},
            "DAG task",
            "dag.tasks[1]",
        ),
        (
            {"steps": [[{"name": "ok"}], [{"name": "t", "template": "load", "synchronization": {}}]]},
            "step",
            "steps[1][0]",
        ),
    ],
)
def test_a_lock_on_a_task_or_step_belongs_on_its_template(
    caller: JsonObject, kind: str, pointer: str
) -> None:
    """Argo drops it there; the text names the template that it belongs to."""
    message = (
        f'a {kind} ("t") cannot hold a lock: Argo drops it and runs unlocked. Move it to the template "load" '
        "(spec.templates[name=load].synchronization)"
    )
    assert _faults({"templates": [{"name": "main", **caller}]}, DEFINED) == [
        Reason(Code.LOCK_PLACE, f"spec.templates[0].{pointer}.synchronization", message, SOURCE)
    ]


def test_a_lock_on_a_task_with_an_inline_template_belongs_into_it() -> None:
    """The text gives the very path."""
    task: JsonObject = {"name": "t", "synchronization": {}, "inline": {"container": {"image": "a"}}}
    (fault,) = _faults({"templates": [{"name": "main", "dag": {"tasks": [task]}}]}, DEFINED)
    assert fault.message == (
        'a DAG task ("t") cannot hold a lock: Argo drops it and runs unlocked. Move it to its inline '
        "template (spec.templates[0].dag.tasks[0].inline.synchronization)"
    )


def test_a_lock_on_a_task_with_a_template_ref_belongs_to_that_template() -> None:
    """It lies in another object, which has no path here."""
    task: JsonObject = {"name": "t", "synchronization": {}, "templateRef": {"name": "x", "template": "y"}}
    (fault,) = _faults({"templates": [{"name": "main", "steps": [[task]]}]}, DEFINED)
    assert fault.message == (
        'a step ("t") cannot hold a lock: Argo drops it and runs unlocked. Move it to the template that it '
        "refers to"
    )


def test_misplaced_and_wrong_locks_are_found_inside_inline_templates() -> None:
    """Steps in a task, a task in a step: every level is walked."""
    inner: JsonObject = {"container": {"image": "a"}, "synchronization": {"mutexes": [{}]}}
    task: JsonObject = {
        "name": "outer",
        "inline": {"steps": [[{"name": "inner", "synchronization": {"mutexes": []}, "inline": inner}]]},
    }
    base = "spec.templates[0].dag.tasks[0].inline.steps[0][0]"
    found = _found(_faults({"templates": [{"name": "main", "dag": {"tasks": [task]}}]}, DEFINED))
    assert found == [
        (Code.LOCK_PLACE, f"{base}.synchronization"),
        (Code.LOCK_NAME, f"{base}.inline.synchronization.mutexes[0].name"),
    ]


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"synchronization": {"mutexes": [{}]}}, "spec.synchronization"),
        (
            {"templateDefaults": {"synchronization": {"mutexes": [{}]}}},
            "spec.templateDefaults.synchronization",
        ),
        (
            {"templates": [{"name": "d", "dag": {"tasks": []}, "synchronization": {"mutexes": [{}]}}]},
            "spec.templates[0].synchronization",
        ),
    ],
)
def test_locks_are_checked_wherever_they_may_be_written(spec: JsonObject, where: str) -> None:
    """At the Workflow, in the template defaults, on a DAG as a whole."""
    assert _found(_faults(spec, DEFINED)) == [(Code.LOCK_NAME, f"{where}.mutexes[0].name")]


def test_all_faults_are_reported_at_once_in_the_order_of_the_object() -> None:
    """A user need not submit a Workflow once for each mistake."""
    spec: JsonObject = {
        "synchronization": {"mutex": {"name": "one"}},
        **_leaf(
            {"semaphores": [semaphore("nope"), {}, semaphore("db", namespace="team-b")], "mutexes": [{}]}
        ),
    }
    assert _found(_faults(spec, DEFINED)) == [
        (Code.LOCK_FORM, "spec.synchronization.mutex"),
        (Code.LOCK_UNDEFINED, f"{HERE}.semaphores[0].configMapKeyRef.key"),
        (Code.LOCK_NAME, f"{HERE}.semaphores[1]"),
        (Code.LOCK_NAMESPACE, f"{HERE}.semaphores[2].namespace"),
        (Code.LOCK_NAME, f"{HERE}.mutexes[0].name"),
    ]


def test_a_cluster_policy_applies_to_its_namespaces() -> None:
    """The source of a fault is the policy that people have to talk to."""
    (fault,) = _leaf_faults({"mutexes": [{}]}, cluster_lock_policy())
    assert fault.policy == "ClusterSynchronizationPolicy everywhere"
