"""Differences as Markdown of GitHub, for a comment in a pull request."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from lockkeeper.policy_diff.differences import ObjectDifference, PolicyChange, PolicyDiff
from lockkeeper.policy_diff.shown_values import count, shown, side_words
from lockkeeper.process.console import printable

_MOST_OBJECTS: Final = 50
"""Objects with their details; a comment holds 65,536 characters."""
_MOST_LINES: Final = 60
"""Lines of the diff of one object."""
_ESCAPED: Final = str.maketrans({"|": "\\|", "<": "&lt;", ">": "&gt;", "`": "'"})
_TITLE: Final = "### What these policies decide differently"


def difference_markdown(diff: PolicyDiff) -> str:
    """Return the Markdown."""
    if diff.is_empty:
        same = f"{count(diff.reviewed, 'object')} decided as before" if diff.reviewed else diff.summary
        return f"{_TITLE}\n\nNo difference: {same}.\n"
    lines = [_TITLE, "", f"**{diff.summary[0].upper()}{diff.summary[1:]}.**"]
    lines += [*_objects(diff), *_limits(diff), *_policies(diff)]
    return "".join(f"{line}\n" for line in lines)


def _objects(diff: PolicyDiff) -> Iterator[str]:
    if not diff.objects:
        return
    yield from ("", "| object | before | after | why |", "|---|---|---|---|")
    for each in diff.objects:
        why = ", ".join(dict.fromkeys(reason.code for reason in each.after.reasons)) or ", ".join(
            each.differs
        )
        cells = (f"`{_cell(each.object)}`", each.before.outcome, each.after.outcome, _cell(why))
        yield f"| {' | '.join(cells)} |"
    for each in diff.objects[:_MOST_OBJECTS]:
        yield from _details(each)
    if len(diff.objects) > _MOST_OBJECTS:
        yield from ("", f"Details of {len(diff.objects) - _MOST_OBJECTS} more are left out.")


def _details(difference: ObjectDifference) -> Iterator[str]:
    place = f"{difference.file}:{difference.line}"
    yield from ("", f"<details><summary>{_cell(difference.object)} ({_cell(place)})</summary>", "", "```diff")
    before, after = difference.before, difference.after
    for what in difference.differs:
        if what == "outcome":
            yield from (f"- decision: {before.outcome}", f"+ decision: {after.outcome}")
        elif what != "patch":
            old, new = side_words(before, what), side_words(after, what)
            yield from (f"- {what}: {_line(each)}" for each in old if each not in new)
            yield from (f"+ {what}: {_line(each)}" for each in new if each not in old)
    yield from map(_line, islice(difference.diff, _MOST_LINES))
    yield from ("```", "</details>")


def _limits(diff: PolicyDiff) -> Iterator[str]:
    if not diff.limits:
        return
    yield from ("", "| namespace | quota | limits before | limits after |", "|---|---|---|---|")
    for each in diff.limits:
        cells = (each.namespace or "(pool)", each.quota, each.before or "-", each.after or "-")
        yield f"| {' | '.join(map(_cell, cells))} |"


def _policies(diff: PolicyDiff) -> Iterator[str]:
    if not diff.policies:
        return
    yield from (
        "",
        f"<details><summary>{count(len(diff.policies), 'object')} changed</summary>",
        "",
        "```diff",
    )
    for each in diff.policies:
        yield from _policy(each)
    yield from ("```", "</details>")


def _policy(change: PolicyChange) -> Iterator[str]:
    yield f"  {_line(change.object)}: {change.change.value}"
    for field in change.fields:
        if field.before is not None:
            yield _line(f"-   {field.field}: {shown(field.before)}")
        if field.after is not None:
            yield _line(f"+   {field.field}: {shown(field.after)}")


def _cell(text: str) -> str:
    return printable(text).translate(_ESCAPED)


def _line(text: str) -> str:
    """Return a line that does not end the block that it stands in."""
    return printable(text).replace("```", "'''")
