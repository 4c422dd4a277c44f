"""Rules select templates by what they are, run as, mount and do."""

import pytest

from policy.core.lock_model.template_selectors import manifest_kind
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.core.builders import lock_policy, locks_of, rule, spec_of, template_of

CONTAINER: JsonObject = {"image": "a", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
CLAIM: JsonObject = {"name": "v", "persistentVolumeClaim": {"claimName": "data-1"}}


def _selected(template: JsonObject, spec: JsonObject, **templates: JsonValue) -> bool:
    locks = locks_of(lock_policy(inject=[rule("r", {"mutex": "m"}, **templates)]))
    return bool(locks.rules_for(template_of(template), locks.view(spec_of(spec))))


@pytest.mark.parametrize(
    ("template", "spec", "selected"),
    [
        ({"serviceAccountName": "etl-1"}, {}, True),
        ({}, {"serviceAccountName": "etl-2"}, True),
        ({}, {"templateDefaults": {"serviceAccountName": "etl-3"}, "serviceAccountName": "x"}, True),
        ({"serviceAccountName": "web"}, {"serviceAccountName": "etl-2"}, False),
        ({}, {}, False),
    ],
)
def test_a_service_account_is_that_which_argo_uses(
    template: JsonObject,
    spec: JsonObject,
    selected: bool,  # noqa: FBT001
) -> None:
    """The template's own before the default of templates, before the Workflow's."""
    body: JsonObject = {"name": "a", "container": {"image": "a"}, **template}
    assert _selected(body, spec, serviceAccounts=["etl-*"]) is selected


def test_a_template_without_a_service_account_runs_as_the_default_one() -> None:
    """As Argo has it."""
    assert _selected({"name": "a", "container": {"image": "a"}}, {}, serviceAccounts=["default"])


@pytest.mark.parametrize(
    ("template", "spec", "selected"),
    [
        ({"container": CONTAINER, "volumes": [CLAIM]}, {}, True),
        ({"container": CONTAINER}, {"volumes": [CLAIM]}, True),
        ({"script": CONTAINER}, {"volumes": [CLAIM]}, True),
        ({"containerSet": {"containers": [CONTAINER]}}, {"volumes": [CLAIM]}, True),
        ({"container": {"image": "a"}, "sidecars": [CONTAINER]}, {"volumes": [CLAIM]}, True),
        ({"container": {"image": "a"}, "initContainers": [CONTAINER]}, {"volumes": [CLAIM]}, True),
        ({"container": {"image": "a"}, "volumes": [CLAIM]}, {}, False),
        ({"container": CONTAINER}, {"volumes": [{"name": "v", "emptyDir": {}}]}, False),
        ({"container": CONTAINER}, {"volumes": [{**CLAIM, "name": "w"}]}, False),
    ],
)
def test_a_claim_counts_where_a_container_mounts_it(
    template: JsonObject,
    spec: JsonObject,
    selected: bool,  # noqa: FBT001
) -> None:
    """Wherever the volume is declared; a volume that no container mounts does not count."""
    assert _selected({"name": "a", **template}, spec, volumes=["data*"]) is selected


@pytest.mark.parametrize(
    ("wanted", "selected"),
    [
        ([{"action": "create"}], True),
        ([{"kind": "Job"}], True),
        ([{"action": "create", "kind": "Job"}], True),
        ([{"action": "apply"}, {"kind": "Job"}], True),
        ([{"action": "apply", "kind": "Job"}], False),
        ([{"kind": "Pod"}], False),
    ],
)
def test_a_resource_template_is_selected_by_what_it_does(
    wanted: JsonValue,
    selected: bool,  # noqa: FBT001
) -> None:
    """By its action, the kind in its manifest, or both."""
    manifest = "apiVersion: batch/v1\nkind: Job\nspec:\n  kind: x\n"
    body: JsonObject = {"name": "a", "resource": {"action": "create", "manifest": manifest}}
    assert _selected(body, {}, resources=wanted) is selected


def test_resources_select_nothing_but_resource_templates() -> None:
    """Their type is implied."""
    assert not _selected({"name": "a", "container": {"image": "a"}}, {}, resources=[{"action": "create"}])


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        ("kind: Job", "Job"),
        ('apiVersion: v1\n"kind": "Pod"', "Pod"),
        ('{"apiVersion": "v1", "kind": "Pod"}', "Pod"),
        ("spec:\n  kind: Job", ""),
        ("kind: '{{inputs.parameters.kind}}'", ""),
        ("", ""),
    ],
)
def test_the_kind_in_a_manifest_is_read_without_yaml(manifest: str, kind: str) -> None:
    """A manifest may have tags in it that are no YAML yet."""
    assert manifest_kind(manifest) == kind
