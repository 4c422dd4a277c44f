"""Findings of the template graph become reasons and warnings of a review, by policy."""

from typing import Final

import msgspec
import pytest

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Decision, Operation, Outcome, Review, Side
from policy.core.lock_checks.graph_findings import added_by, review_graph
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_graph.run_sources import template_owner
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp
from policy.core.objects.read_extent import ONLY_FILES
from policy.core.objects.template_keys import ObjectKind
from policy.core.policies.snapshot import Compiled, Document, Snapshot
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    cluster_lock_policy,
    config_map,
    definition,
    lock_policy,
    locks_of,
    mutate,
    semaphore,
    snapshot,
    spec_of,
    template_object,
    validate,
    workflow,
)
from tests.policy.core.lock_graph.graphs import (
    arguments,
    calling,
    calling_other,
    dag,
    inputs,
    leaf,
    mutexes,
    steps,
)

SOURCE: Final = "SynchronizationPolicy team-a/locks"
HANGS: Final[JsonObject] = {
    "entrypoint": "main",
    "templates": [dag("main", calling("load"), mutexes=("db",)), leaf("load", "db")],
}
MAYBE: Final[JsonObject] = {
    "entrypoint": "main",
    "templates": [dag("main", calling("load", when="maybe"), mutexes=("db",)), leaf("load", "db")],
}
LOST: Final[JsonObject] = {"entrypoint": "main", "templates": [dag("main", calling("gone"))]}


def _policies(*documents: Document, **rules: JsonValue) -> Snapshot:
    return snapshot(lock_policy(validate=rules), *documents)


def _summary(decision: Decision) -> tuple[list[Code], int]:
    return [each.code for each in decision.reasons], len(decision.warnings)


@pytest.mark.parametrize(
    ("rules", "certain", "possible"),
    [
        ({}, ([Code.DEADLOCK], 0), ([], 1)),
        ({"deadlocks": "Warn"}, ([], 1), ([], 1)),
        ({"deadlocks": "Ignore"}, ([], 0), ([], 0)),
    ],
)
def test_certain_deadlocks_are_denied_and_possible_ones_warned_by_policy(
    rules: JsonObject, certain: tuple[list[Code], int], possible: tuple[list[Code], int]
) -> None:
    """The default severity is Deny."""
    assert _summary(mutate(workflow(HANGS), _policies(**rules))) == certain
    assert _summary(mutate(workflow(MAYBE), _policies(**rules))) == possible


def test_both_sides_refuse_a_certain_deadlock_and_only_the_first_warns() -> None:
    """The validating side decides the same, and repeats no warning."""
    assert validate(workflow(HANGS), _policies()).outcome is Outcome.DENIED
    assert _summary(validate(workflow(MAYBE), _policies())) == ([], 0)


def test_the_strictest_policy_counts() -> None:
    """And the reason names it."""
    policies = snapshot(
        lock_policy("a", validate={"deadlocks": "Ignore"}), lock_policy("b", validate={"deadlocks": "Deny"})
    )
    (reason,) = mutate(workflow(HANGS), policies).reasons
    assert reason.policy == "SynchronizationPolicy team-a/b"
    assert reason.field == "spec.templates[1].synchronization.mutexes[0]"
    assert reason.message.startswith("deadlock: load takes team-a/Mutex/db, which main above it holds")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, ([], 1)),
        ({"unknownReferences": "Deny"}, ([Code.UNKNOWN_REFERENCE], 0)),
        ({"unknownReferences": "Ignore"}, ([], 0)),
    ],
)
def test_unknown_references_are_warned_of_unless_a_policy_sets_another_severity(
    rules: JsonObject, said: tuple[list[Code], int]
) -> None:
    """GitOps may create the template later; what is missing in the object itself is never created."""
    assert _summary(mutate(workflow(LOST), _policies(**rules))) == said


def test_references_to_other_objects_are_checked_where_the_cluster_is_known() -> None:
    """A folder of policies without any template does not show which templates exist."""
    spec: JsonObject = {"entrypoint": "main", "templates": [dag("main", calling_other("gone", "x"))]}
    assert _summary(mutate(workflow(spec), _policies())) == ([], 0)
    known = template_object("there", {"templates": [leaf("x")]})
    (warning,) = mutate(workflow(spec), _policies(known)).warnings
    assert warning == (
        "lockkeeper: spec.templates[0].dag.tasks[0].templateRef: WorkflowTemplate gone does not exist, and "
        "Argo would end the Workflow with an error; if it is created later, do so before this runs"
    )


