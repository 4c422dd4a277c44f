"""Two objects that hang only together are found by what the index knows of the other one."""

from random import Random
from typing import Any

import pytest

from policy.core.lock_graph.deadlocks import analyse
from policy.core.lock_graph.template_library import library_of
from policy.core.objects.template_keys import TemplateKey
from tests.policy.core.builders import NAMESPACE, spec_of
from tests.policy.core.lock_graph.graphs import graph_of
from tests.policy.core.lock_graph.interleavings import Run, TooManyError
from tests.policy.core.lock_graph.random_graphs import LIMITS, random_workflow

MOST_STATES = 1_500
BETWEEN_RUNS = ("onExit", "hooks", "templateDefaults")
"""Fields that two runs no longer have for themselves when they are joined into one."""


def _renamed(value: Any, prefix: str) -> Any:
    """Return a spec whose templates have other names, so that one spec can have both."""
    if isinstance(value, list):
        return [_renamed(each, prefix) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: f"{prefix}{each}"
        if key in ("template", "onExit", "entrypoint") and isinstance(each, str)
        else _renamed(each, prefix)
        for key, each in value.items()
    }


def _run_of(random: Random, prefix: str) -> dict[str, Any]:
    spec = {key: each for key, each in random_workflow(random).items() if key not in BETWEEN_RUNS}
    spec = _renamed(spec, prefix)
    templates = [{**each, "name": f"{prefix}{each['name']}"} for each in spec["templates"]]
    return {**spec, "templates": templates}


def _together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one Workflow that does what two do at once: each in a template that holds its own locks."""
    roots = [
        {
            "name": f"root{number}",
            "steps": [[{"name": "m", "template": run["entrypoint"]}]],
            **({"synchronization": run["synchronization"]} if "synchronization" in run else {}),
        }
        for number, run in enumerate(runs)
    ]
    tasks = [{"name": each["name"], "template": each["name"]} for each in roots]
    top = {"name": "top", "dag": {"tasks": tasks}}
    return {"entrypoint": "top", "templates": [top, *roots, *runs[0]["templates"], *runs[1]["templates"]]}


@pytest.mark.parametrize("first", range(0, 600, 50))
def test_whatever_hangs_two_runs_together_is_warned_of(first: int) -> None:
    """Random pairs against every interleaving of both; pairs of which one hangs alone are reported anyway.

    Seeds 2 and 516 hang together only.
    """
    for seed in range(first, first + 50):
        random = Random(seed)
        runs = [_run_of(random, "x"), _run_of(random, "y")]
        alone = [analyse(graph_of(run), LIMITS.get) for run in runs]
        if any(each.deadlocks for each in alone):
            continue
        index = library_of({TemplateKey(NAMESPACE, "other"): spec_of(runs[1])}).index(NAMESPACE)
        if any(index.cycles(alone[0].nested, LIMITS.get)):
            continue
        try:
            outcome = Run(_together(runs), LIMITS, NAMESPACE, MOST_STATES).outcome()
        except TooManyError:
            continue
        assert not outcome.can_hang, runs
