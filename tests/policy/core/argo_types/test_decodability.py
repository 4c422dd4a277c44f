"""Objects against Argo's types: where they do not fit, what is said, and which updates that stops."""

import json
from typing import Final

import msgspec
import pytest

from policy.core.argo_types.decodability import (
    MAX_MISMATCHES,
    MAX_STORED,
    MAX_UNKNOWN,
    NOTHING_WRONG,
    decodes,
    examine,
    mismatches_of,
)
from policy.core.objects.json_patch import JsonObject, JsonValue

MANAGED: Final[JsonValue] = {"managedFields": [{"fieldsV1": {"f:a": {}}, "time": "2026-01-01T00:00:00Z"}]}
STEP: Final = "is no field of a step, and Argo reads no step with an unknown field: "


def workflow(**spec: JsonValue) -> JsonObject:
    """Return a Workflow with that spec."""
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": spec}


def template(**fields: JsonValue) -> JsonObject:
    """Return a Workflow with one template."""
    return workflow(templates=[{"name": "t", **fields}])


def said(obj: JsonObject, kind: str = "Workflow") -> list[str]:
    """Return every mismatch of an object as text, the quick answer checked beside it."""
    raw = json.dumps(obj).encode()
    found = examine(kind, raw).mismatches
    assert not (found and decodes(kind, raw))
    assert mismatches_of(kind, obj) == found
    return [f"{each.path}: {each.message}" for each in found]


TEMPLATE: Final = "spec.templates[0]"


@pytest.mark.parametrize(
    ("obj", "path", "message"),
    [
        (
            template(suspend={"duration": 5}),
            f"{TEMPLATE}.suspend.duration",
            'is the number 5, Argo reads a string: write "5"',
        ),
        (
            template(retryStrategy={"backoff": {"duration": 10, "cap": True}}),
            f"{TEMPLATE}.retryStrategy.backoff.cap",
            'is the boolean true, Argo reads a string: write "true"',
        ),
        (
            template(daemon="yes"),
            f"{TEMPLATE}.daemon",
            'is the string "yes", Argo reads true or false: write true, without quotes',
        ),
        (
            workflow(suspend=1),
            "spec.suspend",
            "is the number 1, Argo reads true or false: write true or false, without quotes",
        ),
        (
            workflow(parallelism="5"),
            "spec.parallelism",
            'is the string "5", Argo reads a whole number: write 5, without quotes',
        ),
        (
            workflow(parallelism="{{n}}"),
            "spec.parallelism",
            'is the string "{{n}}", Argo reads a whole number: write a number; nothing is filled in here',
        ),
        (
            workflow(priority=3_000_000_000),
            "spec.priority",
            ("is the number 3000000000, Argo reads a whole number: write one from -2147483648 to 2147483647"),
        ),
        (
            workflow(priority=1.5),
            "spec.priority",
            "is the number 1.5, Argo reads a whole number: write a number without a fraction",
        ),
        (
            workflow(parallelism=10**25),
            "spec.parallelism",
            (
                "is the number of many digits, Argo reads a whole number: "
                "write one from -9223372036854775808 to 9223372036854775807"
            ),
        ),
        (
            template(container={"command": "sh -c"}),
            f"{TEMPLATE}.container.command",
            'is the string "sh -c", Argo reads a list of strings: write ["sh", "-c"]',
        ),
        (
            template(container={"env": {"name": "A", "value": "1"}}),
            f"{TEMPLATE}.container.env",
            "is a map, Argo reads a list: write a list, each entry with a dash before it",
        ),
        (
            template(container={"env": [{"name": "A", "value": 1}]}),
            f"{TEMPLATE}.container.env[0].value",
            'is the number 1, Argo reads a string: write "1"',
        ),
        (
            template(container=["busybox"]),
            f"{TEMPLATE}.container",
            "is a list, Argo reads a map: write a map of args, command, env, envFrom, ...",
        ),
        (
            template(metadata={"labels": {"example.com/team": 7}}),
            f'{TEMPLATE}.metadata.labels["example.com/team"]',
            'is the number 7, Argo reads a string: write "7"',
        ),
        (
            workflow(nodeSelector=["a"]),
            "spec.nodeSelector",
            "is a list, Argo reads a map of strings: write a map, name: value",
        ),
        (
            template(container={"resources": {"limits": {"memory": "2GB"}}}),
            f"{TEMPLATE}.container.resources.limits.memory",
            'is the string "2GB", Argo reads a quantity: write a number and its unit, as "500m" or "2Gi"',
        ),
        (
            template(activeDeadlineSeconds=False),
            f"{TEMPLATE}.activeDeadlineSeconds",
            "is the boolean false, Argo reads a whole number or a string: write a whole number",
        ),
        (
            template(plugin={"a": {}, "b": {}}),
            f"{TEMPLATE}.plugin",
            (
                "is a map, Argo reads a map with one entry: "
                "write one entry, the plugin's name with its settings below"
            ),
        ),
        (
            {**workflow(), "status": {"startedAt": "yesterday"}},
            "status.startedAt",
            'is the string "yesterday", Argo reads a time: write it as "2026-01-31T08:00:00Z"',
        ),
        (
            template(http={"bodyFrom": {"bytes": "no base64"}}),
            f"{TEMPLATE}.http.bodyFrom.bytes",
            'is the string "no base64", Argo reads base64: write the bytes in base64',
        ),
        (
            template(dag={"tasks": [{"inline": {"dag": {"tasks": [{"inline": {"daemon": []}}]}}}]}),
            f"{TEMPLATE}.dag.tasks[0].inline.dag.tasks[0].inline.daemon",
            "is a list, Argo reads true or false: write true or false, without quotes",
        ),
        (
            workflow(shutdown={}),
            "spec.shutdown",
            "is an empty map, Argo reads a string: write one string",
        ),
        (
            workflow(templates="x" * 100),
            "spec.templates",
            f'is the string "{"x" * 60}…", Argo reads a list: write a list, [...]',
        ),
        (
            workflow(volumes=[{"name": "v", "emptyDir": 5}]),
            "spec.volumes[0].emptyDir",
            "is the number 5, Argo reads a map: write a map of medium, sizeLimit",
        ),
    ],
)
def test_a_mismatch_has_its_place_what_is_wrong_and_what_to_write(
    obj: JsonObject, path: str, message: str
) -> None:
    """The first established crash of a controller is the first row."""
    assert f"{path}: {message}" in said(obj)


