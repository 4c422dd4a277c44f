"""`make bench-compare ARGS="BASE"`: this build against another one, in turn (docs/performance.md).

BASE is a folder with the other build, a worktree of git for one. Both servers decide on the same policies and
run on the same CPU; rounds go ABBA. CPU time is that of the servers' processes, so others on the machine move
a ratio little; they do move p99, and the line of the load at the start and end says how much was going on.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from bench.load import Measured, Order
from bench.processes import HOST, OURS, ROOT, Running, children, end_process, generator, pin, wait_for_port
from bench.recording import commit, record
from bench.reviews import CASES, body, uids, write_policies
from bench.run import carry_out, cpus
from lockkeeper.certificates.loopback import loopback_certificate

_WARM_UP: Final = 0.4
_AT_LEAST: Final = 16


@contextmanager
def build(root: Path, name: str, folder: Path, policies: Path, cpu: int) -> Iterator[Running]:
    """Start the webhook of the build in a folder."""
    log = folder / f"{name}.err"
    options = ("--policies", str(policies), "--certs", str(folder / "certs"), "--host", HOST, "--port", "0")
    command = [sys.executable, "-m", "lockkeeper", "serve", *options]
    settings = {**os.environ, "PYTHONPATH": str(root)}
    with log.open("wb") as errors, log.with_suffix(".out").open("wb") as out:
        process = subprocess.Popen(
            command, cwd=root, env=settings, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
        )
        try:
            port = wait_for_port(OURS, process, log)
            pids = (process.pid, *children(process.pid))
            for pid in pids:
                pin(pid, cpu)
            yield Running(OURS, port, pids)
        finally:
            end_process(process)


def measure(
    base: Path, folder: Path, *, rounds: int, seconds: float, connections: int, sizes: list[str]
) -> dict[tuple[str, str], list[Measured]]:
    """Measure both builds at every size, in ABBA order."""
    server_cpu, load_cpu = cpus()
    authority, _ = loopback_certificate(folder / "certs", HOST)
    policies = write_policies(folder / "policies")
    found: dict[tuple[str, str], list[Measured]] = {}
    with (
        build(base, "base", folder, policies, server_cpu) as old,
        build(ROOT, "this", folder, policies, server_cpu) as new,
        generator(load_cpu) as load,
    ):
        for number in range(rounds):
            for case in CASES:
                if case.name not in sizes:
                    continue
                pair = [("base", old), ("this", new)]
                for name, server in pair if number % 2 == 0 else reversed(pair):
                    order = Order(
                        port=server.port,
                        authority=str(authority.authority_cert),
                        pids=server.pids,
                        path=server.path(0),
                        bodies={uid: body(case, uid) for uid in uids(connections)},
                        echoes=True,
                        warm_up=_WARM_UP,
                        seconds=seconds,
                        at_least=_AT_LEAST,
                    )
                    found.setdefault((case.name, name), []).append(carry_out(load, order))
    return found


def report(found: dict[tuple[str, str], list[Measured]]) -> str:
    """Return the table: medians, and the median and the range of the ratios within each round."""
    lines = [
        f"{'size':<14}{'CPU us':>9}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}    this to base: median (range)"
    ]
    for case in dict.fromkeys(case for case, _ in found):
        base, this = found[case, "base"], found[case, "this"]
        cpu = sorted(new.cpu_us / old.cpu_us for old, new in zip(base, this, strict=True))
        tail = sorted(new.p99_ms / old.p99_ms for old, new in zip(base, this, strict=True))
        ratios = {
            "base": "",
            "this": f"    CPU {median(cpu):.3f} ({cpu[0]:.3f}-{cpu[-1]:.3f})"
            f"  p99 {median(tail):.3f} ({tail[0]:.3f}-{tail[-1]:.3f})",
        }
        for name in ("base", "this"):
            each = found[case, name]
            lines.append(
                f"{case:<8}{name:<6}{median(one.cpu_us for one in each):>9.0f}"
                f"{median(one.requests / one.seconds for one in each):>9.0f}"
                f"{median(one.p50_ms for one in each):>9.1f}{median(one.p99_ms for one in each):>9.1f}"
                f"{ratios[name]}"
            )
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="bench.compare", description=__doc__)
    parser.add_argument("base", type=Path, help="folder of the other build")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1.5, help="of one measurement (default 1.5)")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--sizes", nargs="+", default=[each.name for each in CASES], metavar="SIZE")
    parser.add_argument("--record", action="store_true", help="write the table to docs and bench/results")
    given = parser.parse_args()
    base = given.base.resolve()
    lines = [
        f"{commit(ROOT)} (this) against {commit(base)} (base): CREATE of a Workflow, 20 policies,",
        f"{given.connections} keep-alive TLS connections, {given.rounds} rounds of {given.seconds:g} s, ABBA",
    ]
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="lockkeeper-compare-") as folder:
        found = measure(
            base,
            Path(folder),
            rounds=given.rounds,
            seconds=given.seconds,
            connections=given.connections,
            sizes=given.sizes,
        )
    lines.append(report(found))
    load = f"{before:.1f} before, {os.getloadavg()[0]:.1f} at the end with our own two processes"
    lines.append(f"load of the machine: {load}, on {os.cpu_count()} CPUs")
    text = "\n".join(lines)
    print(text)
    if given.record:
        print(f"written to {record('compare', text).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
