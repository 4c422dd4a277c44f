"""Keys of groups: what may be written, which text a Workflow gives, and that no two are mixed up."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, WorkflowSpec
from policy.core.quota.group_keys import (
    LONGEST_KEY,
    LONGEST_VALUE,
    KeySubject,
    differing_parts,
    key_problems,
    key_value,
    missing_parts,
    parse_key,
)
from policy.core.quota.key_parts import PartSource
from tests.policy.core.builders import NAMESPACE, USER, decoded, spec_of, workflow


def subject(
    spec: JsonObject | None = None,
    template: JsonObject | None = None,
    **metadata: JsonValue,
) -> KeySubject:
    """Return a Workflow of the namespace, and the template that it refers to."""
    found = decoded(workflow(spec, **metadata))
    return KeySubject(
        namespace=NAMESPACE,
        metadata=found.metadata or EMPTY_METADATA,
        spec=found.spec or EMPTY_SPEC,
        user=USER,
        template=None if template is None else spec_of(template),
    )


def of_recorded(of: KeySubject, recorded: dict[str, str]) -> KeySubject:
    """Return the same Workflow with what admission has recorded of it."""
    return KeySubject(of.namespace, of.metadata, of.spec, of.user, of.template, recorded)


def lacks(key: str, of: KeySubject) -> tuple[str, ...]:
    """Return the parts that a Workflow lacks, as the key has them between its braces."""
    return tuple(part.tag for part in missing_parts(parse_key(key), of))


def text_of(key: str, of: KeySubject) -> str | None:
    """Return what a Workflow gives for a key."""
    return key_value(parse_key(key), of)


def arguments(**values: JsonValue) -> JsonObject:
    """Return a spec with these arguments."""
    return {"arguments": {"parameters": [{"name": name, "value": each} for name, each in values.items()]}}


FROM_CRON: JsonObject = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "name": "nightly",
    "uid": "c-1",
    "controller": True,
}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("{{workflow.labels.repo}}", "shop"),
        ("{{ workflow.labels.repo }}", "shop"),
        ("{{workflow.labels.app.kubernetes.io/name}}", "cart"),
        ("{{workflow.annotations.ci.example.com/branch}}", "fix/1"),
        ("{{workflow.parameters.env}}", "prod"),
        ("{{workflow.template}}", "WorkflowTemplate/build"),
        ("{{workflow.cron}}", "nightly"),
        ("{{workflow.serviceAccountName}}", "runner"),
        ("{{workflow.generateName}}", "build-"),
        ("{{workflow.namespace}}", NAMESPACE),
        ("{{user}}", USER),
        ("ci {{workflow.labels.repo}}/{{workflow.parameters.env}}!", "ci shop/prod!"),
        ("{{workflow.labels.repo}}x-{{user}}", f"shopx-{USER}"),
    ],
)
def test_each_part_is_what_the_workflow_has(key: str, text: str) -> None:
    """All parts that there are, alone and with text around them."""
    found = subject(
        {
            **arguments(env="prod"),
            "workflowTemplateRef": {"name": "build"},
            "serviceAccountName": "runner",
        },
        labels={"repo": "shop", "app.kubernetes.io/name": "cart"},
        annotations={"ci.example.com/branch": "fix/1"},
        generateName="build-",
        ownerReferences=[FROM_CRON],
    )
    assert text_of(key, found) == text


def test_a_parameter_is_its_own_else_that_of_the_template() -> None:
    """What a Workflow leaves out, Argo takes from the template that it refers to."""
    template = arguments(env="dev", size=2)
    assert text_of("{{workflow.parameters.env}}", subject(arguments(env="prod"), template)) == "prod"
    assert text_of("{{workflow.parameters.env}}", subject({}, template)) == "dev"
    assert text_of("{{workflow.parameters.size}}", subject({}, template)) == "2"
    assert text_of("{{workflow.parameters.size}}", subject({})) is None


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ({"name": "x", "value": 1.50}, "1.5"),
        ({"name": "x", "value": True}, "true"),
        ({"name": "x", "default": "main"}, "main"),
        ({"name": "x", "value": "a", "default": "b"}, "a"),
        ({"name": "x", "value": ""}, None),
        ({"name": "x", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}, None),
        ({"name": "x", "value": "{{workflow.name}}"}, None),
        ({"name": "x"}, None),
    ],
)
def test_only_values_that_are_known_before_the_run_count(parameter: JsonObject, text: str | None) -> None:
    """A value from a ConfigMap, or made of other tags, is absent, also where the template has another."""
    own: JsonObject = {"arguments": {"parameters": [parameter]}}
    assert text_of("{{workflow.parameters.x}}", subject(own, arguments(x="of the template"))) == text


def test_labels_that_argo_will_put_on_count_as_those_of_the_workflow() -> None:
    """`workflowMetadata` has precedence, the own one first; what `labelsFrom` gives is unknown."""
    key = "{{workflow.labels.repo}}/{{workflow.annotations.note}}"
    own: JsonObject = {"workflowMetadata": {"labels": {"repo": "own"}}}
    template: JsonObject = {
        "workflowMetadata": {"labels": {"repo": "template"}, "annotations": {"note": "t"}}
    }
    had: JsonObject = {"labels": {"repo": "written"}, "annotations": {"note": "w"}}
    assert text_of(key, subject({}, None, **had)) == "written/w"
    assert text_of(key, subject({}, template, **had)) == "template/t"
    assert text_of(key, subject(own, template, **had)) == "own/t"
    unknown: JsonObject = {"workflowMetadata": {"labelsFrom": {"repo": {"expression": "'a'"}}}}
    assert lacks(key, subject(unknown, None, **had)) == ("workflow.labels.repo",)


def test_the_account_is_that_of_the_template_or_default() -> None:
    """As the Pods get it; so this part is never absent."""
    key = "{{workflow.serviceAccountName}}"
    assert text_of(key, subject({}, {"serviceAccountName": "builder"})) == "builder"
    assert text_of(key, subject({})) == "default"


def test_what_admission_recorded_counts_before_what_a_workflow_says_of_itself() -> None:
    """A sibling of a template counts as the template, and owner references prove nothing."""
    key = parse_key("{{workflow.template}} {{workflow.cron}}")
    says: JsonObject = {"workflowTemplateRef": {"name": "build-lk-1", "clusterScope": True}}
    recorded = {
        well_known.REFERS_TO: "ClusterWorkflowTemplate/build",
        well_known.STARTED_BY: "CronWorkflow/nightly",
    }
    believed = subject(says, ownerReferences=[FROM_CRON])
    assert key_value(key, believed) == "ClusterWorkflowTemplate/build-lk-1 nightly"
    known = of_recorded(believed, recorded)
    assert key_value(key, known) == "ClusterWorkflowTemplate/build nightly"
    nothing = of_recorded(believed, {})
    assert lacks(key.text, nothing) == ("workflow.template", "workflow.cron")


def test_what_is_absent_or_empty_is_named_once() -> None:
    """The message of a denial says what to set."""
    key = "{{workflow.labels.a}}/{{workflow.labels.b}}/{{workflow.labels.a}}/{{user}}"
    found = subject(labels={"b": ""})
    assert text_of(key, found) is None
    assert lacks(key, found) == ("workflow.labels.a", "workflow.labels.b")
    assert lacks("{{workflow.generateName}}", found) == ("workflow.generateName",)


@pytest.mark.parametrize(
    ("tag", "field"),
    [
        ("workflow.labels.app.kubernetes.io/name", "metadata.labels[app.kubernetes.io/name]"),
        ("workflow.annotations.note", "metadata.annotations[note]"),
        ("workflow.parameters.branch", "spec.arguments.parameters[branch]"),
        ("workflow.template", "spec.workflowTemplateRef"),
        ("workflow.cron", "metadata.ownerReferences"),
        ("workflow.generateName", "metadata.generateName"),
    ],
)
def test_a_part_that_is_absent_has_a_field_to_set(tag: str, field: str) -> None:
    """Messages name fields, and not parts of keys."""
    (part,) = missing_parts(parse_key(f"{{{{{tag}}}}}"), subject())
    assert (part.tag, part.field) == (tag, field)


def test_the_parts_that_differ_are_those_of_which_one_is_another() -> None:
    """Also where one of the two lacks it; a part that stands twice is named once."""
    key = parse_key("{{workflow.labels.a}}/{{workflow.labels.b}}/{{workflow.labels.c}}/{{workflow.labels.b}}")
    one, other = subject(labels={"a": "1", "b": "2"}), subject(labels={"a": "1", "b": "3", "c": "4"})
    assert [part.name for part in differing_parts(key, one, other)] == ["b", "c"]
    assert differing_parts(key, one, one) == ()


def test_parts_are_told_by_their_source() -> None:
    """Admission records what a Workflow refers to only where a key has to do with it."""
    key = parse_key("{{workflow.labels.a}}/{{workflow.cron}}")
    assert key.depends_on(PartSource.CRON)
    assert not key.depends_on(PartSource.TEMPLATE)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (("a/b", "c"), "a%2Fb/c"),
        (("a", "b/c"), "a/b/c"),
        (("100%", "c"), "100%25/c"),
        (("a\nb", "c\t"), "a%0Ab/c%09"),
        (("b\u00fccher", "\U0001f600"), "b\u00fccher/\U0001f600"),
        (("\u00a0", "c"), "%C2%A0/c"),
    ],
)
def test_a_separator_in_a_value_is_written_apart_from_the_real_one(
    values: tuple[str, str], text: str
) -> None:
    """The last part stays as it is, since nothing follows that it could be mixed up with."""
    found = subject(annotations={"a": values[0], "b": values[1]})
    assert text_of("{{workflow.annotations.a}}/{{workflow.annotations.b}}", found) == text


LETTERS = st.text("a/-%2F~x \n", min_size=1, max_size=6)
LITERALS = st.sampled_from(["/", "-", "x-", "%/2", "a/a", " ", "2~F", "//"])


@given(LITERALS, LITERALS, st.tuples(LETTERS, LETTERS, LETTERS), st.tuples(LETTERS, LETTERS, LETTERS))
@example("x-", "/", ("a", "b", "c"), ("ax-", "b", "c"))
def test_different_values_never_have_one_text(
    one: str, two: str, first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    """Whatever stands between the parts, and whatever users write into them."""
    a, b, c = (f"{{{{workflow.annotations.{name}}}}}" for name in "abc")
    key = parse_key(f"{a}{one}{b}{two}{c}z")
    texts = [
        key_value(key, subject(annotations={"a": values[0], "b": values[1], "c": values[2]}))
        for values in (first, second)
    ]
    assert (texts[0] == texts[1]) == (first == second)


@given(st.text("ab", min_size=LONGEST_VALUE - 3, max_size=LONGEST_VALUE + 3), st.text("ab", max_size=3))
def test_long_values_are_cut_and_stay_apart(long: str, more: str) -> None:
    """A text is never above its bound, and ends with a digest of what was cut off."""
    key = parse_key("{{workflow.annotations.a}}")
    first, second = (key_value(key, subject(annotations={"a": each})) for each in (long, long + more))
    assert first is not None
    assert len(first) <= LONGEST_VALUE
    assert (first == long) == (len(long) <= LONGEST_VALUE)
    assert (first == second) == (more == "")


def test_long_values_of_one_part_are_not_mixed_up_with_the_next() -> None:
    """Whatever separates them, and however much of a value is a digest."""
    key = parse_key("{{workflow.annotations.a}}~{{workflow.annotations.b}}")
    long = "a" * LONGEST_VALUE
    texts = {
        key_value(key, subject(annotations={"a": first, "b": second}))
        for first, second in ((long, "x~y"), (long + "~x", "y"), (long + "x", "y"), (long + "~x~y", "y"))
    }
    assert len(texts) == 4


def test_megabytes_of_values_and_arguments_are_looked_at_once() -> None:
    """Many keys of many parts cost no more than the Workflow is long."""
    names = [f"p{number}" for number in range(18)]
    keys = [parse_key("/".join(f"{{{{workflow.parameters.{each}}}}}" for each in names))] * 16
    many = subject(arguments(**dict.fromkeys([*names, *(f"o{number}" for number in range(2000))], "x" * 500)))
    values = {key_value(each, many) for each in keys}
    assert len(values) == 1
    assert len(many.arguments) == 1
    assert len(many.known) == len(names)


def test_a_value_that_looks_as_if_it_was_cut_is_not_taken_for_one_that_was() -> None:
    """Nobody can get at the key of another by writing its digest."""
    key = parse_key("{{workflow.annotations.a}}")
    cut = key_value(key, subject(annotations={"a": "a" * 1000}))
    assert cut is not None
    assert cut.startswith("a" * 167 + "~")
    assert key_value(key, subject(annotations={"a": cut})) not in (cut, None)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "all Workflows would have the same key: give it one of {{workflow.labels.X}}"),
        ("main", "has no part, so that all Workflows would have the same key"),
        ("{{workflow.labels.x}", "has a brace that belongs to no part: write each part as {{name}}"),
        ("{workflow.labels.x}", "has a brace that belongs to no part"),
        ("{{workflow.labels.x", "has a brace that belongs to no part"),
        ("}}{{user}}", "has a brace that belongs to no part"),
        ("{{{user}}}", "has a brace that belongs to no part"),
        ("{{workflow.label.repo}}", "{{workflow.label.repo}}: did you mean {{workflow.labels.repo}}?"),
        ("{{labels.app.kubernetes.io/name}}", "did you mean {{workflow.labels.app.kubernetes.io/name}}?"),
        ("{{workflow.metadata.labels.x}}", "did you mean {{workflow.labels.x}}?"),
        ("{{workflow.labels['x']}}", "did you mean {{workflow.labels.x}}?"),
        ("{{workflow.paramters.x}}", "did you mean {{workflow.parameters.x}}?"),
        ("{{inputs.parameters.x}}", "did you mean {{workflow.parameters.x}}?"),
        ("{{workflow.serviceaccountname}}", "did you mean {{workflow.serviceAccountName}}?"),
        ("{{workflow.user}}", "did you mean {{user}}?"),
        ("{{cron}}", "did you mean {{workflow.cron}}?"),
        ("{{something}}", "has the unknown part {{something}}: use {{workflow.labels.X}}, "),
        ("{{}}", "has the unknown part {{}}: use {{workflow.labels.X}}, "),
        ("{{workflow.labels}}", "has {{workflow.labels}} without a name: write {{workflow.labels.NAME}}"),
        ("{{workflow.parameters.}}", "without a name: write {{workflow.parameters.NAME}}"),
        ("{{=workflow.labels.x}}", "has the expression {{=workflow.labels.x}}, and a key has none"),
        ("{{workflow.name}}", "which no two Workflows have in common, so that the group limits nothing"),
        ("{{workflow.creationTimestamp.Y}}", "which no two Workflows have in common"),
        ("{{workflow.labels.a b}}", "has {{workflow.labels.a b}}, and 'a b' is no name of a label"),
        ("{{workflow.annotations.-x}}", "is no name of an annotation"),
        ("{{workflow.parameters.a/b}}", "is no name of a parameter"),
        ("{{workflow.labels.lockkeeper.dev/child-of}}", "which Lockkeeper itself writes: use another label"),
        ("{{workflow.annotations.lockkeeper.dev/user}}", "Lockkeeper itself writes: use another annotation"),
        ("{{workflow.labels.workflows.argoproj.io/phase}}", "which changes while a Workflow waits or runs"),
        ("{{workflow.labels.workflows.argoproj.io/controller-instanceid}}", "changes while a Workflow waits"),
        ("{{workflow.labels.a}}{{user}}", "nothing that separates {{workflow.labels.a}} from {{user}}"),
        ("{{workflow.labels.a}}x1%{{user}}", "write {{workflow.labels.a}}/{{user}}"),
        ("{{user}}" + "-" * LONGEST_KEY, "has 508 characters: at most 500 are allowed"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_what_to_write(key: str, says: str) -> None:
    """Each message names the part, and what would be right."""
    found = key_problems(key)
    assert len(found) == 1
    assert says in found[0]
    with pytest.raises(ValueError, match="the key "):
        parse_key(key)


def test_every_fault_of_a_key_is_told_at_once() -> None:
    """The author mends all of them in one go."""
    assert len(key_problems("{{workflow.lables.a}}{{workflow.name}}")) == 3


@given(st.text("{}workflow.labels.xuser /=", max_size=60))
def test_any_text_is_a_key_or_is_refused_with_a_reason(text: str) -> None:
    """Parsing and finding faults agree about every text."""
    if key_problems(text):
        with pytest.raises(ValueError, match="the key "):
            parse_key(text)
    else:
        key = parse_key(text)
        assert key.text == text
        assert key.parts
        assert key_value(key, subject(labels={"x": "v"})) is not None or missing_parts(key, subject())


def test_a_spec_that_gives_nothing_gives_no_key() -> None:
    """A Workflow without a spec or metadata has no part but what is around it."""
    bare = KeySubject(NAMESPACE, EMPTY_METADATA, WorkflowSpec(), "")
    assert lacks("{{user}}/{{workflow.template}}", bare) == ("user", "workflow.template")
