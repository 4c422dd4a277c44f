"""`lockkeeper why`: the story of one Workflow, and what would let it start."""

import argparse
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Final

import msgspec

from lockkeeper.actions.changes import not_found
from lockkeeper.locks.lock_sentences import lock_sentences
from lockkeeper.options.command_options import add_kubeconfig, add_output, reach
from lockkeeper.options.view_options import add_namespace, namespace_of, printed, read_roots
from lockkeeper.process.console import UsageError, utc_now
from lockkeeper.views.story_text import story_text
from lockkeeper.views.terminal import Terminal
from policy.cluster.errors import ClusterError, Forbidden, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.cluster_view.story import SeenWorkflow, Story, story_of_other
from policy.service.reading.argo_limits_read import read_argo_limit
from policy.service.reading.last_events import last_event
from policy.service.reading.leader_seen import leader_notes
from policy.service.reading.needed_roles import with_role
from policy.service.reading.queued_story import story_of_queued

_SUPERSEDED: Final = "Superseded: "
EXAMPLES = """examples:
  lockkeeper why nightly-7xk2p -n team-etl
  lockkeeper why nightly-7xk2p -n team-etl -o json

It tells what blocks the Workflow, who goes before it and why, and what would help: each option is computed on
the state of now, and is true when it is carried out before anything else changes. It reads with your own
rights, and changes nothing.
Exit codes: 0 told, 2 there is no such Workflow, or the cluster does not answer."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", metavar="NAME", help="name of the Workflow")
    add_kubeconfig(parser)
    add_namespace(parser)
    add_output(parser, "json", "yaml")


def run(arguments: argparse.Namespace) -> int:
    """Read, and tell."""
    with closing(reach(arguments)) as cluster:
        arguments.namespace = namespace_of(arguments, cluster)
        return act(cluster, arguments, Terminal.of(), utc_now)


def act(
    cluster: Cluster, arguments: argparse.Namespace, terminal: Terminal, clock: Callable[[], datetime]
) -> int:
    """Tell the story; return the exit code."""
    try:
        story = _story(cluster, arguments.namespace, arguments.name, clock)
    except Forbidden as error:
        raise UsageError(f"the cluster cannot be read: {with_role(error)}") from error
    except ClusterError as error:
        raise UsageError(f"the cluster cannot be read: {error.message}") from error
    notes = leader_notes(cluster, clock()) if story.position is not None else ()
    told = [story_text(story, terminal), *(terminal.sentence(f"note: {each}") for each in notes)]
    print(printed(arguments.output, story, ()) or "\n".join(told))
    return 0


def _story(cluster: Cluster, namespace: str, name: str, clock: Callable[[], datetime]) -> Story:
    try:
        seen = msgspec.convert(cluster.get(WORKFLOWS, name, namespace=namespace), SeenWorkflow)
    except NotFound:
        raise UsageError(_not_found(cluster, namespace, name)) from None
    if not seen.held:
        argo = read_argo_limit(cluster, namespace) if seen.waits_in_argo else None
        locks = tuple(lock_sentences(cluster, seen, clock))
        return _with_event(cluster, seen, story_of_other(seen, clock(), locks=locks, argo=argo))
    roots = read_roots(cluster, namespace, clock, starts=True)
    return story_of_queued(roots, seen.metadata.uid) or story_of_other(seen, roots.reading.at)


def _with_event(cluster: Cluster, seen: SeenWorkflow, story: Story) -> Story:
    """Return the story with who superseded it: Argo only says that it was stopped."""
    event = last_event(cluster, story.namespace, story.name) if seen.spec.shutdown else ""
    if not event.startswith(_SUPERSEDED):
        return story
    return msgspec.structs.replace(story, sentences=(*story.sentences, event.removeprefix(_SUPERSEDED)))


def _not_found(cluster: Cluster, namespace: str, name: str) -> str:
    """Return the sentence for a name that does not exist, with the nearest that does and its last event."""
    event = last_event(cluster, namespace, name)
    if event:
        return f"there is no Workflow {name} in {namespace}; the last event about that name: {event}"
    return (
        f"{not_found(cluster, namespace, name)} (one that was refused was never stored: the answer to its "
        "create has the reasons, and lockkeeper review FILE tells them again)"
    )
