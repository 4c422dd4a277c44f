"""What a check says of the Argo beside an installation."""

from typing import Final

import pytest

from lockkeeper.checking.argo_checks import KNOWN_BUGS
from lockkeeper.checking.facts import CRDS
from lockkeeper.checking.results import Check, State
from lockkeeper.process.kubernetes_objects import DEPLOYMENTS, MUTATING
from policy.cluster.errors import Forbidden
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.lockkeeper.checking.installation import (
    NAMESPACE,
    RELEASE,
    Installation,
    configuration,
    crd,
    deployed,
)
from tests.policy.service.world import Call

RESTART, REMOVAL, SLOW = KNOWN_BUGS
IMAGE: Final = "quay.io/argoproj/workflow-controller"


def install_argo(installation: Installation, image: str, account: str = "argo") -> None:
    """Let another Argo be there."""
    installation.memory.delete(DEPLOYMENTS, "workflow-controller", namespace="argo")
    obj = deployed("workflow-controller", image=image, account=account)
    installation.memory.create(DEPLOYMENTS, obj, namespace="argo")


def warned(installation: Installation) -> list[str]:
    """Return the warnings about Argo."""
    return [message for state, message in installation.judged(Check.ARGO) if state is State.WARNING]


@pytest.mark.parametrize(
    ("tag", "bugs"),
    [
        ("v3.6.19", [RESTART, REMOVAL]),
        ("v3.7.10", [RESTART, REMOVAL]),
        ("v3.7.11", [REMOVAL]),
        ("v3.7.18", []),
        ("v4.0.1", [RESTART, REMOVAL]),
        ("v4.0.2", [REMOVAL]),
        ("v4.0.5", [REMOVAL, SLOW]),
        ("v4.0.8", [REMOVAL]),
        ("v4.0.10", []),
        ("4.1.0", [REMOVAL]),
        ("v4.1.1", []),
        ("v4.1.2-rc1", []),
        ("v4.2.0", []),
    ],
)
def test_versions_with_known_bugs_are_named(installation: Installation, tag: str, bugs: list[object]) -> None:
    """By the tag of the image of Argo's controller."""
    install_argo(installation, f"{IMAGE}:{tag}@sha256:{'0' * 64}")
    expected = [f"Argo {tag} has a known bug: {bug.what}" for bug in KNOWN_BUGS if bug in bugs]
    assert warned(installation) == expected


@pytest.mark.parametrize("image", [f"{IMAGE}:latest", IMAGE, "registry:5000/controller"])
def test_an_image_whose_tag_is_no_version_is_skipped(installation: Installation, image: str) -> None:
    """Nothing is known of it then."""
    install_argo(installation, image)
    state, message = installation.judged(Check.ARGO)[0]
    assert (state, message) == (
        State.SKIPPED,
        f"Deployment argo/workflow-controller runs {image}, whose tag tells no version of Argo",
    )


@pytest.mark.parametrize(
    ("account", "written"), [("argo-workflows", "argo:argo-workflows"), ("", "argo:default")]
)
def test_an_account_of_argo_that_is_not_believed_is_a_failure(
    installation: Installation, account: str, written: str
) -> None:
    """Its writes are refused, and no Workflow gets on; the fix names the account."""
    install_argo(installation, f"{IMAGE}:v4.1.2", account)
    failed = [each for each in installation.judgements() if each.check is Check.ARGO and each.advice]
    assert [each.state for each in failed] == [State.FAILED]
    assert f"writes as {written}, and only argo:argo is believed" in failed[0].message
    assert failed[0].advice == f"set argo.controllerServiceAccount to [{written}]"


def test_argo_is_looked_for_where_our_webhook_was_told(installation: Installation) -> None:
    """`argo.deployment` and `argo.controllerServiceAccount` are options of its Deployment."""
    options = ("--argo-deployment=flows/wc", "--argo-controller-account=flows:wc")
    installation.memory.delete(DEPLOYMENTS, f"{RELEASE}-webhook", namespace=NAMESPACE)
    obj = deployed(f"{RELEASE}-webhook", *options)
    installation.memory.create(DEPLOYMENTS, obj, namespace=NAMESPACE)
    [(state, message)] = installation.judged(Check.ARGO)
    assert state is State.SKIPPED
    assert message.startswith("Argo's controller was not found as Deployment flows/wc")
    argo = deployed("wc", image=f"{IMAGE}:v4.1.2", account="wc")
    installation.memory.create(DEPLOYMENTS, argo, namespace="flows")
    assert {state for state, _ in installation.judged(Check.ARGO)} == {State.OK}


