"""A rule that selects by image looks at what a template's Pod runs, wherever that is set.

Each way around a rule of an image is tried with every strategy, on both sides: the lock is there afterwards,
and the validating side, which looks at the result, finds nothing missing.
"""

from typing import Final

import pytest

from policy.core.decision.decision import Outcome
from policy.core.lock_review.template_locks import review_template
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.builders import (
    cluster_lock_policy,
    lock_policy,
    mutate,
    patched,
    review_of,
    rule,
    snapshot,
    template_object,
    validate,
    workflow,
)

STRATEGIES: Final = ("Direct", "Clone", "Wrapper")
LOCK: Final = "team-a/Mutex/gpu"
GPU: Final = "registry/gpu:1"
PATCH: Final = "containers:\n- name: main\n  image: registry/gpu:1\n"


def _policies(strategy: str = "Auto", *documents: Document, **templates: JsonValue) -> Snapshot:
    asked = templates or {"images": ["registry/gpu*"]}
    made: JsonObject = {**rule("gpu", {"mutex": "gpu"}, **asked), "strategy": strategy}
    return snapshot(lock_policy(inject=[made]), *documents)


def _leaf(**parts: JsonValue) -> JsonObject:
    return {"name": "load", "container": {"image": "busybox"}, **parts}


def _run(template: JsonObject, passed: JsonObject | None = None, **spec: JsonValue) -> JsonObject:
    """Return a Workflow of a DAG with one task, which runs the template."""
    task: JsonObject = {"name": "t", "template": "load"}
    if passed is not None:
        task["arguments"] = {"parameters": [{"name": k, "value": v} for k, v in passed.items()]}
    main: JsonObject = {"name": "main", "dag": {"tasks": [task]}}
    return workflow({"entrypoint": "main", "templates": [main, template], **spec})


def _inputs(**defaults: JsonValue) -> JsonObject:
    return {
        "parameters": [
            {"name": name, **({} if value is None else {"value": value})} for name, value in defaults.items()
        ]
    }


def _image(text: str, **parts: JsonValue) -> JsonObject:
    return _leaf(container={"image": text}, **parts)


def _workflow_arguments(**values: JsonValue) -> JsonObject:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


