"""`lockkeeper completion`: scripts that shells take, with every command and the names of the cluster."""

import shutil
import subprocess

import pytest

from lockkeeper.cli.commands import COMMANDS
from tests.lockkeeper.commands import Lockkeeper


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_script_knows_every_command_and_asks_for_names(lockkeeper: Lockkeeper, shell: str) -> None:
    """The parser itself is what it is made of."""
    finished = lockkeeper("completion", shell)
    assert (finished.code, finished.err) == (0, "")
    assert all(each.name in finished.out for each in COMMANDS)
    assert "lockkeeper queue -o name" in finished.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(("typed", "offered"), [("stat", "status"), ("qu", "queue"), ("comp", "completion")])
def test_bash_completes_a_command(lockkeeper: Lockkeeper, typed: str, offered: str) -> None:
    """Sourced, and asked as bash asks at a tab."""
    script = lockkeeper("completion", "bash").out
    asks = f'COMP_WORDS=(lockkeeper {typed}); COMP_CWORD=1; _shtab_lockkeeper; echo "${{COMPREPLY[@]}}"'
    found = subprocess.run(["bash", "-c", f"{script}\n{asks}"], capture_output=True, text=True, check=True)  # noqa: S603, S607 - the shell of the test
    assert found.stdout.split() == [offered]


def test_another_shell_is_a_usage_error(lockkeeper: Lockkeeper) -> None:
    """The shells that there are scripts for are named."""
    finished = lockkeeper("completion", "fish")
    assert finished.code == 2
    assert "bash" in finished.err.splitlines()[-1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("option", ["", "-n team-etl ", "--context blue -n team-ml "])
def test_bash_completes_names_of_the_namespace_that_the_line_names(
    lockkeeper: Lockkeeper, option: str
) -> None:
    """The cluster is asked as the command itself would ask it."""
    script = lockkeeper("completion", "bash").out
    cluster = (
        'lockkeeper() { echo "$@" >&2; printf "workflow/load-1\\nworkflow/load-2\\nworkflow/other\\n"; }'
    )
    words = f"COMP_WORDS=(lockkeeper why {option}lo); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))"
    asks = f"{words}; _lockkeeper_workflows lo"
    whole = f"{script}\n{cluster}\n{asks}".replace("2>/dev/null", "")
    found = subprocess.run(["bash", "-c", whole], capture_output=True, text=True, check=True)  # noqa: S603, S607 - the shell of the test
    assert found.stdout.split() == ["load-1", "load-2"]
    assert found.stderr.split() == ["queue", "-o", "name", *option.split()]
