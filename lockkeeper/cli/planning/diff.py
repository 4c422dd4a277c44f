"""`lockkeeper diff`: what two sets of policies decide differently, without a cluster."""

import argparse
from pathlib import Path

from lockkeeper.assembly.policies_beside import load_beside
from lockkeeper.findings.table import line_of
from lockkeeper.lint.reading import LintObjects, lint_objects
from lockkeeper.manifests.reading import read_inputs
from lockkeeper.options.command_options import (
    add_argo_version,
    add_output,
    print_values,
    wrong_files_are_usage_errors,
)
from lockkeeper.options.file_options import add_file_options, nothing_in
from lockkeeper.options.review_options import add_assumptions, assumptions_of
from lockkeeper.policy_diff.difference_markdown import difference_markdown
from lockkeeper.policy_diff.difference_text import difference_text
from lockkeeper.policy_diff.differences import PolicyDiff
from lockkeeper.policy_diff.object_differences import object_differences
from lockkeeper.policy_diff.policy_differences import limit_changes, policy_changes
from lockkeeper.process.console import UsageError, for_whoever_reads, print_message, reason_of
from lockkeeper.reviewing.reviewed_inputs import review_inputs
from policy.core.policies.snapshot import Snapshot

EXAMPLES = """examples:
  lockkeeper diff policies/ proposal/
  lockkeeper diff policies/ proposal/ workflows/ --running 5
  git worktree add /tmp/before main
  lockkeeper diff /tmp/before/policies policies/ workflows/ -o markdown > comment.md

It shows which policies are others, field by field, which limits are in force now by that (--at for another
time), and about which of the Workflows another decision is made: outcome, reasons, warnings, locks and the
changed object. Decisions are those of `lockkeeper review`. Exit codes: 0 no difference, 1 differences, 2 a
file or a policy cannot be read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("before", type=Path, metavar="DIR1", help="file or folder of policies, as they are")
    parser.add_argument(
        "after", type=Path, metavar="DIR2", help="file or folder of policies, as they will be"
    )
    parser.add_argument(
        "files",
        nargs="*",
        default=[],
        metavar="WORKFLOWS",
        help="files or folders of Workflows, templates and CronWorkflows, or - for standard input",
    )
    add_argo_version(parser)
    add_file_options(parser)
    add_output(parser, "json", "yaml", "markdown", text="format: markdown is for a comment on GitHub")
    add_assumptions(parser)


def run(arguments: argparse.Namespace) -> int:
    """Decide about everything under both sets, and show what is different."""
    inputs = read_inputs(arguments.files, exclude=arguments.exclude)
    objects = lint_objects(inputs, arguments.namespace)
    if arguments.files and not (inputs.manifests or inputs.findings or arguments.allow_empty):
        raise UsageError(nothing_in("nothing to review", arguments.files))
    before = _snapshot(arguments.before, objects, arguments)
    after = _snapshot(arguments.after, objects, arguments)
    _tell_of_empty_sets(before, after, arguments)
    assumed = assumptions_of(arguments)
    options = {"namespace": arguments.namespace, "user": arguments.user}
    read, old = review_inputs(inputs, before, **options, assumed=assumed)
    _, new = review_inputs(inputs, after, **options, assumed=assumed)
    places = {each.namespace for _, each in new if each.namespace}
    diff = PolicyDiff(
        tuple(policy_changes(before, after)),
        tuple(limit_changes(before, after, places, assumed.now)),
        tuple(object_differences(old, new)),
        len(new),
    )
    for each in read.findings:
        print_message(line_of(each))
    _print(diff, arguments.output)
    unread = any(each.level.value == "error" for each in read.findings)
    return 2 if unread else 0 if diff.is_empty else 1


def _snapshot(policies: Path, objects: LintObjects, arguments: argparse.Namespace) -> Snapshot:
    """Return one set of policies with what stands beside the Workflows. Raises UsageError."""
    try:
        policies.stat()
    except OSError as error:
        raise UsageError(f"{policies} cannot be read: {reason_of(error)}; give a file or a folder") from error
    with wrong_files_are_usage_errors():
        return load_beside(
            policies, objects, arguments.argo_version, namespace=arguments.namespace, allow_empty=True
        )


def _tell_of_empty_sets(before: Snapshot, after: Snapshot, arguments: argparse.Namespace) -> None:
    """Tell where a set has no policy: the first set may be empty by right. Raises UsageError for two."""
    empty = [
        str(path)
        for path, snapshot in ((arguments.before, before), (arguments.after, after))
        if not snapshot.has_policies
    ]
    if arguments.allow_empty:
        return
    if len(empty) > 1:
        raise UsageError(nothing_in("no policy", empty))
    for each in empty:
        print_message(f"there is no policy in {each}")


def _print(diff: PolicyDiff, output: str) -> None:
    with for_whoever_reads():
        if output == "table":
            print(difference_text(diff), end="")
        elif output == "markdown":
            print(difference_markdown(diff), end="")
        else:
            print_values(diff, output)