@pytest.mark.parametrize(("fields", "form"), [({"entrypoint": {"type": "string"}}, "full"), ({}, "minimal")])
def test_the_form_of_argos_crds_is_told(installation: Installation, fields: JsonObject, form: str) -> None:
    """With the minimal ones the API server checks no field."""
    installation.memory.delete(CRDS, "workflows.argoproj.io")
    installation.memory.create(CRDS, crd(fields))
    [(state, message)] = installation.judged(Check.CRDS)
    assert state is State.OK
    assert f"the {form} ones" in message


def other(name: str, **rule: JsonValue) -> JsonObject:
    """Return the mutating configuration of another product."""
    called: JsonObject = {
        "apiGroups": ["*"],
        "resources": ["*"],
        "operations": ["CREATE"],
        "apiVersions": ["*"],
        **rule,
    }
    made = configuration(MUTATING, {"name": "a.example.com", "rules": [called]})
    made["metadata"] = {"name": name}
    return made


@pytest.mark.parametrize(
    ("obj", "late"),
    [
        (other("kyverno"), True),
        (other("aaa"), False),
        (other("kyverno", apiGroups=["argoproj.io"], resources=["workflows"], operations=["*"]), True),
        (other("kyverno", apiGroups=[""], resources=["pods"]), False),
        (other("kyverno", operations=["UPDATE", "DELETE"]), False),
    ],
)
def test_a_webhook_that_changes_workflows_after_ours_is_a_warning(
    installation: Installation,
    obj: JsonObject,
    late: bool,  # noqa: FBT001
) -> None:
    """The API server calls them by the names of their configurations; ours is called blue here."""
    installation.memory.create(MUTATING, obj)
    [(state, message)] = installation.judged(Check.ORDER)
    assert state is (State.WARNING if late else State.OK)
    assert ("kyverno" in message) == late


def test_what_may_not_be_seen_of_argo_is_skipped(installation: Installation) -> None:
    """It takes rights in other namespaces."""

    def refuse(call: Call) -> None:
        if call.plural in ("deployments", "customresourcedefinitions") or (
            call.plural == MUTATING.plural and call.verb == "list"
        ):
            raise Forbidden("no")

    installation.spy.before = refuse
    for check, reads in ((Check.ARGO, 2), (Check.CRDS, 1), (Check.ORDER, 1)):
        found = installation.judged(check)
        assert [state for state, _ in found] == [State.SKIPPED] * reads
        assert all("for want of the right to" in message for _, message in found)


def test_limits_of_argo_below_ours_are_told(installation: Installation) -> None:
    """The leader has found them, and wrote them into the status of the quota."""
    installation.quota("limits", observed=1, Ready="True", LimitedByArgo="True")
    message = "WorkflowQuota etl/limits allows more than Argo itself does: because of LimitedByArgo"
    assert installation.judged(Check.POLICIES) == [(State.WARNING, message)]


def test_an_argo_elsewhere_is_found_by_its_image(installation: Installation) -> None:
    """Whoever left argo.controllerServiceAccount as it is, beside an Argo of another namespace, reads it."""
    installation.inside = False
    installation.memory.delete(DEPLOYMENTS, "workflow-controller", namespace="argo")
    argo = deployed("flows-wc", image="registry:5000/a/workflow-controller:v4.1.2", account="wc")
    installation.memory.create(DEPLOYMENTS, argo, namespace="flows")
    failed = [each for each in installation.judgements() if each.check is Check.ARGO and each.advice]
    assert [(each.state, each.advice) for each in failed] == [
        (State.FAILED, "set argo.controllerServiceAccount to [flows:wc]")
    ]
    assert "(Deployment flows/flows-wc)" in failed[0].message


def test_of_several_argos_the_believed_one_counts(installation: Installation) -> None:
    """The other one has an instance id of its own, and another Lockkeeper or none."""
    installation.inside = False
    installation.memory.delete(DEPLOYMENTS, "workflow-controller", namespace="argo")
    for namespace, name, account in (("aaa", "wc", "wc"), ("argo", "argo-workflow-controller", "argo")):
        obj = deployed(name, image=f"{IMAGE}:v4.1.2", account=account)
        installation.memory.create(DEPLOYMENTS, obj, namespace=namespace)
    assert {state for state, _ in installation.judged(Check.ARGO)} == {State.OK}


def test_within_the_cluster_no_right_is_asked_for_that_the_chart_does_not_grant(
    installation: Installation,
) -> None:
    """A refused request would stand in the audit log at every `helm test`."""
    installation.memory.delete(DEPLOYMENTS, "workflow-controller", namespace="argo")
    calls: list[Call] = []
    installation.spy.before = calls.append
    [(state, message)] = installation.judged(Check.ARGO)
    assert state is State.SKIPPED
    assert message.startswith("Argo's controller was not found as Deployment argo/workflow-controller")
    assert {each.verb for each in calls if each.plural == DEPLOYMENTS.plural} == {"get"}
