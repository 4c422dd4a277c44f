"""What a change of one template costs among 10,000, against looking at all: `python -m bench.templates`.

Each of them calls its own bodies, every tenth one of a hundred shared templates, and every fifth nests locks.
One template changes that nobody refers to, then one that ten refer to.
"""

import argparse
import sys
import time
from statistics import median
from typing import Any, Final

import msgspec

from policy.core.lock_graph.template_library import Library, library_of
from policy.core.objects.template_keys import TemplateKey
from policy.core.objects.workflow import WorkflowSpec

COUNT: Final = 10_000
SHARED: Final = 100
NAMESPACE: Final = "team"
GOAL: Final = 20.0
"""How many times less one change has to cost than all templates."""


def spec_of(number: int, change: int = 0) -> WorkflowSpec:
    """Return a template of four bodies; `change` makes it another one."""
    tasks: list[dict[str, Any]] = [{"name": f"t{index}", "template": f"leaf-{index}"} for index in range(3)]
    if number % 10 == 0 and number >= SHARED:
        ref = {"name": f"template-{number // 100 % SHARED}", "template": "main"}
        tasks.append({"name": "shared", "templateRef": ref})
    main: dict[str, Any] = {"name": "main", "dag": {"tasks": tasks}}
    leaves: list[dict[str, Any]] = [
        {"name": f"leaf-{index}", "container": {"image": f"step:{change}"}} for index in range(3)
    ]
    if number % 5 == 0:
        main["synchronization"] = {"mutexes": [{"name": f"outer-{number}"}]}
        leaves[0]["synchronization"] = {"mutexes": [{"name": f"inner-{number}"}]}
    return msgspec.convert({"entrypoint": "main", "templates": [main, *leaves]}, WorkflowSpec)


def templates() -> dict[TemplateKey, WorkflowSpec]:
    """Return all templates of one namespace."""
    return {TemplateKey(NAMESPACE, f"template-{number}"): spec_of(number) for number in range(COUNT)}


def of_all(whole: dict[TemplateKey, WorkflowSpec]) -> tuple[Library, float]:
    """Return the library with the index of the namespace, and the seconds that it took."""
    since = time.process_time()
    library = library_of(whole)
    library.index(NAMESPACE)
    return library, time.process_time() - since


def of_one(library: Library, whole: dict[TemplateKey, WorkflowSpec], number: int, change: int) -> float:
    """Return the seconds that a change of one template took."""
    changed = {**whole, TemplateKey(NAMESPACE, f"template-{number}"): spec_of(number, change)}
    since = time.process_time()
    library_of(changed, library).index(NAMESPACE)
    return time.process_time() - since


def main() -> int:
    """Measure, print, and show by the exit code whether the goal is met."""
    parser = argparse.ArgumentParser(prog="bench.templates", description=__doc__)
    parser.add_argument(
        "--repeats", type=int, default=5, help="how often each is measured (default %(default)s)"
    )
    given = parser.parse_args()
    whole = templates()
    everything: list[float] = []
    alone: list[float] = []
    shared: list[float] = []
    for number in range(1, given.repeats + 1):
        library, seconds = of_all(whole)
        everything.append(seconds)
        alone.append(of_one(library, whole, COUNT - 1, number))
        shared.append(of_one(library, whole, 1, number))
    total = median(everything)
    print(f"all of {COUNT} templates: {total * 1e3:.1f} ms")
    for what, spent in (("nobody refers to", alone), ("ten others refer to", shared)):
        once = median(spent)
        print(f"one that {what}: {once * 1e3:.1f} ms, {total / once:.0f} times less")
    met = total / median(shared) >= GOAL
    print(f"goal: {GOAL:.0f} times less: {'met' if met else 'NOT MET'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