@pytest.mark.parametrize(
    ("spec", "field", "what", "fix"),
    [
        (
            {"entrypoint": "mian", "templates": [leaf("main")]},
            "spec.entrypoint",
            'template "mian" of Workflow build',
            ': did you mean "main"?',
        ),
        (
            {
                "entrypoint": "main",
                "templates": [dag("main", calling("t", "a"), calling("t", dependencies=["aa"])), leaf("t")],
            },
            "spec.templates[0].dag.tasks[1].dependencies[0]",
            'task "aa" of main',
            ': did you mean "a"?',
        ),
        (
            {"entrypoint": "main", "templates": [steps("main", [calling_other("there", "why")])]},
            "spec.templates[0].steps[0][0].templateRef.template",
            'template "why" of WorkflowTemplate there',
            "; if it is added later, do so before this runs",
        ),
        (
            {"workflowTemplateRef": {"name": "nowhere"}, "entrypoint": "main"},
            "spec.workflowTemplateRef",
            "WorkflowTemplate nowhere",
            "; if it is created later, do so before this runs",
        ),
    ],
    ids=["entrypoint", "dependency", "templateRef", "workflowTemplateRef"],
)
def test_each_kind_of_reference_is_told_with_what_was_meant(
    spec: JsonObject, field: str, what: str, fix: str
) -> None:
    """Also where no lock needs a look at the graph."""
    known = template_object("there", {"templates": [leaf("x")]})
    ends = "does not exist, and Argo would end the Workflow with an error"
    (warning,) = mutate(workflow(spec), _policies(known)).warnings
    assert warning == f"lockkeeper: {field}: {what} {ends}{fix}"


def test_where_only_files_are_known_another_object_may_be_in_the_cluster() -> None:
    """It is not called missing, and no policy refuses it; a template that a file lacks is refused."""
    known = template_object("there", {"templates": [leaf("x")]})
    policies = _policies(known, unknownReferences="Deny")
    files = msgspec.structs.replace(policies, extent=ONLY_FILES, compiled=Compiled())
    gone: JsonObject = {"entrypoint": "main", "templates": [dag("main", calling_other("gone", "x"))]}
    (warning,) = mutate(workflow(gone), files).warnings
    assert warning == (
        "lockkeeper: spec.templates[0].dag.tasks[0].templateRef: WorkflowTemplate gone is not among the "
        "files; if the cluster has none either, Argo would end the Workflow with an error, and the policy "
        "refuses it"
    )
    assert mutate(workflow(gone), policies).outcome is Outcome.DENIED
    lacks: JsonObject = {"entrypoint": "main", "templates": [dag("main", calling_other("there", "y"))]}
    assert mutate(workflow(lacks), files).outcome is Outcome.DENIED


def test_an_injected_lock_counts_as_if_it_were_there() -> None:
    """A lock that a patch puts on a leaf below its holder is a deadlock before it is written."""
    spec = spec_of(
        {"entrypoint": "main", "templates": [dag("main", calling("load"), mutexes=("db",)), leaf("load")]}
    )
    policies = snapshot(lock_policy())
    locks = locks_of(lock_policy())
    rulebook = Rulebook(locks, locks.active({}))
    owner = template_owner(ObjectKind.WORKFLOW, "it", spec)
    put = PatchOp(Op.ADD, "/spec/templates/1/synchronization", mutexes("db"))
    assert review_graph(owner, all_bodies(spec), rulebook, policies.library).reasons == ()
    (reason,) = review_graph(owner, all_bodies(spec), rulebook, policies.library, [put]).reasons
    assert reason.code is Code.DEADLOCK
    layer = PatchOp(Op.ADD, "/spec/templates/-", leaf("more"))
    assert review_graph(owner, all_bodies(spec), rulebook, policies.library, [put, layer]).reasons == ()


def test_a_deadlock_inside_a_referenced_template_is_reported_with_its_object() -> None:
    """The Workflow has no lock itself; it would hang all the same."""
    other = template_object("other", HANGS)
    spec: JsonObject = {"workflowTemplateRef": {"name": "other"}}
    (reason,) = mutate(workflow(spec), _policies(other)).reasons
    assert reason.field == "spec"
    assert reason.message.startswith(
        "deadlock: WorkflowTemplate other spec.templates[1].synchronization.mutexes[0]: load takes"
    )


def _nested(outer: str, inner: str) -> JsonObject:
    return {
        "entrypoint": "main",
        "templates": [dag("main", calling("load"), mutexes=(outer,)), leaf("load", inner)],
    }