BY_INPUT: Final = "{{inputs.parameters.image}}"
HIDDEN: Final[dict[str, JsonObject]] = {
    "in templateDefaults": _run(
        _leaf(container={"command": ["x"]}), templateDefaults={"container": {"image": GPU}}
    ),
    "of a script in templateDefaults": _run(
        _leaf(container=None, script={"source": "x"}), templateDefaults={"script": {"image": GPU}}
    ),
    "in a parameter of the Workflow": _run(
        _image("{{workflow.parameters.image}}"), arguments=_workflow_arguments(image=GPU)
    ),
    "in part of an image": _run(
        _image("{{workflow.parameters.from}}/gpu:1"), arguments=_workflow_arguments(**{"from": "registry"})
    ),
    "in an argument of a call": _run(_image(BY_INPUT, inputs=_inputs(image=None)), {"image": GPU}),
    "in the default of an input": _run(_image(BY_INPUT, inputs=_inputs(image=GPU))),
    "passed on by a caller": _run(
        _image(BY_INPUT, inputs=_inputs(image=None)),
        {"image": "{{workflow.parameters.image}}"},
        arguments=_workflow_arguments(image=GPU),
    ),
    "in an expression": _run(
        _image("{{=inputs.parameters['image']}}", inputs=_inputs(image=None)), {"image": GPU}
    ),
    "in a choice of two": _run(_image("{{= workflow.name == 'a' ? 'registry/gpu:1' : 'busybox'}}")),
    "in the template's podSpecPatch": _run(_leaf(podSpecPatch=PATCH)),
    "in the Workflow's podSpecPatch": _run(_leaf(), podSpecPatch=PATCH),
    "in podSpecPatch of templateDefaults": _run(_leaf(), templateDefaults={"podSpecPatch": PATCH}),
    "in podSpecPatch as JSON": _run(
        _leaf(podSpecPatch='{"containers": [{"name": "main", "Image": "registry/gpu:1"}]}')
    ),
    "in podSpecPatch in flow style": _run(
        _leaf(podSpecPatch="containers: [{name: main, image: 'registry/gpu:1'}]")
    ),
    "in podSpecPatch with a parameter": _run(
        _leaf(podSpecPatch="containers:\n- name: main\n  image: {{workflow.parameters.image}}\n"),
        arguments=_workflow_arguments(image=GPU),
    ),
    "of a sidecar": _run(_leaf(sidecars=[{"name": "s", "image": GPU}])),
    "of an init container": _run(_leaf(initContainers=[{"name": "i", "image": GPU}])),
    "of a sidecar in templateDefaults": _run(
        _leaf(), templateDefaults={"sidecars": [{"name": "s", "image": GPU}]}
    ),
    "of a sidecar that takes its image from templateDefaults": _run(
        _leaf(sidecars=[{"name": "s"}]), templateDefaults={"sidecars": [{"name": "s", "image": GPU}]}
    ),
    "of a container set": _run(
        _leaf(
            container=None, containerSet={"containers": [{"name": "a", "image": "{{workflow.parameters.i}}"}]}
        ),
        arguments=_workflow_arguments(i=GPU),
    ),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("where", HIDDEN)
def test_an_image_is_found_wherever_it_is_set(where: str, strategy: str) -> None:
    """The lock is added, and the check of the result finds nothing missing."""
    policies = _policies(strategy)
    found = mutate(HIDDEN[where], policies)
    assert found.outcome is Outcome.ALLOWED
    assert [each.lock for each in found.injected] == [LOCK]
    result = patched(HIDDEN[where], found.patch)
    again = validate(result, policies)
    assert (again.outcome, again.patch, again.reasons) == (Outcome.ALLOWED, (), ())
    assert mutate(result, policies).patch == ()
    assert not any("could not be applied" in each for each in (*found.warnings, *again.warnings))


UNKNOWN: Final[dict[str, JsonObject]] = {
    "an output": _run(_image(BY_INPUT, inputs=_inputs(image=None)), {"image": "{{tasks.a.outputs.result}}"}),
    "an item": _run(_image(BY_INPUT, inputs=_inputs(image=None)), {"image": "{{item}}"}),
    "an expression": _run(_image("{{=sprig.lower(workflow.name)}}")),
    "a parameter without a value": _run(_image("{{workflow.parameters.image}}")),
    "a label": _run(_image("registry/{{workflow.labels.image}}")),
    "a patch with an alias": _run(_leaf(podSpecPatch="a: &x registry/gpu:1\ncontainers:\n- {image: *x}\n")),
    "a patch with escapes": _run(_leaf(podSpecPatch='containers:\n- "im\\x61ge": registry/gpu:1\n')),
    "a patch with a block scalar": _run(_leaf(podSpecPatch="containers:\n- image: >-\n    registry/gpu:1\n")),
    "a patch with a comment before the value": _run(
        _leaf(podSpecPatch="containers:\n- image: # the usual one\n    registry/gpu:1\n")
    ),
    "a patch with a key that is marked as one": _run(
        _leaf(podSpecPatch="containers:\n- ? image\n  : registry/gpu:1\n")
    ),
    "a patch that is a parameter": _run(_leaf(podSpecPatch="{{workflow.parameters.patch}}")),
    "a patch that is too long": _run(_leaf(podSpecPatch="# " + "x" * 20_000)),
    "a patch of the Workflow": _run(_leaf(), podSpecPatch="{{workflow.parameters.patch}}"),
    "an image in a patch": _run(_leaf(podSpecPatch="containers: [{image: '{{workflow.parameters.x}}'}]")),
    "too many values": _run(
        _image("".join(f"{{{{=workflow.name == '{n}' ? 'a' : 'b'}}}}" for n in range(9)), inputs=_inputs())
    ),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("what", UNKNOWN)
def test_an_image_that_is_known_only_at_run_time_causes_a_warning(what: str, strategy: str) -> None:
    """No rule is evaded in silence; the rule that could not be applied is named."""
    policies = _policies(strategy)
    found = mutate(UNKNOWN[what], policies)
    assert (found.outcome, found.injected) == (Outcome.ALLOWED, ())
    (warning,) = found.warnings
    assert warning == (
        f"lockkeeper: load: lock {LOCK} is not injected, because its image is not known before it runs, so "
        'rule "gpu" of SynchronizationPolicy team-a/locks could not be applied; write it out, or take the '
        "lock in the template"
    )
    assert validate(UNKNOWN[what], policies).outcome is Outcome.ALLOWED


@pytest.mark.parametrize(
    ("selected", "patch"),
    [
        ({"serviceAccounts": ["publisher"]}, "serviceAccountName: >-\n  publisher\n"),
        ({"serviceAccounts": ["publisher"]}, "? serviceAccountName\n: publisher\n"),
        (
            {"volumes": ["data"]},
            "volumes:\n- name: a\n  persistentVolumeClaim:\n    claimName: # mine\n      data\n",
        ),
    ],
)
def test_an_account_or_a_claim_that_a_patch_sets_in_another_way_causes_a_warning(
    selected: dict[str, JsonValue], patch: str
) -> None:
    """As an image is."""
    found = mutate(_run(_leaf(podSpecPatch=patch)), _policies("Auto", **selected))
    (warning,) = found.warnings
    assert "could not be applied" in warning


QUIET: Final[dict[str, JsonObject]] = {
    "another image in templateDefaults": _run(_leaf(), templateDefaults={"container": {"image": GPU}}),
    "another registry before the parameter": _run(_image("docker.io/{{workflow.parameters.image}}")),
    "another tag behind it": _run(_leaf(), templateDefaults={"retryStrategy": {"limit": 1}}),
    "another known value": _run(_image(BY_INPUT, inputs=_inputs(image=None)), {"image": "busybox"}),
    "a patch of resources": _run(
        _leaf(podSpecPatch='containers:\n- name: main\n  resources: {limits: {cpu: "{{workflow.name}}"}}\n')
    ),
    "a patch that is no JSON": _run(_leaf(podSpecPatch='{"containers": [{"image": "registry/gpu:1"')),
    "another image in a patch": _run(_leaf(podSpecPatch="containers: [{name: main, image: busybox}]")),
    "a sidecar of another image": _run(_leaf(sidecars=[{"name": "s", "image": "nginx"}])),
    "a lock that is there": _run(
        _image("{{workflow.parameters.image}}", synchronization={"mutexes": [{"name": "gpu"}]})
    ),
    "another type in templateDefaults": _run(_leaf(), templateDefaults={"script": {"image": GPU}}),
}


@pytest.mark.parametrize("what", QUIET)
def test_what_can_never_run_the_image_gets_neither_lock_nor_warning(what: str) -> None:
    """Neither lock nor warning: no user would read a warning about every parameter."""
    found = mutate(QUIET[what], _policies())
    assert (found.outcome, found.injected, found.warnings) == (Outcome.ALLOWED, (), ())


def test_a_rule_that_selects_by_name_too_warns_only_of_such_templates() -> None:
    """Other templates cannot be selected, whatever they run."""
    policies = _policies("Auto", images=["registry/gpu*"], names=["train-*"])
    assert mutate(UNKNOWN["an output"], policies).warnings == ()


@pytest.mark.parametrize(
    ("templates", "run"),
    [
        ({"serviceAccounts": ["etl-*"]}, _run(_leaf(), templateDefaults={"serviceAccountName": "etl-1"})),
        ({"serviceAccounts": ["etl-*"]}, _run(_leaf(podSpecPatch="serviceAccountName: etl-1"))),
        ({"serviceAccounts": ["etl-*"]}, _run(_leaf(podSpecPatch='{"serviceAccount": "etl-1"}'))),
        (
            {"serviceAccounts": ["etl-*"]},
            _run(
                _leaf(),
                serviceAccountName="{{workflow.parameters.sa}}",
                arguments=_workflow_arguments(sa="etl-1"),
            ),
        ),
        (
            {"serviceAccounts": ["etl-*"]},
            _run(_leaf(serviceAccountName=BY_INPUT, inputs=_inputs(image=None)), {"image": "etl-1"}),
        ),
        ({"labels": {"team": "etl"}}, _run(_leaf(), podMetadata={"labels": {"team": "etl"}})),
        (
            {"labels": {"team": "etl"}},
            _run(_leaf(), templateDefaults={"metadata": {"labels": {"team": "etl"}}}),
        ),
        (
            {"labels": {"team": "etl"}},
            _run(
                _leaf(metadata={"labels": {"team": BY_INPUT}}, inputs=_inputs(image=None)), {"image": "etl"}
            ),
        ),
        (
            {"volumes": ["data-*"]},
            _run(
                _leaf(container={"image": "a", "volumeMounts": [{"name": "v"}]}),
                templateDefaults={
                    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data-1"}}]
                },
            ),
        ),
        (
            {"volumes": ["data-*"]},
            _run(
                _leaf(),
                templateDefaults={"container": {"volumeMounts": [{"name": "v"}]}},
                volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data-1"}}],
            ),
        ),
        (
            {"volumes": ["data-*"]},
            _run(
                _leaf(container={"image": "a", "volumeMounts": [{"name": "v"}]}),
                volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "{{workflow.parameters.c}}"}}],
                arguments=_workflow_arguments(c="data-1"),
            ),
        ),
        (
            {"volumes": ["data-*"]},
            _run(
                _leaf(podSpecPatch="volumes: [{name: v, persistentVolumeClaim: {claimName: data-1}}]"),
            ),
        ),
        (
            {"resources": [{"kind": "Job"}]},
            _run(
                _leaf(
                    container=None,
                    resource={"action": "create", "manifest": "kind: {{inputs.parameters.image}}"},
                    inputs=_inputs(image="Job"),
                )
            ),
        ),
    ],
)
def test_the_other_parts_of_a_selector_see_what_runs_too(templates: JsonObject, run: JsonObject) -> None:
    """A ServiceAccount, a label, a claim, a manifest: each can be set elsewhere, as an image can."""
    policies = _policies("Auto", **templates)
    found = mutate(run, policies)
    assert [each.lock for each in found.injected] == [LOCK]
    assert validate(patched(run, found.patch), policies).outcome is Outcome.ALLOWED


