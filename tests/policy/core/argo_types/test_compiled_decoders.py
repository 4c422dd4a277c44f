"""The quick answer: that it misses no template, wherever a spec stands, and remembers none that was wrong."""

import json
from typing import Final

import msgspec
import pytest

from policy.core.argo_types.compiled_decoders import decode, decode_template
from policy.core.argo_types.type_table import KINDS, STRUCTS, ListType, StructType
from policy.core.objects.json_patch import JsonObject, JsonValue

SPEC: Final = StructType("WorkflowSpec")
PLACES: Final = (
    ("Workflow", ("spec",)),
    ("Workflow", ("status", "storedWorkflowTemplateSpec")),
    ("WorkflowTemplate", ("spec",)),
    ("ClusterWorkflowTemplate", ("spec",)),
    ("CronWorkflow", ("spec", "workflowSpec")),
)


def having(path: tuple[str, ...], *templates: JsonValue) -> bytes:
    """Return an object with these templates in the spec at a path."""
    obj: JsonObject = {"templates": list(templates)}
    for field in reversed(path):
        obj = {field: obj}
    return json.dumps(obj).encode()


def test_specs_stand_where_templates_are_looked_for() -> None:
    """A table with another place would leave its templates out."""
    within = {struct for struct, fields in STRUCTS.items() if SPEC in fields.values()}
    assert within == {*KINDS - {"CronWorkflow"}, "CronWorkflowSpec", "WorkflowStatus"}
    lists = {
        (struct, field)
        for struct, fields in STRUCTS.items()
        for field, wanted in fields.items()
        if wanted == ListType(StructType("Template"))
    }
    assert lists == {("WorkflowSpec", "templates")}
    assert not [fields for fields in STRUCTS.values() if ListType(SPEC) in fields.values()]


@pytest.mark.parametrize(("kind", "path"), PLACES)
@pytest.mark.parametrize("length", [0, 5_000])
def test_a_wrong_template_is_refused_wherever_it_is(kind: str, path: tuple[str, ...], length: int) -> None:
    """Whether it is short enough to be remembered or not, and each time."""
    right: JsonValue = {"name": "a" * length}
    wrong: JsonValue = {"name": "a" * length, "daemon": "no"}
    for _ in range(2):
        decode(kind, having(path, right, None, right))
        with pytest.raises(msgspec.ValidationError):
            decode(kind, having(path, right, wrong))


def test_templates_that_were_right_are_remembered() -> None:
    """Looking at one costs more than anything else."""
    decode_template.cache_clear()
    for _ in range(3):
        decode("Workflow", having(("spec",), {"name": "a"}, {"name": "b"}, {"name": "a" * 5_000}))
    found = decode_template.cache_info()
    assert (found.misses, found.hits) == (2, 4)


def test_a_spec_may_be_missing() -> None:
    """As every field may."""
    for kind in KINDS:
        for obj in (
            b"{}",
            b'{"spec": null, "status": null}',
            b'{"spec": {}}',
            b'{"spec": {"templates": null}}',
        ):
            if kind != "CronWorkflow" or b"templates" not in obj:
                decode(kind, obj.replace(b', "status": null', b"") if "Template" in kind else obj)
