"""A lock in a wrong block, one level too high, or under a wrong name is told, with its right place."""

from typing import Any

import msgspec
import pytest

from policy.core.argo_types.decodability import MAX_MISMATCHES, MAX_UNKNOWN, NOTHING_WRONG, examine, report_of
from policy.core.argo_types.lost_locks import lock_word
from policy.core.objects.json_patch import JsonObject, JsonValue

BLOCK: JsonObject = {"mutexes": [{"name": "db"}]}
TEMPLATE = "spec.templates[0]"


def lost(obj: JsonObject, kind: str = "Workflow") -> list[tuple[str, str]]:
    """Return the field of each lock that is dropped, and what to write."""
    report = examine(kind, msgspec.json.encode(obj))
    assert report == report_of(kind, obj)
    return [(each.path, each.message.partition("runs unlocked: ")[2]) for each in report.lost_locks]


def of_template(**fields: Any) -> list[tuple[str, str]]:
    """Return the same of a Workflow with one template, with paths below the template."""
    found = lost({"spec": {"templates": [{"name": "main", **fields}]}})
    return [(path.removeprefix(f"{TEMPLATE}."), fix) for path, fix in found]


@pytest.mark.parametrize(
    "block",
    ["container", "script", "dag", "resource", "metadata", "inputs", "retryStrategy", "suspend", "http"],
)
def test_a_block_of_a_template_holds_no_lock(block: str) -> None:
    """The template does, beside the block."""
    assert of_template(**{block: {"synchronization": BLOCK}}) == [
        (f"{block}.synchronization", f"write it as {TEMPLATE}.synchronization")
    ]


@pytest.mark.parametrize(
    ("kind", "obj", "path", "fix"),
    [
        ("Workflow", {"synchronization": BLOCK}, "synchronization", "spec.synchronization"),
        (
            "ClusterWorkflowTemplate",
            {"metadata": {"synchronization": BLOCK}},
            "metadata.synchronization",
            "spec.synchronization",
        ),
        (
            "CronWorkflow",
            {"spec": {"synchronization": BLOCK}},
            "spec.synchronization",
            "spec.workflowSpec.synchronization",
        ),
        ("CronWorkflow", {"mutexes": [1]}, "mutexes", "spec.workflowSpec.synchronization.mutexes"),
        (
            "CronWorkflow",
            {"spec": {"workflowMetadata": {"synchronization": BLOCK}}},
            "spec.workflowMetadata.synchronization",
            "spec.workflowSpec.synchronization",
        ),
        (
            "WorkflowTemplate",
            {"spec": {"podMetadata": {"synchronization": BLOCK}}},
            "spec.podMetadata.synchronization",
            "spec.synchronization",
        ),
        (
            "WorkflowTemplate",
            {"spec": {"templateDefaults": {"container": {"synchronization": BLOCK}}}},
            "spec.templateDefaults.container.synchronization",
            "spec.templateDefaults.synchronization",
        ),
    ],
)
def test_nor_does_what_is_around_a_spec(kind: str, obj: JsonObject, path: str, fix: str) -> None:
    """One level above, beside it, in metadata."""
    assert lost(obj, kind) == [(path, f"write it as {fix}")]


@pytest.mark.parametrize(
    ("kind", "obj", "path", "fix"),
    [
        (
            "WorkflowTemplate",
            {"spec": {"workflowSpec": {"synchronization": BLOCK}}},
            "spec.workflowSpec.synchronization",
            "spec.synchronization",
        ),
        (
            "Workflow",
            {"spec": {"templates": [{"inline": {"synchronization": BLOCK}}]}},
            f"{TEMPLATE}.inline.synchronization",
            f"{TEMPLATE}.synchronization",
        ),
    ],
)
def test_a_whole_block_below_a_field_that_argo_drops_is_told(
    kind: str, obj: JsonObject, path: str, fix: str
) -> None:
    """What is around it is dropped, and the lock with it."""
    assert lost(obj, kind) == [(path, f"write it as {fix}")]


def test_what_is_written_once_to_be_named_elsewhere_is_no_lost_lock() -> None:
    """An anchor stands in a field that begins with x-, and counts where it is named."""
    assert (
        lost({"x-lock": BLOCK, "x-spec": {"synchronization": BLOCK}, "spec": {"synchronization": BLOCK}})
        == []
    )


