"""`lockkeeper review`: what the webhook would decide about manifests, without a cluster."""

import argparse
from collections.abc import Sequence

import msgspec

from lockkeeper.assembly.policies_beside import load_beside
from lockkeeper.findings.finding import FilesReport
from lockkeeper.findings.report_formats import FOR_PROGRAMS, written
from lockkeeper.findings.table import line_of
from lockkeeper.lint.reading import lint_objects
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import read_inputs
from lockkeeper.options.command_options import add_output, add_policies, print_values
from lockkeeper.options.file_options import add_file_options, existing_policies, nothing_in
from lockkeeper.options.review_options import add_assumptions, assumptions_of
from lockkeeper.process.console import UsageError, for_whoever_reads, print_message
from lockkeeper.reviewing.object_review import ReviewedManifest
from lockkeeper.reviewing.review_report import policy_report, review_report
from lockkeeper.reviewing.review_table import review_table
from lockkeeper.reviewing.reviewed_inputs import review_inputs
from policy.sources.directory import PolicyErrors

EXAMPLES = """examples:
  lockkeeper review my-workflow.yaml --policies examples/policies
  lockkeeper review workflows/ --policies policies/ --namespace team-etl --show none
  lockkeeper review my-workflow.yaml --policies policies/ --running 5 --at 2026-12-01T20:00:00+01:00
  kustomize build . | lockkeeper review - --policies policies/ -o json

Every document is reviewed by itself, as if nothing else ran: --running and --at say what to assume. "queued"
is one that would have to wait; one that starts at once is allowed, and one that can never start is an error.
Templates, ConfigMaps, Namespaces and policies among the files count as applied, templates with the locks that
policies put into them. Workflows in Sensors, in ScheduledWorkflows of Kubeflow and in manifests of resource
templates are reviewed too, and documents that are no Kubernetes objects passed over. Exit codes: 0 no error,
1 something is denied or can never start (with --strict also for warnings), 2 a file or a policy cannot be
read, or there is nothing to review."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="YAML or JSON file, a folder of them, or - for standard input",
    )
    add_policies(parser)
    add_file_options(parser)
    add_output(
        parser,
        "json",
        "yaml",
        *FOR_PROGRAMS,
        text="format: github is for annotations, sarif for code scanning, junit for reports of tests",
    )
    parser.add_argument(
        "--show",
        choices=("diff", "whole", "none"),
        default="diff",
        help="how the table shows a changed object: diff, whole, or none (default %(default)s)",
    )
    add_assumptions(parser)
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")


def run(arguments: argparse.Namespace) -> int:
    """Review every document of every file."""
    inputs = read_inputs(arguments.files, exclude=arguments.exclude)
    objects = lint_objects(inputs, arguments.namespace)
    try:
        snapshot = load_beside(
            existing_policies(arguments.policies),
            objects,
            arguments.argo_version,
            namespace=arguments.namespace,
            allow_empty=arguments.allow_empty,
            note=print_message,
        )
    except PolicyErrors as errors:
        if arguments.output not in FOR_PROGRAMS:
            raise UsageError(*map(str, errors.errors)) from errors
        return _print(policy_report(errors.errors), [], arguments)
    inputs = msgspec.structs.replace(inputs, findings=(*inputs.findings, *objects.findings))
    if not (inputs.manifests or inputs.findings or arguments.allow_empty):
        raise UsageError(nothing_in("nothing to review", arguments.files))
    inputs, pairs = review_inputs(
        inputs,
        snapshot,
        namespace=arguments.namespace,
        user=arguments.user,
        assumed=assumptions_of(arguments),
    )
    return _print(review_report(inputs, pairs), pairs, arguments)


def _print(
    report: FilesReport,
    pairs: Sequence[tuple[Manifest, ReviewedManifest]],
    arguments: argparse.Namespace,
) -> int:
    """Print in the format asked for; return the exit code."""
    reviewed = [each for _, each in pairs]
    with for_whoever_reads():
        if arguments.output in FOR_PROGRAMS:
            print(written(report, arguments.output, strict=arguments.strict), end="")
        else:
            for each in report.about_files:
                print_message(line_of(each))
            if arguments.output != "table":
                print_values(reviewed, arguments.output)
            elif pairs:
                print(review_table(pairs, arguments.show), end="")
    if report.unreadable:
        return 2
    return 1 if report.errors or (arguments.strict and report.findings) else 0