@pytest.mark.parametrize(
    "obj",
    [
        template(suspend={"duration": "5"}),
        workflow(
            arguments={"parameters": [{"name": "p", "value": value} for value in ("5", 5, 1.5, True, None)]}
        ),
        template(inputs={"parameters": [{"name": "p", "default": 5, "enum": [1, "2", True]}]}),
        template(steps=[[{"name": "s", "withItems": [1, "a", True, None, {"a": [1]}, [1, 2]]}]]),
        template(
            dag={"tasks": [{"name": "t", "withSequence": {"count": 5}}, {"withSequence": {"count": "5"}}]}
        ),
        template(plugin={"hello": None}),
        template(retryStrategy={"limit": 2, "backoff": {"factor": "2", "duration": "10"}}),
        template(container={"resources": {"limits": {"cpu": 1, "memory": "1.5Gi", "x": 0.5}}}),
        template(container={"livenessProbe": {"httpGet": {"port": "http"}, "tcpSocket": {"port": 80}}}),
        workflow(
            parallelism=5.0,
            priority=None,
            templates=[None, {"steps": [None, [None]]}],
            nodeSelector={"a": None},
        ),
        {
            **workflow(),
            "status": {"startedAt": None, "finishedAt": "2024-02-29T00:00:00Z", "nodes": {"n": {}}},
        },
        {**workflow(), "metadata": MANAGED},
        template(unknown=5, container={"imagePullPolicyy": 5}),
        workflow(Parallelism="five"),
        template(metrics={"prometheus": [{"histogram": {"buckets": [1, 2.5, "3"]}}]}),
        {},
    ],
)
def test_what_argo_reads_is_no_mismatch(obj: JsonObject) -> None:
    """Numbers and booleans for strings where Argo turns them, null everywhere, fields that it drops."""
    assert said(obj) == []


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Workflow", "spec.templates[0].suspend.duration"),
        ("WorkflowTemplate", "spec.templates[0].suspend.duration"),
        ("ClusterWorkflowTemplate", "spec.templates[0].suspend.duration"),
        ("CronWorkflow", "spec.workflowSpec.templates[0].suspend.duration"),
    ],
)
def test_every_kind_of_object_is_read_by_its_own_types(kind: str, path: str) -> None:
    """And no other object is."""
    spec = template(suspend={"duration": 5})["spec"]
    obj: JsonObject = {"spec": {"workflowSpec": spec} if kind == "CronWorkflow" else spec}
    assert [line.partition(": ")[0] for line in said(obj, kind)] == [path]
    assert examine("Pod", msgspec.json.encode(obj)) == NOTHING_WRONG
    assert mismatches_of("Pod", obj) == ()