def test_an_empty_block_with_its_lists_beside_it_is_told() -> None:
    """A slip of the indentation, which YAML does not notice."""
    obj: JsonObject = {"spec": {"synchronization": None, "mutexes": [{"name": "a"}], "semaphores": [{}]}}
    assert lost(obj) == [
        ("spec.mutexes", "write it as spec.synchronization.mutexes"),
        ("spec.semaphores", "write it as spec.synchronization.semaphores"),
    ]
    assert of_template(semaphore={"namespace": "x"}) == [
        ("semaphore", f"write it as {TEMPLATE}.synchronization.semaphores")
    ]


@pytest.mark.parametrize(
    "field", ["synchronisation", "Synchronization", "syncronization", "synchronizations", "sync", "locks"]
)
def test_a_misspelt_block_is_told_by_its_name_or_by_what_is_in_it(field: str) -> None:
    """In its right place, and in a wrong one."""
    fix = f"write it as {TEMPLATE}.synchronization"
    assert of_template(**{field: BLOCK}) == [(field, fix)]
    assert of_template(container={field: BLOCK}) == [(f"container.{field}", fix)]


@pytest.mark.parametrize(
    ("field", "right"), [("mutexs", "mutexes"), ("Mutex", "mutexes"), ("semaphors", "semaphores")]
)
def test_a_misspelt_list_is_told(field: str, right: str) -> None:
    """Below `synchronization`, where only the word is wrong."""
    found = of_template(synchronization={field: [{"name": "a"}]})
    assert found == [(f"synchronization.{field}", f'write "{right}"')]


def test_a_block_inside_a_block_is_one_level_too_deep() -> None:
    """What is in it is right one level higher."""
    found = of_template(synchronization={"synchronization": BLOCK})
    assert found == [("synchronization.synchronization", "write what is in it one level higher")]


def test_on_a_call_it_belongs_to_what_is_called() -> None:
    """To a DAG task, a hook, and the arguments of either."""
    task: JsonObject = {"name": "t", "template": "x", "arguments": {"mutexes": [1]}, "synchronization": BLOCK}
    hook: JsonObject = {"template": "x", "synchronization": BLOCK}
    fix = "write it into the template that is called here, as synchronization"
    assert of_template(dag={"tasks": [task]}) == [
        ("dag.tasks[0].arguments.mutexes", f"{fix}.mutexes"),
        ("dag.tasks[0].synchronization", fix),
    ]
    assert lost({"spec": {"hooks": {"exit": hook}}}) == [("spec.hooks.exit.synchronization", fix)]


def test_inline_templates_hold_locks_and_their_blocks_do_not() -> None:
    """The place is that of the inline template."""
    inline: JsonObject = {"synchronization": BLOCK, "container": {"synchronization": BLOCK}}
    assert of_template(dag={"tasks": [{"name": "t", "inline": inline}]}) == [
        (
            "dag.tasks[0].inline.container.synchronization",
            f"write it as {TEMPLATE}.dag.tasks[0].inline.synchronization",
        )
    ]


@pytest.mark.parametrize(
    "obj",
    [
        {"metadata": {"labels": {"synchronization": "a"}, "annotations": {"mutexes": "b"}}},
        {"spec": {"templates": [{"plugin": {"x": {"synchronization": BLOCK}}}]}},
        {"spec": {"templates": [{"nodeSelector": {"mutex": "a"}, "container": {"synchronization": None}}]}},
        {"spec": {"templates": [{"dag": {"synchronization": {}, "mutexes": []}}]}},
        {"spec": {"synchronization": {"mutex": {"name": "a"}, "semaphores": []}}},
        {"status": {"synchronization": {"mutex": {}}, "storedTemplates": {"a": {"dag": {"mutexes": [1]}}}}},
        {"spec": {"podSpecPatch": "synchronization: {mutexes: [a]}"}},
    ],
)
def test_where_no_lock_is_lost_nothing_is_said(obj: JsonObject) -> None:
    """Maps of texts, settings of plugins, empty blocks, and what a status records."""
    assert lost(obj) == []


def test_a_field_of_a_lock_that_argo_drops_is_always_told() -> None:
    """With another field than was meant it is another lock."""
    mutex: JsonObject = {"name": "a", "namespce": "b", "scope": "c"}
    report = report_of("Workflow", {"spec": {"synchronization": {"mutexes": [mutex]}}})
    assert [f"{each.path}: {each.message}" for each in report.warnings] == [
        (
            "spec.synchronization.mutexes[0].namespce: is no field that Argo knows, and is dropped: "
            'did you mean "namespace"?'
        ),
        (
            "spec.synchronization.mutexes[0].scope: is no field that Argo knows, and is dropped: "
            "known are database, name, namespace"
        ),
    ]