def test_two_objects_that_nest_locks_in_different_orders_are_warned_of() -> None:
    """The Workflow takes b inside a, a stored template a inside b."""
    other = template_object("other", _nested("b", "a"))
    (warning,) = mutate(workflow(_nested("a", "b")), _policies(other)).warnings
    assert "team-a/Mutex/b is taken inside team-a/Mutex/a by load of Workflow" in warning
    assert "team-a/Mutex/a is taken inside team-a/Mutex/b by load of WorkflowTemplate other" in warning
    assert _summary(mutate(workflow(_nested("b", "a")), _policies(other))) == ([], 0)


def test_templates_behind_one_lock_run_one_after_another() -> None:
    """Both take the same mutex first, so neither can stop half way of the other."""

    def gated(outer: str, inner: str) -> JsonObject:
        return {**_nested(outer, inner), "synchronization": mutexes("gate")}

    assert _summary(mutate(workflow(gated("a", "b")), _policies(template_object("o", gated("b", "a"))))) == (
        [],
        0,
    )


def _reviewed(spec: JsonObject, policies: Snapshot, kind: ObjectKind, namespace: str) -> Decision:
    review = Review(
        uid="u",
        side=Side.MUTATE,
        operation=Operation.CREATE,
        namespace=namespace,
        user="ann",
        dry_run=False,
        workflow=None,
        kind=kind,
        template=template_object("one", spec, kind=kind.value, namespace=namespace or None),
    )
    return apply_policies(review, policies, NOW)


def test_what_a_template_of_the_cluster_needs_of_a_namespace_is_not_known() -> None:
    """The namespace that runs it decides its ConfigMaps and the WorkflowTemplates it calls; not its locks."""
    policies = snapshot(
        cluster_lock_policy(match={"kinds": ["ClusterWorkflowTemplate"]}),
        template_object(
            "same-name", {"templates": [leaf("x")]}, kind="ClusterWorkflowTemplate", namespace=None
        ),
    )
    kind = ObjectKind.CLUSTER_WORKFLOW_TEMPLATE
    open_: JsonObject = {
        "templates": [dag("main", calling_other("same-name", "y"), calling("load")), _keyed("k")]
    }
    assert _summary(_reviewed(open_, policies, kind, "")) == ([], 0)
    assert _summary(_reviewed(HANGS, policies, kind, "")) == ([Code.DEADLOCK], 0)
    lost: JsonObject = {"templates": [dag("main", calling_other("gone", "y", cluster=True))]}
    assert _summary(_reviewed(lost, policies, kind, "")) == ([], 1)


def test_a_template_object_is_checked_by_itself_and_against_the_others() -> None:
    """Its own older form does not count."""
    stored = [template_object("one", _nested("a", "b")), template_object("two", _nested("b", "a"))]
    policies = snapshot(lock_policy(match={"kinds": ["WorkflowTemplate"]}), *stored)

    def reviewed(spec: JsonObject) -> Decision:
        return _reviewed(spec, policies, ObjectKind.WORKFLOW_TEMPLATE, NAMESPACE)

    assert _summary(reviewed(_nested("b", "a"))) == ([], 0)
    assert _summary(reviewed(_nested("a", "b"))) == ([], 1)
    assert _summary(reviewed(HANGS)) == ([Code.DEADLOCK], 0)
    both: JsonObject = {"templates": [leaf("x", "db")], "synchronization": mutexes("db")}
    assert _summary(reviewed(both)) == ([], 0)  # It is unknown whether such a run begins with x.
    assert _summary(reviewed({**both, "entrypoint": "x"})) == ([Code.DEADLOCK], 0)


def _keyed(key: str, **more: JsonValue) -> JsonObject:
    block: JsonObject = {"semaphores": [semaphore(key)]}
    return {**leaf("load"), "synchronization": block, **more}


def test_a_name_is_checked_with_the_value_of_its_parameter() -> None:
    """A value of the Workflow, and one that a task passes to an input."""
    policies = snapshot(lock_policy(semaphores=[definition("db-sales")]))
    spec: JsonObject = {
        "entrypoint": "main",
        "arguments": arguments(env="stock"),
        "templates": [
            dag(
                "main",
                calling("load", "one", arguments=arguments(table="sales")),
                calling("load", "two", arguments=arguments(table="{{workflow.parameters.env}}")),
            ),
            _keyed("db-{{inputs.parameters.table}}", inputs=inputs("table")),
        ],
    }
    (reason,) = mutate(workflow(spec), policies).reasons
    assert reason.code is Code.LOCK_UNDEFINED
    assert reason.field == "spec.templates[1].synchronization.semaphores[0].configMapKeyRef.key"
    assert reason.message.startswith('semaphore "db-stock" is not defined in ConfigMap team-a/limits')


