"""A tag in the name of a whole run's lock that nothing fills in is told, and nothing else is."""

import pytest

from policy.core.lock_checks.rulebook import marks_of
from policy.core.lock_checks.unfilled_names import Unfilled, unfilled_names
from policy.core.lock_graph.run_sources import template_owner
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import Metadata
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import NAMESPACE, snapshot, spec_of, template_object
from tests.policy.core.lock_graph.graphs import arguments, mutexes


def _found(
    spec: JsonObject,
    *documents: Document,
    kind: ObjectKind = ObjectKind.WORKFLOW,
    at: str = "/spec",
    marks: frozenset[str] | None = None,
) -> list[Unfilled]:
    owner = template_owner(kind, "it", spec_of(spec), at)
    return list(unfilled_names(owner, snapshot(*documents).library.find(NAMESPACE), marks))


def _mutex(name: str, **more: JsonValue) -> JsonObject:
    return {"synchronization": mutexes(name), **more}


def _semaphore(key: str) -> JsonObject:
    return {"synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": key}}]}}


@pytest.mark.parametrize(
    "name",
    [
        "fixed",
        "{{workflow.parameters.region}}",
        "{{ workflow.parameters.region }}-{{workflow.name}}",
        "{{workflow.namespace}}{{workflow.uid}}{{workflow.creationTimestamp.Y}}{{workflow.scheduledTime}}",
        "{{workflow.labels.team}}{{workflow.annotations.a/b}}{{workflow.parameters}}{{workflow.priority}}",
        "{{=workflow.parameters['region']}}",
        "{{= workflow.parameters.other == 'x' ? 'inputs.parameters.a' : 'b' }}",
        "{{=sprig.lower(workflow.parameters.region)}}",
        "{{workflow.parameters.{{workflow.parameters.region}}}}",
    ],
)
def test_what_argo_fills_in_is_not_told(name: str) -> None:
    """Values of the Workflow, and expressions of which only Argo knows the outcome."""
    assert not _found(_mutex(name, arguments=arguments(region="eu")))


@pytest.mark.parametrize(
    "tag",
    [
        "{{inputs.parameters.region}}",
        "{{item}}",
        "{{item.env}}",
        "{{tasks.a.outputs.result}}",
        "{{steps.a.id}}",
        "{{pod.name}}",
        "{{region}}",
        "{{workflow.status}}",
        "{{workflow.outputs.parameters.x}}",
        "{{=inputs.parameters.region}}",
        "{{= tasks['a'].outputs.result + workflow.name}}",
        "{{=item == 'a' ? 'b' : 'c'}}",
    ],
)
def test_what_only_templates_know_stays_as_text(tag: str) -> None:
    """In templates, too: no Workflow can give it. A semaphore of such a name fails every run."""
    (found,) = _found(_mutex(f"r-{tag}"))
    assert found.field == "spec.synchronization.mutexes[0].name"
    assert found.message.startswith(
        f"nothing fills in {tag}: it stays as text, so that all with this text wait"
    )
    assert not found.fatal
    (fails,) = _found(_semaphore(tag), kind=ObjectKind.WORKFLOW_TEMPLATE)
    assert fails.field == "spec.synchronization.semaphores[0].configMapKeyRef.key"
    assert fails.fatal


def test_the_whole_sentence_names_a_similar_parameter() -> None:
    """A typing error is the usual cause; the defaults of a cluster may have the parameter, so it may run."""
    (found,) = _found(_mutex("r-{{workflow.parameters.regoin}}", arguments=arguments(region="eu")))
    assert found.message == (
        "nothing fills in {{workflow.parameters.regoin}}: it stays as text, so that all with this text wait "
        'for one and the same lock; did you mean "workflow.parameters.region"?'
    )
    (fails,) = _found(_semaphore("{{=workflow.parameters['none']}}"))
    assert fails.message == (
        "nothing fills in {{=workflow.parameters['none']}}: it stays as text, so that there is no such key, "
        'and Argo fails the Workflow; give the parameter "none" a value in spec.arguments, or name another'
    )
    assert not fails.fatal


def test_parameters_of_a_template_and_of_its_workflow_count_together() -> None:
    """Only where the template is known can one be missing; to a template its Workflow may bring more."""
    ref: JsonObject = {"workflowTemplateRef": {"name": "base"}}
    locks = _mutex("{{workflow.parameters.region}}")
    base = template_object("base", locks)
    assert not _found({**ref, "arguments": arguments(region="eu")}, base)
    assert not _found({**ref, **locks})
    assert not _found(locks, kind=ObjectKind.WORKFLOW_TEMPLATE)
    (found,) = _found(ref, base)
    assert found.field == "spec.workflowTemplateRef"
    assert found.message.startswith(
        "WorkflowTemplate base spec.synchronization.mutexes[0].name: nothing fills"
    )


def test_a_schedule_is_told_at_its_own_field() -> None:
    """Its Workflow is one level down."""
    (found,) = _found(_mutex("{{item}}"), kind=ObjectKind.CRON_WORKFLOW, at="/spec/workflowSpec")
    assert found.field == "spec.workflowSpec.synchronization.mutexes[0].name"


def test_a_label_that_the_workflow_does_not_have_stays_as_text() -> None:
    """Where its metadata is known; those that Argo or we write come later."""
    marks = marks_of(Metadata(labels={"team": "etl"}, annotations={"a/b": "x"}))
    given: JsonObject = {"labels": {"size": "big"}, "labelsFrom": {"zone": {"expression": "'eu'"}}}
    fine = (
        "{{workflow.labels.team}}{{workflow.annotations.a/b}}{{workflow.labels.size}}{{workflow.labels.zone}}"
        "{{workflow.labels.workflows.argoproj.io/creator}}"
    )
    assert not _found(_mutex(fine, workflowMetadata=given), marks=marks)
    (found,) = _found(_mutex("{{workflow.labels.taem}}"), marks=marks)
    assert "{{workflow.labels.taem}}: it stays as text" in found.message
    assert "the Workflow has none of that name when it is created" in found.message
    assert not _found(
        {**_mutex("{{workflow.labels.taem}}"), "workflowTemplateRef": {"name": "x"}}, marks=marks
    )
