"""The deterministic simulation: `python -m tests.simulation --seeds 10000`.

One seed decides everything: several webhook replicas and controllers of the real product (its review path,
its elector, release pass, tracker and controller) over the cluster in memory, an API server that mutates,
validates and stores, people who create, retry, resubmit, delete and edit quotas, an Argo that runs what is
not held; and what goes wrong between them: requests lost before or after the write, late, doubled, refused by
conflicts; watches that lag, break or are Gone; processes that crash at any await point, freeze, lose their
lease, have wrong clocks. Each actor is a thread, only one runs at a time, and every wait is virtual
(scheduler.py, threads.py), so the same seed gives the same trace to the byte.

After every write the referee (referee.py) checks the promises: no limit exceeded, nothing released twice,
epochs only rise, reservations before starts, order, and in the end, with the faults off, that all has run and
every slot is back. A failing seed is shrunk (shrinking.py) and printed step by step. `--planted NAME` plants
a bug (planted.py), to see that it is found; `--seed K` runs one seed and tells its story.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.simulation.features import WORKING
from tests.simulation.many import parts_of, run_many, run_one
from tests.simulation.planted import PLANTED
from tests.simulation.report import Totals, finding, story
from tests.simulation.scenario import Feature
from tests.simulation.shrinking import Shrunk, shrink
from tests.simulation.world import MOST_STEPS, Outcome, simulate

MOST_STORIES = 3
"""Failing seeds that are shrunk and told; more are only named."""
EVERY = 500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 where a promise was broken."""
    asked = _parser().parse_args(arguments)
    features = WORKING | {Feature[name] for name in asked.with_feature}
    if asked.seed is not None:
        return _one(asked.seed, features, asked.planted, asked.steps)
    return _many(range(asked.first, asked.first + asked.seeds), features, asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description="Simulate Lockkeeper under faults, from seeds."
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default %(default)s)")
    parser.add_argument("--seed", type=int, help="run this seed alone and tell its story")
    parser.add_argument("--planted", default="", choices=["", *PLANTED], help="plant a bug")
    parser.add_argument("--steps", type=int, default=MOST_STEPS, help="most steps of a run")
    parser.add_argument(
        "--with-feature",
        action="append",
        default=[],
        choices=[each.name for each in Feature],
        help="let people do something that the product does not stand yet",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser


def _one(seed: int, features: frozenset[Feature], planted: str, most_steps: int) -> int:
    outcome = run_one(seed, features, planted, most_steps)
    if outcome.rule:
        _tell(_shrink(outcome, features, planted, most_steps), outcome, features, planted)
        return 1
    _say(story(outcome))
    totals = Totals()
    totals.add(outcome)
    _say("\n".join(totals.lines()))
    return 0


def _many(seeds: range, features: frozenset[Feature], asked: argparse.Namespace) -> int:
    began = time.perf_counter()
    totals = Totals()
    for outcome in run_many(
        seeds,
        features=features,
        planted=asked.planted,
        most_steps=asked.steps,
        processes=asked.processes,
    ):
        totals.add(outcome)
        if outcome.rule and len(totals.failed) <= MOST_STORIES:
            whole = run_one(outcome.seed, features, asked.planted, asked.steps)
            _tell(_shrink(whole, features, asked.planted, asked.steps), whole, features, asked.planted)
        elif outcome.rule:
            _say(f"seed {outcome.seed} breaks {outcome.rule}: {outcome.finding}")
        if totals.seeds % EVERY == 0:
            _say(f"... {totals.seeds} seeds, {time.perf_counter() - began:.0f} s")
    _say("\n".join(totals.lines()))
    _say(f"{time.perf_counter() - began:.1f} s on {asked.processes} cores")
    return 1 if totals.failed else 0


def _shrink(outcome: Outcome, features: frozenset[Feature], planted: str, most_steps: int) -> Shrunk:
    def rerun(left_out: frozenset[str]) -> Outcome:
        return simulate(
            outcome.seed,
            features=features,
            parts=parts_of(planted),
            left_out=left_out,
            most_steps=most_steps,
        )

    return shrink(rerun, outcome)


def _tell(shrunk: Shrunk, outcome: Outcome, features: frozenset[Feature], planted: str) -> None:
    options = [f" --with-feature {each.name}" for each in sorted(features - WORKING)]
    options += [f" --planted {planted}"] if planted else []
    command = f"python -m tests.simulation --seed {outcome.seed}{''.join(options)}"
    _say(finding(outcome, shrunk, command))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