def test_a_step_with_a_field_that_argo_lacks_is_not_read_at_all() -> None:
    """Argo decodes steps by a function of its own, which refuses what every other struct drops."""
    steps: JsonValue = [[{"name": "a", "tempalte": "x"}, {"name": "b", "synchronization": {}}]]
    assert said(template(steps=steps)) == [
        f'spec.templates[0].steps[0][0].tempalte: {STEP}did you mean "template"?',
        f"spec.templates[0].steps[0][1].synchronization: {STEP}move it into the template that the step calls",
    ]
    assert said(template(dag={"tasks": [{"name": "a", "tempalte": "x"}]})) == []


def test_below_a_step_the_case_of_a_field_does_not_matter() -> None:
    """Argo reads steps with encoding/json, which takes `Name` for `name`; tasks it does not."""
    arguments: JsonValue = {"parameters": [{"Name": 5}]}
    assert said(template(steps=[[{"arguments": arguments}]])) == [
        (
            f"{TEMPLATE}.steps[0][0].arguments.parameters[0].Name: "
            'is the number 5, Argo reads a string: write "5"'
        )
    ]
    assert said(template(dag={"tasks": [{"arguments": arguments}]})) == []


def test_an_integer_as_a_parameter_makes_argo_read_the_whole_object_in_any_case() -> None:
    """Its converter cannot turn an integer, so that it reads everything again with encoding/json."""
    wrong: JsonValue = [{"Daemon": "no"}]
    parameters: JsonValue = [{"name": "p", "value": 5}]
    assert said(workflow(templates=wrong)) == []
    assert said(workflow(templates=wrong, arguments={"parameters": parameters})) == [
        'spec.templates[0].Daemon: is the string "no", Argo reads true or false: write false, without quotes'
    ]


def test_fields_of_earlier_versions_are_read_by_their_types() -> None:
    """Argo 3 decodes them, and Argo 4 loses nothing by it."""
    locks: JsonValue = {"semaphore": {"configMapKeyRef": {"name": "c", "key": "k"}}, "mutex": {"name": 5}}
    assert said(workflow(synchronization=locks)) == [
        'spec.synchronization.mutex.name: is the number 5, Argo reads a string: write "5"'
    ]
    assert decodes("CronWorkflow", msgspec.json.encode({"spec": {"schedule": "* * * * *"}}))


def test_all_mismatches_are_reported_in_the_order_of_the_object() -> None:
    """An author mends them in one go."""
    obj = workflow(
        suspend="no",
        templates=[{"daemon": 1, "name": 2}, {"container": {"args": [1, "a", 3]}}],
        hooks={"a": 1},
    )
    assert [line.partition(": ")[0] for line in said(obj)] == [
        "spec.suspend",
        "spec.templates[0].daemon",
        "spec.templates[0].name",
        "spec.templates[1].container.args[0]",
        "spec.templates[1].container.args[2]",
        "spec.hooks.a",
    ]


