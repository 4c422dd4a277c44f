"""The ways around a decision, tried by kubectl on an installation: docs/security.md has them as a table.

Those that run or are over are there before the webhooks are; so many run that everybody else waits.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from policy.cluster.errors import NotFound
from policy.cluster.memory.patching import merge
from policy.cluster.protocol import WORKFLOW_TEMPLATES, WORKFLOWS, MergePatch
from policy.core.decision.decision import Code
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.acting import scale
from tests.e2e.argo.installing import ACCOUNT
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.installed import CONTROLLER, Installed, running_site
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, await_governed
from tests.patience import PATIENCE
from tests.policy.core.admission.attempts import (
    ATTEMPTS,
    FREE,
    POLICIES,
    RETRY,
    Attempt,
    State,
    in_state,
    new,
)
from tests.policy.core.builders import USER, at, texts

pytestmark = [pytest.mark.e2e, ASKING]

ADMINISTRATORS: Final = "--as-group=system:masters"
REFUSED: Final = "is invalid"
"""What kubectl says before the reasons of a denial with code 422."""
WAYS: Final = ("patch", "json-patch", "replace", "apply")
FORGED: Final[JsonObject] = {"status": {"phase": "Succeeded"}}


def name_of(what: str) -> str:
    """Return the name of the Workflow of a case."""
    return re.sub(r"[^a-z0-9]+", "-", what.lower())


WANTED: Final = (
    {name_of(f"{way} {name}"): each.state for name, each in ATTEMPTS.items() for way in WAYS}
    | {name_of(what): state for what, (state, _) in FREE.items()}
    | dict.fromkeys(("finished-by-argo", "hidden-by-argo", "edited", "by-subresource"), State.RUNNING)
    | {"retried": State.FINISHED}
)
"""The Workflows that are tried, and the state of each."""
DELETED: Final = tuple(name for name, each in ATTEMPTS.items() if each.state is State.DELETED)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give the installation, with policies in force."""
    with running_site(tmp_path_factory.mktemp("guarded")) as installed:
        for name, state in WANTED.items():
            if state in (State.RUNNING, State.FINISHED, State.ENDING):
                add(installed, name, in_state(state))
            if state is State.ENDING:
                installed.cluster.delete(WORKFLOWS, name, namespace=GOVERNED)
        installed.release.install()
        installed.ready()
        policies = [
            {"apiVersion": each.api_version, "kind": each.kind, **msgspec.to_builtins(each)}
            for each in POLICIES
        ]
        kinds = {"apiVersion": "v1", "kind": "List", "items": policies}
        installed.site.kubectl.said("apply", "-f", "-", text=json.dumps(kinds))
        await_governed(installed, GOVERNED)
        for name, state in WANTED.items():
            if state is State.HELD:
                add(installed, name, new())
        yield installed


@pytest.fixture(scope="module")
def without_leader(installed: Installed) -> Installed:
    """Delete those that are to be deleted while they wait, with no controller that would end them at once."""
    scale(installed, CONTROLLER, 0)
    for name, state in WANTED.items():
        if state is State.DELETED:
            add(installed, name, merge(new(), {"metadata": {"finalizers": ["example.com/a"]}}))
            installed.cluster.delete(WORKFLOWS, name, namespace=GOVERNED)
    return installed


def add(installed: Installed, name: str, obj: JsonObject) -> None:
    """Create a Workflow under another name."""
    anew = dict.fromkeys(("uid", "resourceVersion", "deletionTimestamp"))
    fresh = merge(obj, {"metadata": {"name": name, **anew}})
    installed.cluster.create(WORKFLOWS, fresh, namespace=GOVERNED)


def stored(installed: Installed, name: str) -> JsonObject:
    """Return a Workflow as it is stored."""
    return installed.cluster.get(WORKFLOWS, name, namespace=GOVERNED)


def tried(installed: Installed, way: str, name: str, change: JsonObject, user: str) -> str:
    """Change a Workflow in one of the ways that kubectl has; returns what it has against it, or nothing."""
    who = (f"--as={user}", ADMINISTRATORS, "-n", GOVERNED)
    text = ""
    if way in ("patch", "json-patch"):
        before = stored(installed, name)
        operations = [
            {"op": "add" if key in wanted else "remove", "path": f"/{key}", **_value(wanted, key)}
            for wanted in [merge(before, change)]
            for key in ("metadata", "spec", "status")
            if wanted.get(key) != before.get(key)
        ]
        kind, value = ("merge", change) if way == "patch" else ("json", operations)
        command = ["patch", "workflow", name, f"--type={kind}", f"--patch={json.dumps(value)}"]
    else:
        text = json.dumps(merge(stored(installed, name), change))
        command = ["replace", "-f", "-"]
        if way == "apply":
            text = json.dumps(merge(json.loads(text), {"metadata": {"managedFields": None}}))
            command = ["apply", "--server-side", "--force-conflicts", "-f", "-"]
    done = installed.site.kubectl.run(*command, *who, text=text)
    return done.stderr if done.returncode else ""


