"""Drafts as YAML: each line says in a comment where it comes from, and above it what changes in meaning."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from lockkeeper.importing.checked_drafts import CheckedDrafts
from lockkeeper.importing.drafts import Draft, Drafts
from lockkeeper.importing.running_check import RunningCheck
from lockkeeper.process.console import printable
from lockkeeper.process.yaml_output import as_yaml
from policy.sources.yaml_positions import parse

_WIDTH: Final = 118


def printed(made: CheckedDrafts) -> str:
    """Return all of it as one text that kubectl takes."""
    found = made.found
    parts = ["\n".join(_document(each)) for each in found.drafts]
    notes = [*_left_out(found), *_beside(made), *_running(made.checked)]
    return "---\n".join(f"{each}\n" for each in [*parts, "\n".join(notes)] if each)


def _document(draft: Draft) -> Iterator[str]:
    text = as_yaml(draft.policy)
    (document,) = parse(text.encode()).documents
    lines = text.splitlines()
    for each in draft.origins:
        at = document.locate(each.field).line - 1
        lines[at] = f"{lines[at]}  # from {printable(each.source)}"
    yield from _comment(draft.name)
    for each in draft.origins:
        if each.change:
            yield from _comment(f"{each.field}: {each.change}.", "  ")
    yield from lines


def _left_out(found: Drafts) -> Iterator[str]:
    if found.left_out:
        yield from _comment("Left out:")
    for each in found.left_out:
        yield from _comment(f"{each.source}: {each.message}.", "  ")


def _beside(made: CheckedDrafts) -> Iterator[str]:
    if made.beside:
        yield from _comment("Beside policies of Lockkeeper that are there already:")
    for each in made.beside:
        yield from _comment(f"{each.rstrip('.')}.", "  ")


def _running(checked: RunningCheck) -> Iterator[str]:
    for each in running_lines(checked):
        yield from _comment(each.strip(), "  " if each[0] == " " else "")


def running_lines(checked: RunningCheck) -> Sequence[str]:
    """Return what the check against those that run has shown."""
    uncounted = [printable(f"Not counted: {each}.") for each in checked.uncounted]
    if checked.over:
        passed = f"Running Workflows: {checked.running}. Limits that they are over: {len(checked.over)}."
        lines = [passed, *(printable(f"  {each.policy}: {each.message}.") for each in checked.over)]
    elif checked.running:
        counted = f"{checked.running} running {'Workflow' if checked.running == 1 else 'Workflows'}"
        lines = [f"Checked against {counted}: none is over a limit by these policies."]
    else:
        lines = ["Checked against no running Workflow: there is none among the objects."]
    if checked.already:
        lines.append("Over limits of policies that are there already, whatever is imported:")
        lines += [printable(f"  {each.policy}: {each.message}.") for each in checked.already]
    return [*lines, *uncounted]


def _comment(text: str, indent: str = "") -> Iterator[str]:
    for index, line in enumerate(
        textwrap.wrap(printable(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
    ):
        yield f"# {indent}{'  ' if index else ''}{line}"