def test_parameters_that_are_passed_to_another_object_are_checked_here() -> None:
    """The template cannot know what it will be given."""
    other = template_object(
        "other", {"templates": [_keyed("{{inputs.parameters.key}}", inputs=inputs("key"))]}
    )
    task = calling_other("other", "load", arguments=arguments(key="gone"))
    spec: JsonObject = {"entrypoint": "main", "templates": [dag("main", task)]}
    policies = snapshot(lock_policy(semaphores=[definition("db")]), other)
    (reason,) = mutate(workflow(spec), policies).reasons
    assert (reason.code, reason.field) == (Code.LOCK_UNDEFINED, "spec")
    assert reason.message.startswith("WorkflowTemplate other spec.templates[0].synchronization.semaphores[0]")


def test_both_keys_of_a_condition_are_checked() -> None:
    """A conditional key takes one of two semaphores."""
    key = "{{= workflow.parameters.env == 'prod' ? 'db' : 'gone'}}"
    spec: JsonObject = {"entrypoint": "load", "templates": [_keyed(key)]}
    policies = snapshot(lock_policy(validate={"allowParameterised": "Deny"}), config_map(db="1"))
    (reason,) = mutate(workflow(spec), policies).reasons
    assert 'semaphore "gone"' in reason.message


@pytest.mark.parametrize(
    ("key", "rules", "codes"),
    [
        ("db-{{workflow.parameters.x}}", {}, []),
        ("db-{{workflow.parameters.x}}", {"keyPattern": "<kind>-<name>"}, []),
        ("{{workflow.parameters.x}}", {"keyPattern": "<kind>-<name>"}, [Code.LOCK_NAME]),
        ("{{workflow.parameters.x}}", {"keyPattern": "^[a-z]+$"}, []),
        ("DB_{{workflow.parameters.x}}", {"keyPattern": "^[a-z]+$"}, [Code.LOCK_NAME]),
        ("DB_{{workflow.parameters.x}}", {"keyPattern": "^[a-z]+$", "allowParameterised": "Allow"}, []),
        ("db-{{workflow.parameters.x}}", {"allowParameterised": "Deny"}, [Code.LOCK_NAME]),
    ],
)
def test_a_name_that_is_not_known_is_allowed_by_policy(
    key: str, rules: JsonObject, codes: list[Code]
) -> None:
    """In templates that the run reaches and in others."""
    for entrypoint in ("load", "other"):
        spec: JsonObject = {"entrypoint": entrypoint, "templates": [_keyed(key), leaf("other")]}
        decision = mutate(workflow(spec), _policies(**rules))
        assert [each.code for each in decision.reasons] == codes


def test_locks_that_a_patch_adds_are_read_from_it() -> None:
    """Whole blocks, lists, items; a patch of anything else makes another graph."""
    at = "/spec/templates/0/synchronization"
    name: JsonObject = {"name": "a"}
    assert added_by([PatchOp(Op.ADD, at, {"mutexes": [name]})], "n") == {"/spec/templates/0": ("n/Mutex/a",)}
    assert added_by([PatchOp(Op.ADD, f"{at}/mutexes", [name])], "n") == {"/spec/templates/0": ("n/Mutex/a",)}
    assert added_by([PatchOp(Op.ADD, f"{at}/mutexes/-", name)], "n") == {"/spec/templates/0": ("n/Mutex/a",)}
    assert added_by([PatchOp(Op.ADD, "/spec/templates/1", {})], "n") is None
    assert added_by([PatchOp(Op.REMOVE, at)], "n") is None


def test_the_locks_that_an_object_has_are_looked_at_beside_templates_that_are_added() -> None:
    """Whoever asks one side alone, as lint and review do, is told of the deadlock in his file."""
    main = steps("main", [calling("load")], [calling("own")], synchronization=mutexes("own"))
    templates: list[JsonValue] = [main, leaf("load"), leaf("own", "own")]
    obj = workflow({"entrypoint": "main", "templates": templates})
    wanted: JsonObject = {"name": "r", "templates": {"names": ["load"]}, "lock": {"mutex": "db"}}
    for strategy in ("Auto", "Wrapper"):
        decision = mutate(obj, snapshot(lock_policy(inject=[{**wanted, "strategy": strategy}])))
        assert [each.code for each in decision.reasons] == [Code.DEADLOCK]
