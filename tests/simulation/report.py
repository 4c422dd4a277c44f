"""What a person reads: the plainest failing run, step by step, and the counts of all runs."""

from collections import Counter
from collections.abc import Iterable

from tests.simulation.scheduler import SECOND
from tests.simulation.shrinking import Shrunk
from tests.simulation.world import Outcome

BORING = ("get leases", "replace leases", "watch workflows", "list workflows")


def story(outcome: Outcome) -> str:
    """Return the trace, one step a line, without the calls that only keep things going."""
    lines = [
        f"{at / SECOND:10.3f}  {who:34} {what}"
        for at, who, what in outcome.trace
        if not (what.startswith(BORING) and ":" not in what)
    ]
    return "\n".join(lines)


def finding(failing: Outcome, shrunk: Shrunk, command: str) -> str:
    """Return the report about one failing seed."""
    best = shrunk.outcome
    return "\n".join(
        [
            f"seed {failing.seed} breaks {failing.rule}: {failing.finding}",
            f"shrunk from {failing.steps} steps to {best.steps} in {shrunk.runs} runs: {best.finding}",
            f"again, whole: {command}",
            f"decisions left ({len(shrunk.decisions)}): {'; '.join(shrunk.decisions)}",
            "   seconds  who                                what",
            story(best),
        ]
    )


class Totals:
    """Sums over many runs."""

    def __init__(self) -> None:
        self.seeds = 0
        self.steps = 0
        self.releases = 0
        self.admissions = 0
        self.virtual_seconds = 0
        self.faults: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.failed: list[tuple[int, str, str]] = []

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.seeds += 1
        self.steps += outcome.steps
        self.releases += outcome.releases
        self.admissions += outcome.admissions
        self.virtual_seconds += outcome.virtual_seconds
        self.faults.update(outcome.faults)
        self.crashes.update(outcome.crashes)
        if outcome.rule:
            self.failed.append((outcome.seed, outcome.rule, outcome.finding))

    def lines(self) -> Iterable[str]:
        """Return the closing lines."""
        yield (
            f"{self.seeds} seeds, {self.steps} steps, {self.virtual_seconds} virtual seconds: "
            f"{self.admissions} Workflows admitted, {self.releases} released"
        )
        yield f"{sum(self.faults.values())} faults:"
        for name, count in sorted(self.faults.items(), key=lambda each: (-each[1], each[0])):
            yield f"  {count:8} {name}"
        crashed = ", ".join(f"{count} of {name}s" for name, count in sorted(self.crashes.items()))
        yield f"{sum(self.crashes.values())} crashes{f': {crashed}' if crashed else ''}"
        yield f"{len(self.failed)} seeds failed" if self.failed else "every promise was kept"
