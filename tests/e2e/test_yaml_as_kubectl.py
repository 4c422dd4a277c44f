"""YAML against the library with which kubectl, Argo and Helm read it, built from its Go module.

Scalars are generated, near those that are numbers, booleans, null or dates and those that almost are; then
documents with tags, anchors, merges, repeated keys, quotes and block scalars.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import pytest

from policy.sources.yaml_positions import Json, parse
from tests.e2e.building import CACHE
from tests.e2e.made_once import alone

pytestmark = pytest.mark.e2e
MODULE: Final = Path(__file__).with_name("goyaml")
WORDS: Final = ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "nan", "inf", "none", "t")
PIECES: Final = (
    *("0", "00", "0x", "0X", "0b", "0B", "0o", "0O", "1", "7", "8", "9", "12", "a", "F", "f", "10"),
    *("_", "__", "-", "+", ".", "e", "E", "e5", "E-3", "e400", ":30", "1:30", "2001-01-01", "T", "Z", " "),
    *("9223372036854775807", "9223372036854775808", "18446744073709551616", ".inf", ".NaN", "=", "<<", "yes"),
)
TAGS: Final = (
    *("!!str", "!!int", "!!float", "!!bool", "!!null", "!!binary", "!!timestamp", "!own", "!!set"),
    *("!!merge", "!!value"),
)
SCALARS: Final = 30_000
DOCUMENTS: Final = 8_000
_HIGHEST: Final = 2**63


class Answer(NamedTuple):
    """What the library makes of a text: a value or none at all, and whether a key is given twice in it."""

    value: Json
    refused: bool
    twice: bool = False


@pytest.fixture(scope="module")
def goyaml() -> Path:
    """Return the program that asks the library."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go to build the YAML library with")
    made_of = sha256(b"".join((MODULE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")))
    program = CACHE / "goyaml" / made_of.hexdigest()[:12]
    with alone(program):
        if not program.is_file():
            subprocess.run(["go", "build", "-o", program, "."], cwd=MODULE, check=True)  # noqa: S603, S607 - fixed
    return program


def _asked(program: Path, texts: Sequence[str]) -> list[Answer]:
    lines = "".join(f"{base64.b64encode(text.encode()).decode()}\n" for text in texts)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return [_answer(line) for line in done.stdout.splitlines()]


def _answer(line: str) -> Answer:
    if line == "refused":
        return Answer(None, refused=True)
    twice, _, text = line.partition("\t")
    return Answer(json.loads(text, parse_int=_whole), refused=False, twice=twice == "true")


def _whole(digits: str) -> int | float:
    """Return a whole number as readers of JSON take it: a larger one is a floating-point number."""
    number = int(digits)
    return number if -_HIGHEST <= number < _HIGHEST else float(digits)


def _ours(text: str) -> Answer:
    parsed = parse(text.encode())
    faults = [fault for document in parsed.documents for fault in document.faults]
    if parsed.fault is not None or any(not fault.repeated for fault in faults):
        return Answer(None, refused=True)
    (document,) = parsed.documents
    value = json.loads(json.dumps(document.value), parse_int=_whole)
    return Answer(value, refused=False, twice=bool(faults))


def _same(one: Json, other: Json) -> bool:
    """Return whether values are the same, with their types: True is not 1."""
    return repr(_sorted(one)) == repr(_sorted(other))


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _scalar(random: Random) -> str:
    if random.random() < 0.3:
        word = random.choice(WORDS)
        cased = random.choice(
            (word, word.upper(), word.title(), word.swapcase(), word[:1].upper() + word[1:])
        )
        return random.choice(("", "", "", ".", "+", "-.", "+.")) + cased
    return "".join(random.choice(PIECES) for _ in range(random.choice((1, 1, 2, 2, 3, 3, 4, 5))))


def _scalar_text(random: Random) -> str:
    scalar = _scalar(random)
    tag = f"{random.choice(TAGS)} " if random.random() < 0.2 else ""
    quote = random.choice(("", "", "", "", "'", '"'))
    return f"{tag}{quote}{scalar}{quote}"


class _Writer:
    """Writes one random document."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._anchors = 0

    def document(self) -> str:
        """Return a map in block style."""
        return self._map(0)

    def _map(self, depth: int) -> str:
        random, lines = self._random, []
        keys = ["a", "b", "on", "1", "0x1", "1.5", "y", '"y"', "c d", "2001-01-01", ".5e3", "1e7", "é"]
        for _ in range(random.randint(1, 4)):
            indent = "  " * depth
            if self._anchors and random.random() < 0.15:
                aliases = [f"*x{random.randrange(self._anchors)}" for _ in range(random.randint(1, 3))]
                merged = aliases[0] if len(aliases) == 1 else f"[{', '.join(aliases)}]"
                lines.append(f"{indent}<<: {merged}")
            lines.append(f"{indent}{random.choice(keys)}:{self._value(depth)}")
        return "\n".join(lines)

    def _value(self, depth: int) -> str:
        random = self._random
        anchor = ""
        if random.random() < 0.25:
            again = self._anchors > 0 and random.random() < 0.2
            number = random.randrange(self._anchors) if again else self._anchors
            anchor, self._anchors = f" &x{number}", self._anchors + (not again)
        match random.randrange(8 if depth < 3 else 5):
            case 0 if self._anchors > bool(anchor):
                return f" *x{random.randrange(self._anchors - bool(anchor))}"
            case 1:
                entries = ", ".join(_scalar_text(random) for _ in range(random.randint(0, 3)))
                return f"{anchor} [{entries}]"
            case 2:
                inside = "\n".join(f"{'  ' * (depth + 2)}{_scalar(random)}" for _ in range(2))
                return f"{anchor} {random.choice('|>')}{random.choice(('', '-', '+'))}\n{inside}"
            case 3 | 4:
                return f"{anchor} {_scalar_text(random)} # {_scalar(random)}"
            case 5:
                indent = "  " * (depth + random.randint(0, 1))
                return anchor + "".join(f"\n{indent}- {_scalar_text(random)}" for _ in range(2))
            case _:
                return f"{anchor}\n{self._map(depth + 1)}"


def _differing(program: Path, texts: Sequence[str]) -> list[tuple[str, Answer, Answer]]:
    """Return the texts of which we make something else, and what the library and we make of them."""
    answers = _asked(program, texts)
    both = [(text, theirs, _ours(text)) for text, theirs in zip(texts, answers, strict=True)]
    assert sum(theirs.refused for _, theirs, _ in both) < len(both) * 2 // 3
    return [each for each in both if _differs(*each)]


def _differs(text: str, theirs: Answer, ours: Answer) -> bool:
    merges = "<<:" in text
    if theirs.refused and not ours.refused and (ours.twice or merges):
        return False  # For a value that another takes the place of, at which we do not look.
    if ours.refused is not theirs.refused or not _same(ours.value, theirs.value):
        return True
    # Its strict reader takes an entry for repeated, too, that differs from a merged one before it.
    return ours.twice is not theirs.twice and not (merges and theirs.twice)


def test_a_scalar_is_what_it_is_to_kubectl(goyaml: Path) -> None:
    """A label `on` is the boolean that the API server refuses, and 08 a number."""
    random = Random(1)
    scalars = sorted({_scalar_text(random) for _ in range(SCALARS)})
    values, keys = [f"a: {each}\n" for each in scalars], [f"{each}: 1\n" for each in scalars]
    assert _differing(goyaml, values + keys) == []


def test_a_document_is_what_it_is_to_kubectl(goyaml: Path) -> None:
    """Merges, anchors and repeated keys give the object that is created."""
    random = Random(2)
    assert _differing(goyaml, [_Writer(random).document() + "\n" for _ in range(DOCUMENTS)]) == []