def _value(wanted: JsonObject, key: str) -> JsonObject:
    return {"value": wanted[key]} if key in wanted else {}


def refusal(installed: Installed, name: str, change: JsonObject) -> str:
    """Return what is said to a merge patch, or nothing."""
    return tried(installed, "patch", name, change, USER)


@pytest.mark.parametrize("name", [each for each in ATTEMPTS if each not in DELETED])
def test_no_way_of_kubectl_gets_around(installed: Installed, name: str) -> None:
    """By PATCH of either kind, by PUT, and by server-side apply: what an apply leaves out it leaves alone."""
    gets_around_nothing(installed, name)


def gets_around_nothing(installed: Installed, name: str) -> None:
    """Try one attempt in each way."""
    attempt = ATTEMPTS[name]
    for way in WAYS:
        workflow = name_of(f"{way} {name}")
        before = stored(installed, workflow)
        said = tried(installed, way, workflow, attempt.change, attempt.user)
        if attempt.code is not Code.NOT_MUTATED and not (way == "apply" and not said):
            assert REFUSED in said, way
        assert as_it_was(stored(installed, workflow), before, attempt), way


def as_it_was(obj: JsonObject, before: JsonObject, attempt: Attempt) -> bool:
    """Tell whether all that an attempt is about is as it was: marks, status, tasks and the lock."""
    kept = [texts(each, "metadata", "labels") for each in (obj, before)]
    marked = [texts(each, "metadata", "annotations") for each in (obj, before)]
    running = attempt.state is not State.HELD and attempt.state is not State.DELETED
    mutexes = at(obj, "spec", "templates", 0, "synchronization", "mutexes")
    return (
        kept[0] == kept[1]
        and marked[0] == marked[1]
        and (not running or obj.get("status") == before.get("status"))
        and at(obj, "status", "phase") == at(before, "status", "phase")
        and at(obj, "spec", "parallelism") == at(before, "spec", "parallelism")
        and isinstance(mutexes, list)
        and {"name": "loads"} in mutexes
    )


@pytest.mark.parametrize("what", [what for what, (state, _) in FREE.items() if state is not State.DELETED])
def test_nobody_is_kept_from_what_is_his_own(installed: Installed, what: str) -> None:
    """Stopping, finalizers, and what means nothing to us."""
    name, change = name_of(what), FREE[what][1]
    assert refusal(installed, name, change) == ""


