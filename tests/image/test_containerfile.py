"""What the Containerfile says: pinned, without root, in step with the project, and readable by the tests."""

import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
import pytest

from tests.image.containerfile import (
    CONTAINERFILE,
    ROOT,
    Keyword,
    NotUnderstoodError,
    Stage,
    place,
    read,
)

PINNED: Final = re.compile(r"[a-z0-9./-]+/[a-z0-9-]+:\d+\.\d+\.\d+(-[a-z0-9.-]+)?")
"""A registry's name and a tag with a patch version."""


class Wheel(msgspec.Struct, frozen=True):
    """The packages of the wheel."""

    packages: tuple[str, ...]


class Project(msgspec.Struct, frozen=True):
    """What pyproject.toml says about the project."""

    version: str
    description: str
    license: str


@pytest.fixture(scope="module")
def stages() -> tuple[Stage, ...]:
    """Return the stages."""
    return read(CONTAINERFILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def final(stages: tuple[Stage, ...]) -> Stage:
    """Return the stage that becomes the image."""
    return stages[-1]


def from_elsewhere(stages: tuple[Stage, ...]) -> list[str]:
    """Return the bases that are images and no stages."""
    return [stage.base for stage in stages if stage.base not in {each.name for each in stages}]


def from_the_context(stages: tuple[Stage, ...]) -> set[str]:
    """Return what is copied out of the project's folder."""
    return {source for stage in stages for copy in stage.copies if not copy.stage for source in copy.sources}


def let_through() -> set[str]:
    """Return what .containerignore gives to the engine, from its one form: everything is out but `!name`."""
    lines = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return {rule.removeprefix("!") for rule in rules if rule.startswith("!")}


def test_every_base_is_pinned_to_a_patch_release(stages: tuple[Stage, ...]) -> None:
    """A build of tomorrow starts from what was tried today; `latest` would be anything."""
    bases = from_elsewhere(stages)
    assert bases
    assert [base for base in bases if not PINNED.fullmatch(base)] == []


def test_the_image_says_what_it_is(stages: tuple[Stage, ...], final: Stage) -> None:
    """The labels agree with pyproject.toml and with the base, which nobody would think of changing here."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = msgspec.convert(document["project"], Project)
    assert final.only(Keyword.LABEL).pairs == {
        "org.opencontainers.image.title": "lockkeeper",
        "org.opencontainers.image.description": project.description,
        "org.opencontainers.image.version": project.version,
        "org.opencontainers.image.licenses": project.license,
        "org.opencontainers.image.base.name": from_elsewhere(stages)[0],
    }


def test_the_image_runs_as_a_number_that_is_not_root(final: Stage) -> None:
    """`runAsNonRoot` can be judged by the kubelet only where the user is a number."""
    assert final.only(Keyword.USER).text == "65532:65532"


def test_the_entry_point_is_a_path_and_needs_no_shell(final: Stage) -> None:
    """Signals reach the program itself, which is process 1."""
    assert final.only(Keyword.ENTRYPOINT).arguments == ("/opt/lockkeeper/bin/lockkeeper",)
    assert final.only(Keyword.CMD).arguments == ("--help",)


def test_the_last_stage_runs_nothing(final: Stage) -> None:
    """It is the base and what the builder made, and no tool that made it."""
    assert final.all(Keyword.RUN) == ()
    assert [copy.stage for copy in final.copies] == ["builder"]


def test_every_package_of_the_wheel_is_copied(stages: tuple[Stage, ...]) -> None:
    """A new package would be missing in the image alone."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = msgspec.convert(document["tool"]["hatch"]["build"]["targets"]["wheel"], Wheel)
    assert set(wheel.packages) <= from_the_context(stages)


def test_the_engine_gets_what_is_copied_and_nothing_else(stages: tuple[Stage, ...]) -> None:
    """Neither .git nor .venv is sent to the engine, and no COPY fails there for want of its source."""
    copied = from_the_context(stages)
    assert let_through() == copied
    assert [source for source in sorted(copied) if not (ROOT / source).exists()] == []


def test_an_instruction_that_is_not_known_is_an_error() -> None:
    """What these tests cannot perform must not slip into the image untried."""
    with pytest.raises(NotUnderstoodError, match="do not know: ADD https"):
        read("FROM a:1.0.0\nADD https://example.com/x /x\n")


@pytest.mark.parametrize(
    "text", ["FROM --platform=linux/arm64 a", "RUN true", "FROM a\nRUN --mount=type=secret true"]
)
def test_forms_that_are_not_known_are_errors(text: str) -> None:
    """The same for a form of a known instruction."""
    with pytest.raises(NotUnderstoodError):
        read(text)


def test_a_copy_with_a_flag_that_is_not_known_is_an_error() -> None:
    """An owner, say, would be lost without a word."""
    (stage,) = read("FROM a\nCOPY --chown=1:1 x /y\n")
    with pytest.raises(NotUnderstoodError, match="--chown"):
        assert stage.copies


def test_an_entry_point_that_needs_a_shell_is_an_error() -> None:
    """The shell's form would put a shell in front."""
    (stage,) = read("FROM a\nENTRYPOINT lockkeeper serve\n")
    with pytest.raises(NotUnderstoodError, match="exec form"):
        assert stage.only(Keyword.ENTRYPOINT).arguments


def test_an_environment_in_the_old_form_is_an_error() -> None:
    """`ENV key value` reads like two keys."""
    (stage,) = read("FROM a\nENV key value\n")
    with pytest.raises(NotUnderstoodError, match="key=value"):
        assert stage.only(Keyword.ENV).pairs


def test_lines_are_joined_and_comments_dropped() -> None:
    """Ours are written over several lines."""
    (stage,) = read('# No.\nFROM a AS b\nRUN one \\\n    # Nor this.\n    && two\nENV A=1 \\\n  B="2 3"\n')
    assert (stage.base, stage.name) == ("a", "b")
    assert stage.only(Keyword.RUN).text == "one && two"
    assert stage.only(Keyword.ENV).pairs == {"A": "1", "B": "2 3"}


def test_a_copy_goes_where_the_engine_would_put_it() -> None:
    """A file goes into a folder, a folder becomes the destination."""
    (stage,) = read("FROM a\nCOPY one two ./\nCOPY lockkeeper lockkeeper\nCOPY --from=b /opt/x /opt/y\n")
    files, folder, stage_copy = stage.copies
    assert place(files, "one", "/src") == PurePosixPath("/src/one")
    assert place(folder, "lockkeeper", "/src") == PurePosixPath("/src/lockkeeper")
    assert place(stage_copy, "/opt/x", "/") == PurePosixPath("/opt/y")


def test_the_containerfile_is_where_engines_look_for_it() -> None:
    """`podman build .` finds it by its name."""
    assert Path("Containerfile") == CONTAINERFILE.relative_to(ROOT)
