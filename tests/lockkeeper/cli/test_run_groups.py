"""`lockkeeper run` on the example of groups: what each key lets run, in the order in which it is told."""

import pytest

from tests.lockkeeper.commands import EXAMPLES, Lockkeeper

FOLDER = EXAMPLES / "groups"
MAIN = ("shop-main-1", "shop-main-2", "shop-main-3")
RELEASES = ("shop-release-1", "shop-release-2")


@pytest.fixture(scope="module")
def lines(shared: Lockkeeper) -> list[tuple[str, str]]:
    """Play the example once; return the name and the text of each line about a Workflow."""
    play = ("--policies", FOLDER / "policies", "--workflows", FOLDER / "workflows")
    with shared.started("run", *play, "--once", "--port", "0", "--task-time", "0.5") as running:
        assert running.wait() == 0, running.text
        parts = [line.split(maxsplit=2) for line in running.text.splitlines() if line.startswith("ci ")]
    return [(name, text) for _, name, text in parts]


def at(lines: list[tuple[str, str]], name: str, begin: str) -> int:
    """Return the place of the first line about a Workflow that begins so."""
    return next(place for place, each in enumerate(lines) if each[0] == name and each[1].startswith(begin))


@pytest.mark.parametrize("of_key", [MAIN, RELEASES], ids=["a branch", "releases of a repository"])
def test_one_of_a_key_runs_at_a_time(lines: list[tuple[str, str]], of_key: tuple[str, ...]) -> None:
    """The end of each is told before the start of the next; on a busy machine one may never have run."""
    told = [text.split()[0].rstrip(",") for name, text in lines if name in of_key]
    steps = [each for each in told if each in ("running", "finished")]
    assert steps == ["running", "finished"] * (len(steps) // 2)
    assert at(lines, of_key[-1], "running") < at(lines, of_key[-1], "finished")


def test_each_release_runs_to_its_end(lines: list[tuple[str, str]]) -> None:
    """Under Queue nobody is superseded."""
    ran = [name for name, text in lines if name in RELEASES and text.startswith(("running", "finished"))]
    assert ran == [RELEASES[0], RELEASES[0], RELEASES[1], RELEASES[1]]


def test_other_keys_wait_for_none_of_them(lines: list[tuple[str, str]]) -> None:
    """Another branch, and the same branch of another repository."""
    for name in ("shop-fix", "cart-main"):
        assert [text.split(",")[0] for each, text in lines if each == name] == ["running", "finished"]


def test_who_lacks_a_part_of_the_key_is_told_which(lines: list[tuple[str, str]]) -> None:
    """By its field."""
    denied = lines[at(lines, "shop-no-branch", "denied")][1]
    assert "spec.arguments.parameters[branch]: is absent or empty" in denied
