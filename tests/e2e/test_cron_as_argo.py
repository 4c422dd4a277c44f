"""Schedules of windows against Argo's and Kubernetes' own parser, robfig/cron v3, built from its Go module.

The schedules are generated: forms that it takes and forms that it refuses, in zones that change their clocks
in every way, over 25 years.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import pytest

from policy.core.values.cron_schedule import FIELDS, SHORTHANDS, Cron, CronField, zone_named
from tests.e2e.building import CACHE
from tests.e2e.made_once import alone

pytestmark = pytest.mark.e2e
MODULE: Final = Path(__file__).with_name("robfig")
PLAIN: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Tokyo", "America/Chicago")
"""Zones in which clocks change by whole hours, and not at midnight."""
ODD: Final = ("Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "America/Sao_Paulo", "Asia/Tehran")
"""By half an hour, or at midnight: there `Next` passes over some moments, up to a year of them."""
REFUSED: Final = (
    "7",
    "L",
    "5W",
    "2#1",
    "a",
    "+3",
    "05",
    "1-2-3",
    "1/2/3",
    "0",
    "60",
    "-1",
    "*/0",
    "5-",
    "*-5",
)
"""Most of them are refused, some of them only in some fields."""
CASES: Final = 8_000


class Case(NamedTuple):
    """A schedule, and after when it is asked for."""

    zone: str
    after: int
    schedule: str


@pytest.fixture(scope="module")
def robfig() -> Path:
    """Return the program that asks robfig/cron."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go to build robfig/cron with")
    made_of = sha256(b"".join((MODULE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")))
    program = CACHE / "robfig" / made_of.hexdigest()[:12]
    with alone(program):
        if not program.is_file():
            subprocess.run(["go", "build", "-o", program, "."], cwd=MODULE, check=True)  # noqa: S603, S607 - fixed
    return program


def _asked(program: Path, cases: Sequence[Case]) -> list[str]:
    lines = "".join(f"{case.zone}\t{case.after}\t{case.schedule}\n" for case in cases)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return done.stdout.splitlines()


def _answered(case: Case, moments: int) -> str:
    """Return what we say of a case, in the words of the program."""
    try:
        cron = Cron(case.schedule, zone_named(case.zone))
    except ValueError as error:
        return "-" if "never occurs" in str(error) else "refused"
    return " ".join(_following(cron, case.after, moments))


def _following(cron: Cron, after: int, moments: int) -> Iterator[str]:
    now = datetime.fromtimestamp(after, UTC)
    for _ in range(moments):
        moment = cron.next(now)
        if moment is None:
            yield "-"
            return
        now = moment
        yield str(int(now.timestamp()))


def _range(random: Random, field: CronField) -> str:
    if random.random() < 0.05:
        return random.choice(REFUSED)
    low = random.randint(field.low, field.high)
    high = random.randint(low, field.high)
    step = random.choice((1, 2, 3, 5, 7, 15, 70))
    star = random.choice("*?")
    forms = (star, star, f"{star}/{step}", str(low), f"{low}-{high}", f"{low}-{high}/{step}", f"{low}/{step}")
    words = (random.choice(list(field.words)),) if field.words else ()
    chosen: str = random.choice((*forms, *words))
    return chosen


def _schedule(random: Random) -> str:
    if random.random() < 0.03:
        return random.choice((*SHORTHANDS, "@often", "@reboot", "", "* * * *", "0 * * * * *"))
    lists = [
        ",".join(_range(random, field) for _ in range(random.choice((1, 1, 1, 2, 3)))) for field in FIELDS
    ]
    return " ".join(lists)


def _cases(seed: int, zones: Sequence[str]) -> list[Case]:
    random = Random(seed)
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2012, 2037))
    return [Case(random.choice(zones), random.randint(first, last), _schedule(random)) for _ in range(CASES)]


def test_it_takes_the_same_lines_and_comes_at_the_same_moments(robfig: Path) -> None:
    """Whoever copies the line of a CronWorkflow into a window gets the window at its runs."""
    cases = _cases(1, PLAIN)
    answers = _asked(robfig, cases)
    differing = [
        (case, theirs) for case, theirs in zip(cases, answers, strict=True) if _answered(case, 4) != theirs
    ]
    assert differing == []
    assert answers.count("refused") > CASES // 50
    assert answers.count("-") < CASES // 10


def test_where_theirs_passes_over_moments_it_has_none_of_its_own(robfig: Path) -> None:
    """In zones with odd changes all of its moments are among ours."""
    cases = _cases(2, ODD)
    answers = _asked(robfig, cases)
    differing = 0
    for case, theirs in zip(cases, answers, strict=True):
        ours = _answered(case, 4)
        if ours == theirs:
            continue
        differing += 1
        cron = Cron(case.schedule, zone_named(case.zone))
        for moment in theirs.split():
            at = datetime.fromtimestamp(int(moment), UTC)
            assert cron.last(at) == at, (case, theirs, ours)
    assert differing < CASES // 100
