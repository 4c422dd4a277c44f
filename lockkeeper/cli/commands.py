"""The table of commands: what `lockkeeper --help` lists, and the module of each, imported only to run it.

A command's module has `EXAMPLES`, `configure(parser)` and `run(arguments) -> int`. Nothing else is imported
for a command than what its module imports; tests/lockkeeper/cli/test_commands.py lists what that may be.
"""

from importlib import import_module
from types import ModuleType
from typing import Final, NamedTuple


class _Command(NamedTuple):
    """A command: its name and help. Its module in this package has the same name, or that of `module`."""

    name: str
    summary: str
    module: str = ""

    def load(self) -> ModuleType:
        """Import the module of the command, and with it all that the command needs."""
        return import_module(f"lockkeeper.cli.{self.module or self.name}")


COMMANDS: Final = (
    _Command("run", "Run the whole product on this machine, with no cluster, and play Workflows through it."),
    _Command("serve", "Serve the admission webhook alone, with policies from files or a cluster."),
    _Command("controller", "Release queued Workflows of a cluster; several may run, one of them leads."),
    _Command(
        "review",
        "Show what the webhook would decide about Workflows, templates and crons, and how it changes them.",
    ),
    _Command(
        "lint", "Find wrong locks, deadlocks, wrong types, schedules and references in files of Workflows."
    ),
    _Command(
        "test",
        "Run tests of policies: cases of Workflows, and what is to be decided about them.",
        "planning.test",
    ),
    _Command(
        "diff", "Show what two sets of policies decide differently, for pull requests.", "planning.diff"
    ),
    _Command(
        "import", "Make policies of what a cluster limits already, and check them.", "planning.import_limits"
    ),
    _Command(
        "export",
        "Make admission policies of the API server of what CEL can say of policies.",
        "planning.export",
    ),
    _Command(
        "simulate",
        "Play a history of Workflows under policies, or under two sets of them, and say what changes.",
        "planning.simulate",
    ),
    _Command(
        "suggest",
        "Find the smallest limits, shares or windows under which Workflows wait no longer than wanted.",
        "planning.suggest",
    ),
    _Command(
        "status",
        "Show quotas and pools of a cluster: what is used, queued and borrowed, and what changes next.",
    ),
    _Command("queue", "Show which Workflows wait, in which order and why, or which fill the slots."),
    _Command("why", "Tell why a Workflow waits, who goes before it, and what would let it start."),
    _Command(
        "hold",
        "Hold a quota, a pool, or one Workflow that waits, until it is resumed.",
        "holding",
    ),
    _Command("resume", "End a hold of a quota, a pool or one Workflow that waits.", "holding"),
    _Command("priority", "Give a Workflow that waits another priority, and say what that leads to."),
    _Command("cancel", "End a Workflow that waits; nothing of it runs.", "holding"),
    _Command(
        "locks",
        "Show who holds and who waits for every lock, who waits for ever, and what other limits would do.",
    ),
    _Command(
        "web", "Serve a page that shows quotas, queue, locks and policies of a cluster to your browser."
    ),
    _Command(
        "check", "Check whether an installation on a cluster is healthy, and what to do where it is not."
    ),
    _Command(
        "certs", "Show the webhook's certificates, make them where they are missing, or change them now."
    ),
    _Command("completion", "Print a script that completes commands, options and names in a shell.", "about"),
    _Command("version", "Print the version of Lockkeeper and of Python.", "about"),
)
