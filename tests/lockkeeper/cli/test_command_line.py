"""What every command has in common: help with examples, exit codes, errors of one line."""

import socket
from pathlib import Path

import pytest

from lockkeeper import __version__
from lockkeeper.__main__ import main
from lockkeeper.cli.commands import COMMANDS
from tests.lockkeeper.commands import EXAMPLES, Finished, Lockkeeper

POLICIES = EXAMPLES / "policies"


def is_one_clear_line(finished: Finished) -> bool:
    """Return whether a command ended with one line of ours on standard error, and nothing else."""
    return (
        finished.code == 2
        and finished.out == ""
        and finished.err.startswith("lockkeeper: ")
        and finished.err.count("\n") == 1
        and "Traceback" not in finished.err
    )


def is_usage(finished: Finished, option: str) -> bool:
    """Return whether a command ended with argparse's usage and one error line about an option."""
    *usage, last = finished.err.splitlines()
    return (
        finished.code == 2
        and finished.out == ""
        and usage[0].startswith("usage: lockkeeper ")
        and f"error: argument {option}: " in last
        and "Traceback" not in finished.err
    )


def test_version_prints_the_version(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """One line, from any folder."""
    finished = lockkeeper("version", cwd=tmp_path)
    assert finished.code == 0
    assert finished.out.startswith(f"lockkeeper {__version__} (Python 3.")
    assert finished.out.count("\n") == 1
    assert finished.err == ""


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever types `lockkeeper --help` finds all there is."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"    {command.name}" in told for command in COMMANDS)


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_help_of_a_command_shows_examples_of_it(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An example says more than a list of options."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"\n  lockkeeper {name}" in told.partition("example")[2]


@pytest.mark.parametrize(
    "arguments", [(), ("review",), ("review", "-"), ("run",), ("review", "-", "--policies")]
)
def test_missing_or_unknown_arguments_are_a_usage_error(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the usage, and what is missing."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith("usage: lockkeeper")
    assert "error: " in told.err.splitlines()[-1]


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_port_in_use_is_one_clear_line(lockkeeper: Lockkeeper, command: str) -> None:
    """It says which address, why, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = lockkeeper(command, "--policies", POLICIES, "--port", str(port))
    assert is_one_clear_line(finished), finished
    assert f"cannot listen on 127.0.0.1:{port}: address already in use" in finished.err
    assert "--port" in finished.err
    assert lockkeeper.leftovers() == []


def test_an_address_of_another_machine_is_one_clear_line(lockkeeper: Lockkeeper) -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""
    finished = lockkeeper("run", "--policies", POLICIES, "--host", "192.0.2.1", "--port", "0")
    assert is_one_clear_line(finished), finished


def test_a_missing_folder_of_policies_is_one_clear_line(lockkeeper: Lockkeeper) -> None:
    """It names the folder."""
    finished = lockkeeper("serve", "--policies", "no/such/folder", "--port", "0")
    assert is_one_clear_line(finished), finished
    assert "--policies no/such/folder does not exist" in finished.err


def test_policies_may_be_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A team may have one file, and files beside it do not count then."""
    workflow = str(EXAMPLES / "workflows" / "01-daily-load.yaml")
    for command in (["review", workflow], ["lint", workflow]):
        assert main([*command, "--policies", str(POLICIES / "locks.yaml")]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert "daily-load" in told.out


def test_a_missing_folder_of_workflows_is_one_clear_line(lockkeeper: Lockkeeper) -> None:
    """It is found before anything starts."""
    finished = lockkeeper("run", "--policies", POLICIES, "--workflows", "nowhere", "--port", "0")
    assert is_one_clear_line(finished), finished
    assert "nowhere: there is no such file or folder" in finished.err
    assert lockkeeper.leftovers() == []


def test_an_unreadable_workflow_is_one_line_with_its_place(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """File and line, before anything starts."""
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "broken.yaml").write_bytes(b"kind: Workflow\n\xff\xfe\x00")
    finished = lockkeeper("run", "--policies", POLICIES, "--workflows", folder, "--once", "--port", "0")
    assert is_one_clear_line(finished), finished
    assert f"lockkeeper: {folder / 'broken.yaml'}:2: " in finished.err
    assert lockkeeper.leftovers() == []


WRONG_POLICIES = {
    "a.yaml": (
        "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: a}\n"
        "spec:\n  limts: {workflows: 1}\n"
    ),
    "b.yaml": (
        "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: b}\n"
        "spec:\n  limits: {workflows: many}\n  onExceed: Explode\n"
    ),
    "good.yaml": (
        "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: c}\n"
        "spec: {limits: {workflows: 1}}\n"
    ),
}


@pytest.mark.parametrize(
    "arguments",
    [("review", "-"), ("run", "--port", "0")],
    ids=["review", "run"],
)
def test_wrong_policies_are_reported_one_line_each_with_file_and_line(
    lockkeeper: Lockkeeper, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """All errors of all files at once, exit code 2, and nothing is started."""
    folder = tmp_path / "policies"
    folder.mkdir()
    for name, content in WRONG_POLICIES.items():
        (folder / name).write_text(content)
    finished = lockkeeper(*arguments, "--policies", folder)
    lines = finished.err.splitlines()
    assert (finished.code, finished.out) == (2, "")
    assert [line.partition(": spec.")[0] for line in lines] == [
        f"lockkeeper: {folder / 'a.yaml'}:5",
        f"lockkeeper: {folder / 'b.yaml'}:5",
        f"lockkeeper: {folder / 'b.yaml'}:6",
    ]
    assert lockkeeper.leftovers() == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "70000"),
        ("--port", "http"),
        ("--port", "-1"),
        ("--argo-version", "latest"),
        ("--argo-version", "9.9"),
        ("--argo-version", "5"),
        ("--argo-version", "4.10"),
        ("--task-time", "long"),
        ("--task-time", "-1"),
        ("--task-time", "0"),
        ("--task-time", "nan"),
        ("--task-time", "inf"),
        ("--task-time", "1e300"),
    ],
)
def test_a_wrong_value_of_an_option_is_a_usage_error(
    option: str, value: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The last line says which option, what was given, and what is wanted."""
    with pytest.raises(SystemExit) as ended:
        main(["run", "--policies", str(tmp_path), option, value])
    told = capsys.readouterr()
    assert is_usage(Finished(int(str(ended.value.code)), told.out, told.err), option), told.err
    assert value in told.err.splitlines()[-1]


@pytest.mark.parametrize(("option", "value"), [("--task-time", "nan"), ("--port", "70000")])
def test_a_wrong_value_ends_the_process_with_code_2_and_no_trace(
    lockkeeper: Lockkeeper, option: str, value: str
) -> None:
    """The same as a user's shell sees it."""
    finished = lockkeeper("run", "--policies", POLICIES, option, value)
    assert is_usage(finished, option), finished
    assert lockkeeper.leftovers() == []


def test_a_log_that_cannot_be_written_is_one_clear_line(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """A folder that is not there is found before anything starts."""
    log = tmp_path / "none" / "log"
    finished = lockkeeper("run", "--policies", POLICIES, "--port", "0", "--log", log)
    assert is_one_clear_line(finished), finished
    assert str(log) in finished.err
    assert lockkeeper.leftovers() == []


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_folder_of_certificates_that_is_a_file_is_one_clear_line(
    lockkeeper: Lockkeeper, tmp_path: Path, command: str
) -> None:
    """`--certs` has to be a folder that can be written."""
    (tmp_path / "certs").write_text("")
    finished = lockkeeper(command, "--policies", POLICIES, "--port", "0", "--certs", tmp_path / "certs")
    assert is_one_clear_line(finished), finished


def test_once_without_workflows_is_a_usage_error(lockkeeper: Lockkeeper) -> None:
    """There is no play to end after."""
    with lockkeeper.started("run", "--policies", POLICIES, "--once", "--port", "0") as running:
        assert not running.until("Serving on")
        assert running.wait() == 2


def test_secret_paths_are_in_a_cluster(lockkeeper: Lockkeeper) -> None:
    """Without one there are no webhook configurations to read them from."""
    finished = lockkeeper("serve", "--policies", "p", "--webhook-configurations", "lockkeeper")
    assert finished.code == 2
    assert finished.err == "lockkeeper: --webhook-configurations are in a cluster: give --cluster too\n"


def test_a_command_that_does_not_exist_gets_the_nearest(lockkeeper: Lockkeeper) -> None:
    """Most are typed wrongly."""
    finished = lockkeeper("statsu")
    assert finished.code == 2
    assert (
        finished.err
        == 'lockkeeper: there is no command statsu; did you mean "status"?; lockkeeper --help lists them\n'
    )


@pytest.mark.parametrize(
    ("words", "same"), [(("--version",), ("version",)), (("help", "lint"), ("lint", "--help"))]
)
def test_words_of_other_tools_are_taken(
    lockkeeper: Lockkeeper, words: tuple[str, ...], same: tuple[str, ...]
) -> None:
    """Each tool has one of these forms."""
    assert lockkeeper(*words) == lockkeeper(*same)


FULL = Path("/dev/full")
LINT = ("lint", EXAMPLES / "workflows")
PLAY = ("run", "--policies", POLICIES, "--workflows", EXAMPLES / "workflows", "--once", "--port", "0")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [("version",), LINT, PLAY], ids=str)
def test_an_output_that_takes_no_more_is_one_line(
    lockkeeper: Lockkeeper, arguments: tuple[str | Path, ...]
) -> None:
    """A full disk ends the command, with an exit code that is none of a finding."""
    finished = lockkeeper.writing_to(FULL, *arguments)
    assert finished.code != 0
    assert finished.err.splitlines()[-1] == (
        "lockkeeper: the output cannot be written: no space left on device"
    )
    assert "Traceback" not in finished.err


def test_names_of_any_script_are_written_on_any_terminal(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """As UTF-8, which is what programs read; what would move the cursor is not written."""
    name = "b\N{LATIN SMALL LETTER E WITH ACUTE}\N{CJK UNIFIED IDEOGRAPH-6F22}\\e[31m\\nx"
    text = 'apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: "NAME"}\nspec: {priority: x}\n'
    (tmp_path / "a.yaml").write_text(text.replace("NAME", name), encoding="utf-8")
    (tmp_path / "p.yaml").write_text(WRONG_POLICIES["good.yaml"])
    policies = ("--policies", tmp_path / "p.yaml")
    for command in (("lint",), ("review", *policies)):
        finished = lockkeeper(*command, tmp_path / "a.yaml", variables={"PYTHONIOENCODING": "ascii"})
        assert (finished.code, "Traceback" in finished.err) == (1, False)
        assert (
            "b\N{LATIN SMALL LETTER E WITH ACUTE}\N{CJK UNIFIED IDEOGRAPH-6F22}\ufffd[31m\ufffdx"
            in finished.out
        )


def test_a_reader_that_has_read_enough_changes_no_verdict(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """`set -o pipefail; lockkeeper lint ... | head` passes nothing that is wrong."""
    (tmp_path / "a.yaml").write_text(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a}\nspec: {parallelism: x}\n"
    )
    for command in (("lint",), ("review", "--policies", POLICIES)):
        finished = lockkeeper.with_closed_output(*command, tmp_path / "a.yaml")
        assert (finished.code, finished.err) == (1, "")


@pytest.mark.parametrize("arguments", [("lint", "nowhere"), ("locks", "--kubeconfig", "nowhere")], ids=str)
def test_nobody_reads_what_is_wrong(lockkeeper: Lockkeeper, arguments: tuple[str, ...]) -> None:
    """`lockkeeper ... 2>&1 | true` ends quietly, too."""
    finished = lockkeeper.with_closed_output(*arguments, errors_too=True)
    assert finished.code in (0, 2)
