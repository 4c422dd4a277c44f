"""`make bench`: start the servers, measure them in turn, print one table of ratios (docs/performance.md)."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from bench.inprocess import Part, answer_bytes, load_policies, measure
from bench.load import Measured, Order
from bench.processes import HOST, ROOT, VARIANTS, Running, generator, running
from bench.recording import record
from bench.report import Results, Row, goals, rows, table
from bench.reviews import CASES, Case, body, uids, write_policies
from lockkeeper.certificates.loopback import loopback_certificate


class Plan(msgspec.Struct, frozen=True):
    """How long to measure: rounds of `seconds` for each server and size, and loops of the parts."""

    connections: int
    rounds: int
    seconds: float
    warm_up: float
    at_least: int
    loops: int
    loop_seconds: float


USUAL: Final = Plan(
    connections=16, rounds=4, seconds=1.5, warm_up=0.3, at_least=16, loops=12, loop_seconds=0.03
)
QUICK: Final = Plan(
    connections=4, rounds=1, seconds=0.1, warm_up=0.02, at_least=2, loops=2, loop_seconds=0.005
)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, help=f"rounds in ABBA order (default {USUAL.rounds})")
    parser.add_argument(
        "--seconds", type=float, help=f"of one measurement; there are 12 a round (default {USUAL.seconds:g})"
    )
    parser.add_argument(
        "--quick", action="store_true", help="only see whether it works; the figures mean little"
    )
    parser.add_argument("--record", action="store_true", help="write the table to docs and bench/results")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    return parser.parse_args()


def plan_of(given: argparse.Namespace) -> Plan:
    """Return the plan with what the command line says otherwise."""
    usual = QUICK if given.quick else USUAL
    rounds = usual.rounds if given.rounds is None else max(1, given.rounds)
    seconds = usual.seconds if given.seconds is None else max(0.05, given.seconds)
    return msgspec.structs.replace(usual, rounds=rounds, seconds=seconds)


def cpus() -> tuple[int, int]:
    """Return the CPU of the server and that of the load generator; they are one where there is one only."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


class Bench:
    """One run: the servers that answer, and what was measured of them."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._server_cpu, self._load_cpu = cpus()
        self._authority, _ = loopback_certificate(folder / "certs", HOST)

    def run(self) -> tuple[Results, list[Part]]:
        """Measure the parts, then the servers in ABBA order, so that a drift of the machine cancels out."""
        plan = self._plan
        policies = write_policies(self._folder / "policies")
        snapshot = load_policies(policies)
        whole = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._server_cpu})
        log = self._folder / "parts.log"
        parts = measure(snapshot, log, loops=plan.loops, seconds=plan.loop_seconds)
        os.sched_setaffinity(0, whole)
        answers = {case: answer_bytes(case, snapshot) for case in CASES}
        results: Results = {(case.name, variant): [] for case in CASES for variant in VARIANTS}
        with (
            running(self._folder, policies, self._server_cpu) as servers,
            generator(self._load_cpu) as load,
        ):
            for number in range(plan.rounds):
                for case in CASES:
                    for variant in VARIANTS if number % 2 == 0 else reversed(VARIANTS):
                        measured = carry_out(load, self._order(case, servers[variant], answers[case]))
                        results[case.name, variant].append(measured)
        return results, parts

    def _order(self, case: Case, server: Running, answer: int) -> Order:
        return Order(
            port=server.port,
            authority=str(self._authority.authority_cert),
            pids=server.pids,
            path=server.path(answer),
            bodies={uid: body(case, uid) for uid in uids(self._plan.connections)},
            echoes=server.echoes,
            warm_up=self._plan.warm_up,
            seconds=self._plan.seconds,
            at_least=self._plan.at_least,
        )


def carry_out(load: subprocess.Popen[bytes], order: Order) -> Measured:
    """Have the load generator carry out an order."""
    if load.stdin is None or load.stdout is None:
        raise RuntimeError("the load generator was started without pipes")
    load.stdin.write(msgspec.json.encode(order) + b"\n")
    load.stdin.flush()
    line = load.stdout.readline()
    if not line:
        raise RuntimeError("the load generator ended; what it wrote above tells why")
    return msgspec.json.decode(line, type=Measured)


def describe(plan: Plan) -> str:
    """Return the line above the table."""
    server, load = cpus()
    where = f"server on CPU {server}, load on CPU {load}"
    if server == load:
        where = f"THERE IS ONE CPU ONLY ({server}): server and load share it, so requests/s say little"
    return (
        f"CREATE of a Workflow, 20 policies, {plan.connections} keep-alive TLS connections; {where};\n"
        f"medians of {plan.rounds} rounds of {plan.seconds:g} s in ABBA order; load of the machine "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs, our own two processes included"
    )


def main() -> int:
    """Run and print; a signal to end is an exception, so that the servers are ended as well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = arguments()
    plan = plan_of(given)
    with tempfile.TemporaryDirectory(prefix="lockkeeper-bench-") as folder:
        results, parts = Bench(plan, Path(folder)).run()
    found: list[Row] = rows(results, parts)
    if given.output == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
        return 0
    text = "\n".join((describe(plan), table(results, parts), goals(found)))
    print(text)
    if given.record:
        print(f"written to {record('bench', text).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