def test_an_editor_gets_around_nothing(installed: Installed, tmp_path: Path) -> None:
    """`kubectl edit` sends a patch of what the editor changed."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/parallelism: 2/parallelism: 50/" "$1"\n')
    editor.chmod(0o755)
    done = subprocess.run(  # noqa: S603 - the program that we installed
        [
            str(installed.site.kubectl_program),
            f"--kubeconfig={installed.site.plane.kubeconfig}",
            *("-n", GOVERNED, "edit", "workflow", "edited"),
        ],
        env={
            "EDITOR": str(editor),
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert REFUSED in done.stderr
    copies = [each.read_text() for each in tmp_path.glob("kubectl-edit-*.yaml")]
    # The reasons stand above the text, for another try.
    assert any("50 is above the cap of 5 tasks of one Workflow: lower it" in copy for copy in copies)
    assert at(stored(installed, "edited"), "spec", "parallelism") == 2


def test_argo_ends_a_workflow_and_is_not_asked(installed: Installed) -> None:
    """By its own account, and by no other."""
    change: JsonObject = {
        "metadata": {"labels": {well_known.COMPLETED: "true"}},
        "status": {"phase": "Succeeded"},
    }
    assert REFUSED in refusal(installed, "finished-by-argo", change)
    assert tried(installed, "patch", "finished-by-argo", change, ACCOUNT) == ""
    assert at(stored(installed, "finished-by-argo"), "status", "phase") == "Succeeded"


def test_what_a_template_made_argo_write_is_put_back(installed: Installed) -> None:
    """Its write passes, and the label is as it was."""
    change: JsonObject = {
        "metadata": {"labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE, "team": "other"}},
        "status": {"message": "started"},
    }
    assert tried(installed, "patch", "hidden-by-argo", change, ACCOUNT) == ""
    after = stored(installed, "hidden-by-argo")
    assert at(after, "status", "message") == "started"
    labels = texts(after, "metadata", "labels")
    assert (labels.get(well_known.INSTANCE_ID), labels["team"]) == (None, "etl")


def test_a_retry_waits_its_turn_and_keeps_its_record(installed: Installed) -> None:
    """Others run, so it is held; and the leader shows its place beside what Argo left."""
    assert refusal(installed, "retried", RETRY) == ""
    held = stored(installed, "retried")
    assert texts(held, "metadata", "labels")[well_known.INSTANCE_ID] == well_known.HOLD_VALUE
    annotations = texts(held, "metadata", "annotations")
    assert (annotations[well_known.HOLDS], annotations[well_known.RETRIED]) == ("2", "true")
    assert at(held, "status", "nodes", "wait", "type") == "Suspend"
    until(
        lambda: "position" in str(at(stored(installed, "retried"), "status", "message")),
        "the leader does not show the place of a retry",
    )
    assert at(stored(installed, "retried"), "status", "storedTemplates") == at(
        held, "status", "storedTemplates"
    )
    assert REFUSED in refusal(installed, "retried", {"metadata": {"labels": {well_known.INSTANCE_ID: None}}})


def test_who_edits_a_template_while_its_workflow_waits_changes_nothing(installed: Installed) -> None:
    """What the template said at the create stands in the Workflow, whose own number Argo takes."""
    base: JsonObject = {
        "apiVersion": WORKFLOW_TEMPLATES.api_version,
        "kind": WORKFLOW_TEMPLATES.kind,
        "metadata": {"name": "base"},
        "spec": {"entrypoint": "load", "parallelism": 3},
    }
    installed.cluster.create(WORKFLOW_TEMPLATES, base, namespace=GOVERNED)
    spec: JsonObject = {"templates": None, "parallelism": None, "workflowTemplateRef": {"name": "base"}}
    made: list[str] = []

    def pinned() -> bool:
        made.append(f"of-base-{len(made)}")
        add(installed, made[-1], merge(new(), {"spec": spec}))
        return at(stored(installed, made[-1]), "spec", "parallelism") == 3

    until(pinned, "the webhook does not see the template")
    name = made[-1]
    raised = MergePatch({"spec": {"parallelism": 1000}})
    installed.cluster.patch(WORKFLOW_TEMPLATES, "base", raised, namespace=GOVERNED)
    again: JsonObject = {"spec": {"parallelism": None}}
    assert refusal(installed, name, again) == ""
    assert at(stored(installed, name), "spec", "parallelism") == 3
    assert texts(stored(installed, name), "metadata", "annotations")[well_known.TASKS] == "3"


def test_the_right_to_write_a_status_alone_is_no_way_around(installed: Installed) -> None:
    """Argo's kind has no such subresource; who gives it one does not open a door."""
    where = ("-n", GOVERNED, "patch", "workflow", "by-subresource", "--subresource=status", "--type=merge")
    patch = f"--patch={json.dumps(FORGED)}"
    kind = ("patch", "crd", "workflows.argoproj.io", "--type=json")
    done = installed.site.kubectl.run(*where, patch)
    assert "NotFound" in done.stderr
    path = "/spec/versions/0/subresources"
    add = json.dumps([{"op": "add", "path": path, "value": {"status": {}}}])
    installed.site.kubectl.said(*kind, f"--patch={add}")
    until(
        lambda: "NotFound" not in installed.site.kubectl.run(*where, patch).stderr,
        "the API server does not serve the subresource",
    )
    assert REFUSED in installed.site.kubectl.run(*where, patch).stderr
    installed.site.kubectl.said(*kind, f'--patch=[{{"op": "remove", "path": "{path}"}}]')


def test_our_controller_alone_lets_go(installed: Installed) -> None:
    """It is known by the account that the chart gave it."""
    name = name_of("patch hold-removed")
    change: JsonObject = {"metadata": {"labels": {well_known.INSTANCE_ID: None}}}
    for account in (f"{NAMESPACE}:{RELEASE}-webhook", f"default:{RELEASE}-controller"):
        user = f"system:serviceaccount:{account}"
        assert REFUSED in tried(installed, "patch", name, change, user)
    ours = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-controller"
    assert tried(installed, "patch", name, change, ours) == ""


def test_a_held_workflow_is_deleted_at_once(installed: Installed) -> None:
    """Nobody has to wait for a slot to take something back."""
    name = name_of("patch tasks-mark-lowered")
    installed.site.kubectl.said("-n", GOVERNED, "delete", "workflow", name, "--wait=true")
    with pytest.raises(NotFound):
        stored(installed, name)


@pytest.mark.parametrize("name", DELETED)
def test_no_way_gets_around_while_one_that_is_deleted_still_waits(
    without_leader: Installed, name: str
) -> None:
    """The leader ends it within a second; where none is there, a finalizer keeps it for as long."""
    gets_around_nothing(without_leader, name)


@pytest.mark.parametrize("what", [what for what, (state, _) in FREE.items() if state is State.DELETED])
def test_what_is_deleted_while_it_waits_stays_its_owner_s(without_leader: Installed, what: str) -> None:
    """Its finalizers above all, or it would never go."""
    assert refusal(without_leader, name_of(what), FREE[what][1]) == ""