def test_no_more_mismatches_are_looked_for_than_anyone_reads() -> None:
    """A body of seven megabytes holds a million of them."""
    assert len(said(workflow(imagePullSecrets=[5] * 10_000))) == MAX_MISMATCHES


def test_an_old_mismatch_stops_no_update_and_a_new_one_does() -> None:
    """A user who corrects one field of a stored object need not correct all of them at once."""
    stored = msgspec.json.encode(template(suspend={"duration": 5}, daemon="no"))
    corrected = msgspec.json.encode(template(suspend={"duration": 7}, daemon=False))
    worse = msgspec.json.encode(template(suspend={"duration": []}, daemon="no", name=1))
    assert examine("Workflow", corrected, stored) == NOTHING_WRONG
    assert [(each.path, each.kind) for each in examine("Workflow", worse, stored).mismatches] == [
        ("spec.templates[0].name", "number for a string"),
        ("spec.templates[0].suspend.duration", "list for a string"),
    ]


def test_old_mismatches_do_not_hide_new_ones_however_many_there_are() -> None:
    """Only the new ones are counted."""
    many: list[JsonValue] = [5] * (3 * MAX_MISMATCHES)
    stored = msgspec.json.encode(workflow(imagePullSecrets=many))
    worse = msgspec.json.encode(workflow(imagePullSecrets=many, suspend="no"))
    assert [each.path for each in examine("Workflow", worse, stored).mismatches] == ["spec.suspend"]


def test_an_object_stored_with_mismatches_beyond_number_is_left_alone() -> None:
    """To distinguish a new one from 100,000 old ones would take longer than an answer may."""
    many: list[JsonValue] = [5] * (2 * MAX_STORED)
    stored = msgspec.json.encode(workflow(imagePullSecrets=many))
    worse = msgspec.json.encode(workflow(imagePullSecrets=many, suspend="no"))
    assert examine("Workflow", worse, stored) == NOTHING_WRONG


def test_what_argo_drops_or_loses_is_warned_of() -> None:
    """It stops nothing, so that it is a warning: a list as a parameter becomes an empty string."""
    obj = workflow(
        arguments={"parameters": [{"name": "p", "value": ["a"]}]},
        templates=[{"contianer": {"image": "busybox"}, "zzz": 5, "Daemon": True}],
    )
    warnings = examine("Workflow", msgspec.json.encode(obj)).warnings
    assert [f"{each.path}: {each.message}" for each in warnings] == [
        (
            "spec.arguments.parameters[0].value: is a list, which Argo reads as an empty string: "
            "write it as one string"
        ),
        f'{TEMPLATE}.contianer: is no field that Argo knows, and is dropped: did you mean "container"?',
        f'{TEMPLATE}.Daemon: is no field that Argo knows, and is dropped: did you mean "daemon"?',
    ]


def test_warnings_that_were_there_before_are_not_raised_again() -> None:
    """An update is warned of what it brings."""
    stored = msgspec.json.encode(template(contianer={}))
    changed = msgspec.json.encode(template(contianer={}, demon=True))
    assert [each.path for each in examine("Workflow", changed, stored).warnings] == [
        "spec.templates[0].demon"
    ]


def test_unknown_fields_without_end_cost_little() -> None:
    """A similar field is looked for a few times only."""
    obj = workflow(**{f"parallelizm{number}": number for number in range(10_000)})
    assert len(examine("Workflow", msgspec.json.encode(obj)).warnings) == MAX_UNKNOWN


def test_deep_nesting_is_read_as_far_as_json_is() -> None:
    """Values that are at hand may be nested deeper than Python calls."""
    obj: JsonObject = {"daemon": 5}
    for _ in range(2_000):
        obj = {"dag": {"tasks": [{"inline": obj}]}}
    (found,) = mismatches_of("Workflow", workflow(templates=[obj]))
    assert found.path.endswith("inline.daemon")
    assert found.path.count("inline") == 2_000