def test_the_namespace_of_a_semaphore_stands_beside_its_key() -> None:
    """Inside the reference it is dropped, and the ConfigMap of the own namespace is used."""
    key: JsonObject = {"name": "limits", "key": "db", "namespace": "shared"}
    semaphore: JsonObject = {"configMapKeyRef": {**key, "scope": 1}}
    report = report_of("Workflow", {"spec": {"synchronization": {"semaphores": [semaphore]}}})
    where = "spec.synchronization.semaphores[0].configMapKeyRef"
    assert [(each.path, each.message.rpartition(": ")[2]) for each in report.warnings] == [
        (f"{where}.namespace", "write it one level higher, beside configMapKeyRef"),
        (f"{where}.scope", "known are key, name, optional"),
    ]
    elsewhere: JsonObject = {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": key}}]}
    assert report_of("Workflow", {"spec": {"templates": [{"container": elsewhere}]}}) == NOTHING_WRONG


def test_below_a_step_argo_reads_fields_in_any_case() -> None:
    """It decodes steps by encoding/json: nothing is dropped; only a lock is told, which we do not read."""
    arguments: JsonObject = {"parameters": [{"name": "p", "Value": "hello"}]}
    obj: JsonObject = {"spec": {"templates": [{"steps": [[{"name": "s", "arguments": arguments}]]}]}}
    assert report_of("Workflow", obj) == NOTHING_WRONG
    inline: JsonObject = {"Synchronization": BLOCK, "Container": {}}
    obj = {"spec": {"templates": [{"steps": [[{"name": "s", "inline": inline}]]}]}}
    (told,) = report_of("Workflow", obj).warnings
    assert told.path == f"{TEMPLATE}.steps[0][0].inline.Synchronization"
    assert told.message == (
        "is read by Argo, as it is below a step, but not by Lockkeeper: "
        'write "synchronization", not "Synchronization"'
    )


def test_a_lock_on_a_step_is_no_field_to_remove() -> None:
    """It has a place, in the template."""
    obj: JsonObject = {
        "spec": {"templates": [{"steps": [[{"name": "s", "synchronization": BLOCK, "zzz": 1}]]}]}
    }
    moved, removed = report_of("Workflow", obj).mismatches
    assert moved.message.endswith("move it into the template that the step calls")
    assert removed.message.endswith("remove it")


def test_locks_are_told_beside_wrong_types_and_those_of_before_are_not() -> None:
    """One mistake hides no other; an update is told of what it brings."""
    stored: JsonObject = {"spec": {"suspend": "no", "mutexes": [1]}}
    changed: JsonObject = {"spec": {"suspend": "no", "mutexes": [1], "parallelism": "x", "semaphores": [1]}}
    report = examine("Workflow", msgspec.json.encode(changed), msgspec.json.encode(stored))
    assert [each.path for each in report.mismatches] == ["spec.parallelism"]
    assert [each.path for each in report.lost_locks] == ["spec.semaphores"]


def test_a_template_that_only_moves_brings_no_new_problem() -> None:
    """Else nobody could put another one before it."""
    wrong: JsonObject = {"name": "a", "dag": {"synchronization": BLOCK}, "retryStratgy": {}}
    stored: JsonObject = {"spec": {"templates": [wrong]}}
    moved: JsonObject = {"spec": {"templates": [{"name": "b", "suspend": {}}, wrong]}}
    assert examine("Workflow", msgspec.json.encode(moved), msgspec.json.encode(stored)) == NOTHING_WRONG


def test_a_lock_behind_many_unknown_fields_is_still_found() -> None:
    """Only words that are like the right ones are no longer looked for."""
    many: JsonObject = {f"zzz{number}": number for number in range(2 * MAX_UNKNOWN)}
    assert len(lost({"spec": {**many, "synchronisation": BLOCK, "mutex": BLOCK}})) == 2
    endless: list[JsonValue] = [{"dag": {"mutexes": [1]}}] * (2 * MAX_MISMATCHES)
    assert len(lost({"spec": {"templates": endless}})) == MAX_MISMATCHES


@pytest.mark.parametrize("word", ["synchronization", "Mutexes", "semaphor", "synchronisation"])
def test_words_for_locks_are_recognised(word: str) -> None:
    """In any case, and misspelt."""
    assert lock_word(word)
    assert not lock_word("container")
    assert not lock_word(word * 100)


def test_a_slip_that_is_repeated_is_told_each_time() -> None:
    """It is searched for once."""
    templates: list[JsonValue] = [{"name": f"t{number}", "retryStratgy": {}} for number in range(50)]
    assert len(report_of("Workflow", {"spec": {"templates": templates}}).warnings) == 50