def test_a_template_that_is_called_with_several_images_is_locked_for_one_of_them() -> None:
    """It is one template, and Argo takes its lock in every call."""
    calls: list[JsonValue] = [
        {"name": name, "template": "load", "arguments": _workflow_arguments(image=image)}
        for name, image in (("a", "busybox"), ("b", GPU))
    ]
    main: JsonObject = {"name": "main", "steps": [calls]}
    obj = workflow({"entrypoint": "main", "templates": [main, _image(BY_INPUT, inputs=_inputs(image=None))]})
    assert [each.lock for each in mutate(obj, _policies()).injected] == [LOCK]


def test_a_value_that_is_passed_in_a_cycle_is_unknown() -> None:
    """The recursion ends, and a warning reports it."""
    again: JsonObject = {
        "name": "load",
        "inputs": _inputs(image=None),
        "dag": {
            "tasks": [
                {"name": "x", "template": "load", "arguments": _workflow_arguments(image=BY_INPUT)},
                {"name": "y", "template": "leaf", "arguments": _workflow_arguments(image=BY_INPUT)},
            ]
        },
    }
    leaf = {**_image(BY_INPUT, inputs=_inputs(image=None)), "name": "leaf"}
    obj = workflow({"entrypoint": "load", "templates": [again, leaf]})
    (warning,) = (each for each in mutate(obj, _policies()).warnings if "could not be applied" in each)
    assert warning.startswith("lockkeeper: leaf: ")


