"""Every template body is found where it is written, however deep, and has a type."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpointer import JsonPointer

from policy.core.lock_model.template_bodies import all_bodies, calls, images_of, type_of
from policy.core.objects.json_patch import JsonObject, JsonValue, field_path
from policy.core.policy_kinds.kinds import TemplateType
from tests.policy.core.builders import spec_of, template_of

BODIES: Final[dict[TemplateType, JsonValue]] = {
    TemplateType.CONTAINER: {"image": "busybox"},
    TemplateType.SCRIPT: {"image": "python", "source": "print()"},
    TemplateType.CONTAINER_SET: {"containers": [{"image": "one"}, {"image": "two"}]},
    TemplateType.RESOURCE: {"action": "get"},
    TemplateType.DATA: {"transformation": []},
    TemplateType.HTTP: {"url": "http://localhost"},
    TemplateType.PLUGIN: {"hello": {}},
    TemplateType.SUSPEND: {},
    TemplateType.DAG: {"tasks": []},
    TemplateType.STEPS: [],
}


@pytest.mark.parametrize("type_", TemplateType)
def test_each_of_the_ten_types_is_known_by_its_field(type_: TemplateType) -> None:
    """An empty body counts: `suspend: {}` is a suspend template."""
    assert type_of(template_of({"name": "t", type_.value: BODIES[type_]})) is type_


@pytest.mark.parametrize("template", [{"name": "t"}, {"name": "t", "container": None, "dag": None}])
def test_a_template_without_a_body_has_no_type(template: JsonObject) -> None:
    """Null is absent, as for Go."""
    assert type_of(template_of(template)) is None


@pytest.mark.parametrize(
    ("type_", "images"),
    [
        (TemplateType.CONTAINER, ("busybox",)),
        (TemplateType.SCRIPT, ("python",)),
        (TemplateType.CONTAINER_SET, ("one", "two")),
        (TemplateType.RESOURCE, ()),
        (TemplateType.DAG, ()),
    ],
)
def test_the_images_are_those_of_a_templates_own_containers(
    type_: TemplateType, images: tuple[str, ...]
) -> None:
    """One for a container or script, each of a set, none for the others."""
    assert images_of(template_of({"name": "t", type_.value: BODIES[type_]})) == images


def test_inline_templates_are_found_where_they_are_written() -> None:
    """In a DAG, in steps, and inside each other."""
    leaf: JsonObject = {"container": {"image": "a"}}
    spec: JsonObject = {
        "templates": [
            {"name": "leaf", **leaf},
            {
                "name": "dag",
                "dag": {
                    "tasks": [
                        {"name": "plain", "template": "leaf"},
                        {"name": "deep", "inline": {"steps": [[{"name": "s", "inline": leaf}]]}},
                    ]
                },
            },
            {
                "name": "steps",
                "steps": [[{"name": "a", "template": "leaf"}], [{"name": "b", "inline": leaf}]],
            },
        ]
    }
    assert [place.pointer for place in all_bodies(spec_of(spec))] == [
        "/spec/templates/0",
        "/spec/templates/1",
        "/spec/templates/1/dag/tasks/1/inline",
        "/spec/templates/1/dag/tasks/1/inline/steps/0/0/inline",
        "/spec/templates/2",
        "/spec/templates/2/steps/1/0/inline",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"templates": None},
        {"templates": []},
        {"templates": [{"name": "d", "dag": {"tasks": None}}]},
        {"templates": [{"name": "s", "steps": [[]]}]},
    ],
)
def test_nothing_inside_is_nothing_found(spec: JsonObject) -> None:
    """Null and empty lists hold no inline templates."""
    outer = spec.get("templates")
    assert len(all_bodies(spec_of(spec))) == len(outer if isinstance(outer, list) else [])


def test_the_calls_of_a_template_come_with_their_pointers() -> None:
    """Tasks by number, steps by group and number."""
    dag = template_of({"dag": {"tasks": [{"name": "a"}, {"name": "b"}]}})
    assert [(call.name, where) for call, where in calls(dag, "/t")] == [
        ("a", "/t/dag/tasks/0"),
        ("b", "/t/dag/tasks/1"),
    ]
    steps = template_of({"steps": [[{"name": "a"}], [{"name": "b"}, {"name": "c"}]]})
    assert [(call.name, where) for call, where in calls(steps, "/t")] == [
        ("a", "/t/steps/0/0"),
        ("b", "/t/steps/1/0"),
        ("c", "/t/steps/1/1"),
    ]


_templates = st.recursive(
    st.sampled_from(sorted(BODIES)).map(lambda type_: {type_.value: BODIES[type_]}),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda all_: {"dag": {"tasks": [{"inline": each} for each in all_]}}),
        st.lists(inner, max_size=3).map(lambda all_: {"steps": [[{"inline": each}] for each in all_]}),
    ),
    max_leaves=8,
)


def _bodies(value: JsonValue) -> int:
    """Count the inline bodies in a JSON value."""
    if isinstance(value, list):
        return sum(map(_bodies, value))
    if isinstance(value, dict):
        return ("inline" in value) + sum(map(_bodies, value.values()))
    return 0


@given(st.lists(_templates, max_size=4))
def test_each_pointer_leads_to_its_template_and_none_is_left_out(templates: list[JsonObject]) -> None:
    """Resolved by the jsonpointer library, each pointer leads to its body, and all bodies are found."""
    whole: JsonObject = {"spec": {"templates": list(templates)}}
    found = all_bodies(spec_of({"templates": list(templates)}))
    assert [template_of(JsonPointer(each.pointer).resolve(whole)) for each in found] == [
        each.template for each in found
    ]
    assert len({each.pointer for each in found}) == len(found) == len(templates) + _bodies(whole)


@pytest.mark.parametrize(
    ("pointer", "path"),
    [
        ("", ""),
        ("/spec/parallelism", "spec.parallelism"),
        ("/spec/templates/3/dag/tasks/0/inline", "spec.templates[3].dag.tasks[0].inline"),
        ("/spec/templates/3/steps/0/12/inline", "spec.templates[3].steps[0][12].inline"),
        ("/metadata/labels/lockkeeper.dev~1reservation", "metadata.labels.lockkeeper.dev/reservation"),
        ("/metadata/labels/a~01b", "metadata.labels.a~1b"),
        ("/spec/templates/10", "spec.templates[10]"),
    ],
)
def test_a_pointer_reads_as_kubernetes_writes_field_paths(pointer: str, path: str) -> None:
    """People know `spec.templates[3]`, not `/spec/templates/3`."""
    assert field_path(pointer) == path
