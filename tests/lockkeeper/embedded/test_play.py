"""The play: what is created, in which order, what a failure of a call is, and what comes later."""

from pathlib import Path
from threading import Event, Thread

import pytest

from lockkeeper.embedded.api_server import AdmissionFailed, Admitted
from lockkeeper.embedded.play import Play, folders_of
from lockkeeper.embedded.workflow_folder import WorkflowFolder
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.embedded.printed import PrintedCluster
from tests.lockkeeper.embedded.scripted import ScriptedApiServer, folder_of, taker
from tests.patience import PATIENCE

WORKFLOW = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a, namespace: here}\n"


def play(printed: PrintedCluster, folder: Path, api_server: ScriptedApiServer) -> Play:
    """Return the play of a folder."""
    folders = [WorkflowFolder(folder, wanted=lambda _: True)]
    return Play(folders=folders, taker=taker(printed, api_server), printer=printed.printer)


def deny(_: JsonObject, __: str) -> Admitted:
    """Deny."""
    return Admitted(None, (), (), "no")


def test_a_play_creates_workflows_in_the_order_of_files(printed: PrintedCluster, tmp_path: Path) -> None:
    """A Workflow without a namespace goes to `default`, as kubectl would send it; other objects are first."""
    api_server = ScriptedApiServer(deny)
    folder = folder_of(
        tmp_path,
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: b, namespace: here}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a}\n",
    )
    assert play(printed, folder, api_server).create() == []
    assert api_server.asked == ["here", "default"]
    assert printed.told() == ["created", "denied: no", "denied: no"]


def test_a_failed_call_is_reported_and_the_play_continues(printed: PrintedCluster, tmp_path: Path) -> None:
    """It is a failure of the run, not a decision."""

    def fail(_: JsonObject, __: str) -> Admitted:
        raise AdmissionFailed("failed calling /mutate: 500")

    api_server = ScriptedApiServer(fail)
    failures = play(printed, folder_of(tmp_path, WORKFLOW, WORKFLOW), api_server).create()
    assert [each.partition(": ")[2] for each in failures] == ["failed calling /mutate: 500"] * 2
    assert len(api_server.asked) == 2


def test_a_file_that_comes_later_is_taken_and_a_bad_one_told(printed: PrintedCluster, tmp_path: Path) -> None:
    """While the run goes on."""
    begun = play(printed, tmp_path, ScriptedApiServer(deny))
    assert begun.create() == []
    folder_of(tmp_path, WORKFLOW, "{")
    begun.look()
    assert printed.out.getvalue() == ""
    begun.look()
    assert "denied: no" in printed.out.getvalue()
    assert f"{tmp_path / '1.yaml'}:2: is not YAML" in printed.out.getvalue()


def test_the_end_of_what_was_created_is_waited_for(printed: PrintedCluster, tmp_path: Path) -> None:
    """Where others create as well, it is not waited for theirs."""
    made = printed.store("made", held=False)
    begun = play(printed, folder_of(tmp_path, WORKFLOW), ScriptedApiServer(lambda *_: Admitted(made, (), ())))
    printed.label("made", **{"workflows.argoproj.io/completed": "true"})
    with_watch = Thread(target=begun.create)
    with_watch.start()
    with_watch.join(PATIENCE)
    printed.see()
    printed.printer.created(printed.store("of others", held=True), [])
    begun.finished(alone=False)
    assert printed.told()[-1] == "finished, 0 still running here"


def test_what_comes_is_taken_until_the_run_stops(printed: PrintedCluster, tmp_path: Path) -> None:
    """By a loop of its own."""
    asked = Event()

    def note(_: JsonObject, __: str) -> Admitted:
        asked.set()
        return Admitted(None, (), (), "no")

    begun, stopped = play(printed, tmp_path, ScriptedApiServer(note)), Event()
    loop = Thread(target=begun.follow, args=(stopped,))
    loop.start()
    folder_of(tmp_path, WORKFLOW)
    assert asked.wait(PATIENCE)
    stopped.set()
    loop.join(PATIENCE)
    assert not loop.is_alive()


@pytest.mark.parametrize(
    ("policies", "workflows", "taken"),
    [
        ("p", None, ["cron", "wf"]),
        ("p", "w", ["cron", "wf", "cron", "template", "wf"]),
        ("p", "p", ["cron", "wf"]),
        ("p", "p/w", ["cron", "wf", "cron", "wf"]),
        ("w/p", "w", ["cron", "wf", "cron", "wf"]),
    ],
)
def test_of_policies_only_runs_are_taken(
    tmp_path: Path, policies: str, workflows: str | None, taken: list[str]
) -> None:
    """Policies and templates of that folder are followed by itself; nothing is taken twice."""
    kinds = {"cron": "CronWorkflow", "template": "WorkflowTemplate", "wf": "Workflow"}
    text = "---\n".join(
        WORKFLOW.replace("name: a", f"name: {k}").replace("kind: Workflow", f"kind: {v}")
        for k, v in kinds.items()
    )
    for each in {policies, workflows or policies}:
        (tmp_path / each).mkdir(parents=True, exist_ok=True)
        (tmp_path / each / "all.yaml").write_text(text)
    folders = folders_of(tmp_path / policies, None if workflows is None else tmp_path / workflows)
    found = [each.name for folder in folders for each in folder.arrived(at_once=True).manifests]
    assert sorted(found) == sorted(taken)
