"""The parts of a run by its nodes: which templates ran at the same time, and for how long.

A node records when it began to wait for its lock and when it ended, and not when it had its lock; so a wait
for a lock in the history is a part of the length here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from policy.core.lock_queues.live_workflow import WorkflowNode
from policy.service.simulation.past_run import Stretch

_HOLDING: Final = frozenset({"Pod", "DAG", "Steps", "Suspend", "HTTP", "Plugin", "Retry"})
_MOST_NODES: Final = 2_000


def stretches_of(nodes: Mapping[str, WorkflowNode], started: float, ended: float) -> tuple[Stretch, ...]:
    """Return the parts from the start of a run to its end; () where no node says what ran when."""
    changes: list[tuple[float, int, str]] = []
    for node in list(nodes.values())[:_MOST_NODES]:
        name = (
            node.template_name or (node.template_ref.template if node.template_ref is not None else "") or ""
        )
        if node.type not in _HOLDING or node.started_at is None or not name:
            continue
        begun = min(max(node.started_at.timestamp(), started), ended)
        over = ended if node.finished_at is None else min(max(node.finished_at.timestamp(), begun), ended)
        changes += [(begun, 1, name), (over, -1, name)]
    return _cut(sorted(changes), started, ended) if changes else ()


def _cut(changes: Iterable[tuple[float, int, str]], started: float, ended: float) -> tuple[Stretch, ...]:
    active = Counter[str]()
    found: list[Stretch] = []
    since = started
    for at, by, name in changes:
        _add(found, at - since, active)
        since = max(since, at)
        active[name] += by
        if not active[name]:
            del active[name]
    _add(found, ended - since, active)
    return tuple(found)


def _add(found: list[Stretch], seconds: float, active: Counter[str]) -> None:
    """Add a part, as one with the part before it where the same templates run."""
    if seconds <= 0:
        return
    templates = tuple(sorted(active))
    if found and found[-1].templates == templates:
        found[-1] = Stretch(found[-1].seconds + seconds, templates)
    else:
        found.append(Stretch(seconds, templates))
