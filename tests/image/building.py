"""Performs the steps of the Containerfile: the builder's as they are written, and the copy that follows.

What a container engine alone could do is not tried: pulling the base, and what lies in it. In its place the
builder gets this machine's commands and the interpreter of these tests as `python`; the image gets that
interpreter and the machine's libraries.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

from tests.e2e.made_once import alone
from tests.image.confinement import INTERPRETER, LIBRARIES, PYTHON, TEMPORARY, TOOLS, Confined
from tests.image.containerfile import (
    CONTAINERFILE,
    ROOT,
    Copy,
    Instruction,
    Keyword,
    Stage,
    copy_of,
    place,
    read,
)

BUILDER: Final = "builder"
TRIED: Final = "tried"
"""The folder beside the image's with the same files, for roots."""
_PATIENCE: Final = 300.0
_BASE_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON_FOLDER: Final = "/base-image"


class StepFailedError(Exception):
    """A RUN of the Containerfile failed; `output` is what it said."""

    def __init__(self, step: str, output: str) -> None:
        super().__init__(step, output)
        self.step = step
        self.output = output

    def __str__(self) -> str:
        return f"RUN {self.step} failed:\n{self.output[-3000:]}"


class Image(msgspec.Struct, frozen=True):
    """What the last stage says about running, and the folder that holds its files."""

    folder: Path
    environment: dict[str, str]
    workdir: str
    user: int
    entry_point: tuple[str, ...]

    def root(self, **shown: Path) -> Confined:
        """Return the image's root as the chart runs it: read-only, another user, only /tmp to be written.

        `shown` are folders of this machine that a test mounts, by name. The root is made of a copy, because
        what the machine lends needs places that the image does not have.
        """
        return Confined(
            self.folder.with_name(TRIED),
            (*LIBRARIES, *INTERPRETER),
            {f"/{name}": path for name, path in shown.items()},
            user=self.user,
            frozen=True,
        )

    def command(self, *arguments: str, root: Confined) -> list[str]:
        """Return the command line of a container with these arguments."""
        return root.command(*self.entry_point, *arguments, environment=self.environment, workdir=self.workdir)


class Builder:
    """The builder's stage under way: where it stands, and what it has set."""

    def __init__(self, folder: Path) -> None:
        self.root = Confined(folder, (*TOOLS, *INTERPRETER))
        self._workdir = "/"
        self._set: dict[str, str] = {}
        base = self.root.path(_PYTHON_FOLDER)
        base.mkdir(parents=True)
        wrapper = base / "python"
        wrapper.write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)

    def perform(self, instruction: Instruction) -> None:
        """Perform one instruction. Raises StepFailedError."""
        match instruction.keyword:
            case Keyword.ENV:
                self._set |= instruction.pairs
            case Keyword.WORKDIR:
                self._workdir = instruction.text
                self.root.path(self._workdir).mkdir(parents=True, exist_ok=True)
            case Keyword.COPY:
                copied = copy_of(instruction)
                copy_into(self.root.folder, copied, origin=ROOT, workdir=self._workdir)
            case Keyword.RUN:
                self._run(instruction.text)
            case other:
                raise AssertionError(f"{other} has no place in the builder")

    def _run(self, line: str) -> None:
        """Run a line of the shell, with the settings that this machine has for its package index."""
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        environment = {**ours, "HOME": TEMPORARY, "PATH": f"{_PYTHON_FOLDER}:{_BASE_PATH}", **self._set}
        command = self.root.command("/bin/sh", "-c", line, environment=environment, workdir=self._workdir)
        done = subprocess.run(  # noqa: S603 - what our own Containerfile says
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise StepFailedError(line, done.stdout)


def build(folder: Path) -> Image:
    """Perform every step of the Containerfile below a folder. Raises StepFailedError."""
    stages = read(CONTAINERFILE.read_text(encoding="utf-8"))
    by_name = {stage.name: stage for stage in stages}
    builder = Builder(folder / BUILDER)
    for instruction in by_name[BUILDER].instructions:
        builder.perform(instruction)
    return _assemble(stages[-1], builder.root.folder, folder / "image")


def build_once(folder: Path) -> Image:
    """Build, or take what another process has built there. Raises StepFailedError."""
    with alone(folder):
        built = folder / "built.json"
        if not built.is_file():
            folder.mkdir()
            image = build(folder)
            built.write_bytes(msgspec.json.encode(image, enc_hook=str))
        return msgspec.json.decode(built.read_bytes(), type=Image, dec_hook=lambda kind, text: kind(text))


def copy_into(root: Path, copy: Copy, *, origin: Path, workdir: str) -> None:
    """Copy as the engine does, without what .containerignore keeps back from inside the folders."""
    for source in copy.sources:
        destination = root / place(copy, source, workdir).relative_to("/")
        destination.parent.mkdir(parents=True, exist_ok=True)
        here = origin / source.lstrip("/")
        if here.is_dir():
            ignore = None if copy.stage else shutil.ignore_patterns("__pycache__")
            shutil.copytree(here, destination, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        else:
            shutil.copy2(here, destination)


def _assemble(stage: Stage, builder: Path, folder: Path) -> Image:
    """Make the files of the image from what the builder left, and take down how it is run."""
    folder.mkdir()
    environment: dict[str, str] = {}
    for instruction in stage.all(Keyword.ENV):
        environment |= instruction.pairs
    for copied in stage.copies:
        copy_into(folder, copied, origin=builder, workdir="/")
    shutil.copytree(folder, folder.with_name(TRIED), symlinks=True, copy_function=os.link)
    user, _, _ = stage.only(Keyword.USER).text.partition(":")
    return Image(
        folder,
        environment,
        stage.only(Keyword.WORKDIR).text,
        int(user),
        stage.only(Keyword.ENTRYPOINT).arguments,
    )