@pytest.mark.parametrize("strategy", ["Clone", "Wrapper"])
def test_a_template_of_another_object_is_selected_by_what_the_call_passes(strategy: str) -> None:
    """The image of a WorkflowTemplate that takes it as an input is known where it is called."""
    there = template_object(
        "shared", {"templates": [{**_image(BY_INPUT, inputs=_inputs(image="busybox")), "name": "load"}]}
    )
    task: JsonObject = {"name": "t", "templateRef": {"name": "shared", "template": "load"}}
    policies = _policies(strategy, there)

    def run(image: JsonValue) -> JsonObject:
        called: JsonObject = {**task, "arguments": _workflow_arguments(image=image)}
        main: JsonObject = {"name": "main", "dag": {"tasks": [called]}}
        return workflow({"entrypoint": "main", "templates": [main]})

    found = mutate(run(GPU), policies)
    assert [each.lock for each in found.injected] == [LOCK]
    result = patched(run(GPU), found.patch)
    assert (validate(result, policies).outcome, mutate(result, policies).patch) == (Outcome.ALLOWED, ())
    assert mutate(run("busybox"), policies).injected == ()
    (warning,) = mutate(run("{{item}}"), policies).warnings
    assert "its image is not known before it runs" in warning


@pytest.mark.parametrize(
    "spec",
    [
        {"podSpecPatch": PATCH},
        {"templateDefaults": {"podSpecPatch": PATCH}},
        {"arguments": _workflow_arguments(image=GPU)},
    ],
)
def test_a_workflow_of_a_template_is_checked_with_what_it_adds(spec: JsonObject) -> None:
    """Its own patch, defaults and arguments count over those of the template, which we must not edit."""
    there = template_object(
        "shared",
        {
            "entrypoint": "load",
            "templates": [_image("{{workflow.parameters.image}}")],
            "arguments": _workflow_arguments(image="busybox"),
        },
    )
    policies = _policies("Auto", there)
    plain: JsonObject = {"workflowTemplateRef": {"name": "shared"}}
    assert mutate(workflow(plain), policies).warnings == ()
    (warning,) = mutate(workflow({**plain, **spec}), policies).warnings
    assert f"lockkeeper: load: lock {LOCK} is not injected, the template comes from shared" in warning


