"""Reads a Containerfile: its stages, and what each instruction says.

It knows the instructions that ours uses, and no other: one that these tests could not perform is an error and
is never passed over.
"""

import json
import re
import shlex
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[2]
CONTAINERFILE: Final = ROOT / "Containerfile"
_FLAG: Final = "--"


class Keyword(StrEnum):
    """The instructions that are understood."""

    FROM = "FROM"
    COPY = "COPY"
    RUN = "RUN"
    ENV = "ENV"
    LABEL = "LABEL"
    USER = "USER"
    WORKDIR = "WORKDIR"
    ENTRYPOINT = "ENTRYPOINT"
    CMD = "CMD"


_KEYWORDS: Final = frozenset(each.value for each in Keyword)


class NotUnderstoodError(Exception):
    """A line of a Containerfile that these tests cannot perform; `why` says what about it."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text, why)
        self.text = text
        self.why = why

    def __str__(self) -> str:
        return f"{self.why}: {self.text}"


class Instruction(msgspec.Struct, frozen=True):
    """One instruction with its lines joined."""

    keyword: Keyword
    text: str

    @property
    def pairs(self) -> dict[str, str]:
        """The `key=value` of an ENV or a LABEL. Raises NotUnderstoodError for the form without `=`."""
        words = shlex.split(self.text)
        if not all("=" in word for word in words):
            raise NotUnderstoodError(self.text, f"{self.keyword} takes key=value")
        return dict(word.split("=", 1) for word in words)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words of an ENTRYPOINT or CMD in exec form. Raises NotUnderstoodError for a shell's line."""
        try:
            return msgspec.convert(json.loads(self.text), tuple[str, ...])
        except ValueError as error:
            raise NotUnderstoodError(self.text, f"{self.keyword} is not in exec form") from error


class Copy(msgspec.Struct, frozen=True):
    """A COPY: from the context, or from the stage that `stage` names."""

    sources: tuple[str, ...]
    destination: str
    stage: str = ""


class Stage(msgspec.Struct, frozen=True):
    """One stage: what it builds on, and its instructions in order."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: Keyword) -> tuple[Instruction, ...]:
        """Return the instructions of one kind."""
        return tuple(each for each in self.instructions if each.keyword is keyword)

    def only(self, keyword: Keyword) -> Instruction:
        """Return the one instruction of a kind. Raises ValueError when there are none or several."""
        (found,) = self.all(keyword)
        return found

    @property
    def copies(self) -> tuple[Copy, ...]:
        """What it copies."""
        return tuple(copy_of(each) for each in self.all(Keyword.COPY))


def read(text: str) -> tuple[Stage, ...]:
    """Return the stages of a Containerfile. Raises NotUnderstoodError."""
    stages: list[Stage] = []
    for line in _joined(text):
        word, _, rest = line.partition(" ")
        if word not in _KEYWORDS:
            raise NotUnderstoodError(line, "an instruction that these tests do not know")
        instruction = Instruction(Keyword(word), rest.strip())
        if instruction.keyword is Keyword.RUN and instruction.text.startswith((_FLAG, "[", "<<")):
            raise NotUnderstoodError(line, "a RUN that is not a shell's line")
        if instruction.keyword is Keyword.FROM:
            stages.append(_stage(instruction))
        elif not stages:
            raise NotUnderstoodError(line, "an instruction before the first FROM")
        else:
            last = stages[-1]
            stages[-1] = Stage(last.base, last.name, (*last.instructions, instruction))
    return tuple(stages)


def copy_of(instruction: Instruction) -> Copy:
    """Return what a COPY says. Raises NotUnderstoodError for a flag other than --from."""
    words = shlex.split(instruction.text)
    flags = [word for word in words if word.startswith(_FLAG)]
    *sources, destination = (word for word in words if not word.startswith(_FLAG))
    stage = ""
    for flag in flags:
        name, _, value = flag.partition("=")
        if name != "--from":
            raise NotUnderstoodError(instruction.text, f"a flag that these tests do not know, {name}")
        stage = value
    return Copy(tuple(sources), destination, stage)


def place(copy: Copy, source: str, workdir: str) -> PurePosixPath:
    """Return where a source goes: a file into a folder that ends with `/`, a folder over the destination."""
    destination = PurePosixPath(workdir) / copy.destination
    into = copy.destination.endswith("/")
    return destination / PurePosixPath(source).name if into else destination


def _joined(text: str) -> list[str]:
    """Return the instructions, each on one line, without comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = "\n".join(lines)
    return re.sub(r"\s*\\\n\s*", " ", whole).splitlines()


def _stage(instruction: Instruction) -> Stage:
    match instruction.text.split():
        case [base]:
            return Stage(base, "", ())
        case [base, "AS", name]:
            return Stage(base, name, ())
        case _:
            raise NotUnderstoodError(instruction.text, "a FROM that these tests do not know")