def test_a_text_that_is_longer_than_any_image_fits_every_glob() -> None:
    """A text that would take long to look at is no way around a rule, and is not stored."""
    policies = _policies()
    obj = _run(_image("x" * 100_000))
    assert [each.lock for each in mutate(obj, policies).injected] == [LOCK]
    locks = policies.policies("team-a").locks
    assert locks is not None
    assert all(len(image or "") < 1000 for (_, image), _ in locks.caches.rules.items())


def test_what_one_object_was_found_to_run_is_not_taken_for_another() -> None:
    """Templates are freed, and the next may get the id of the last."""
    there = template_object("shared", {"templates": [_image(BY_INPUT, inputs=_inputs(image=GPU))]})
    policies = _policies("Auto", there)
    for _ in range(50):
        for image, locked in ((GPU, 1), ("busybox", 0)):
            obj = _run(_image(BY_INPUT, inputs=_inputs(image=None)), {"image": image})
            assert len(mutate(obj, policies).injected) == locked


def test_a_template_of_the_cluster_runs_in_many_namespaces() -> None:
    """Its image with the namespace in it is not known."""
    policy = cluster_lock_policy(
        match={"kinds": ["ClusterWorkflowTemplate"]},
        inject=[rule("gpu", {"mutex": "gpu"}, images=["registry/team-a/*"])],
    )
    obj: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ClusterWorkflowTemplate",
        "metadata": {"name": "shared"},
        "spec": {"templates": [_image("registry/{{workflow.namespace}}/gpu")]},
    }
    (warning,) = review_template(review_of(obj), snapshot(policy)).warnings
    assert "its image is not known before it runs" in warning


def test_a_template_object_may_be_called_with_other_values_than_its_own() -> None:
    """Its default is not all that it runs, and the user who stores it is warned."""
    policy = lock_policy(
        match={"kinds": ["WorkflowTemplate"]},
        inject=[rule("gpu", {"mutex": "gpu"}, images=["registry/gpu*"])],
    )
    obj: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "shared", "namespace": "team-a"},
        "spec": {"templates": [_image(BY_INPUT, inputs=_inputs(image="busybox"))]},
    }
    found = review_template(review_of(obj), snapshot(policy))
    assert found.injected == ()
    assert "its image is not known before it runs" in found.warnings[0]


def test_policies_that_select_by_name_alone_do_not_look_at_pods() -> None:
    """Without a rule of images there is no cost for them."""
    policies = _policies("Auto", names=["load"])
    locks = policies.policies("team-a").locks
    assert locks is not None
    assert not locks.by_pod
    assert [each.lock for each in mutate(UNKNOWN["an output"], policies).injected] == [LOCK]
