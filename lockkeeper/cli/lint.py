"""`lockkeeper lint`: what is wrong with Workflows, templates and schedules in files, without a cluster."""

import argparse
from pathlib import Path

from lockkeeper.findings.finding import CheckedObject, FileFinding, FilesReport, sort_key
from lockkeeper.findings.report_formats import FOR_PROGRAMS, written
from lockkeeper.findings.table import table
from lockkeeper.lint.lint import lint
from lockkeeper.lint.reading import LintObjects, lint_objects
from lockkeeper.manifests.reading import Inputs, read_inputs
from lockkeeper.options.command_options import Once, add_argo_version, add_output, print_values
from lockkeeper.options.file_options import (
    add_file_options,
    add_namespace,
    counting_in,
    existing_policies,
    nothing_in,
)
from lockkeeper.process.console import UsageError, for_whoever_reads, print_message
from policy.core.policy_kinds.kinds import Policy

EXAMPLES = """examples:
  lockkeeper lint workflows/
  lockkeeper lint . --exclude charts --policies policies/ -o github
  kustomize build . | lockkeeper lint - -o json

All files are looked at together: Workflows, templates, schedules, ConfigMaps with limits, and policies;
Workflows in Sensors, in ScheduledWorkflows of Kubeflow and in manifests of resource templates as well.
Templates count with the locks that policies put into them, those beside the policies as they are.
What may be in the cluster and is not among the files is at most a warning. Documents that are no Kubernetes
objects are passed over. Exit codes: 0 no error, 1 errors (with --strict warnings too), 2 a file or a policy
cannot be read, or there is nothing to check."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="YAML or JSON file, a folder of them, or - for standard input",
    )
    parser.add_argument(
        "--policies",
        type=Path,
        action=Once,
        metavar="PATH",
        help="file or folder of policies and what stands beside them, read too",
    )
    add_argo_version(parser)
    add_file_options(parser)
    add_output(
        parser,
        "json",
        "yaml",
        *FOR_PROGRAMS,
        text="format: github is for annotations, sarif for code scanning, junit for reports of tests",
    )
    add_namespace(parser, "objects")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")


def run(arguments: argparse.Namespace) -> int:
    """Check every object of every file."""
    # Of two objects of one name the one that will be applied counts, which is read last.
    beside = [] if arguments.policies is None else [str(existing_policies(arguments.policies))]
    inputs = read_inputs(arguments.paths, beside=beside, exclude=arguments.exclude)
    objects = lint_objects(inputs, arguments.namespace)
    stored = _files_in(arguments.policies, inputs)
    report = _report(inputs, objects, lint(objects, arguments.argo_version, stored=stored))
    if not (report.unreadable or arguments.allow_empty):
        _refuse_empty(objects, arguments)
    with for_whoever_reads():
        for each in counting_in(inputs.manifests, arguments.namespace):
            print_message(each)
        if arguments.output in FOR_PROGRAMS:
            print(written(report, arguments.output, strict=arguments.strict), end="")
        elif arguments.output == "table":
            print(table(report), end="")
        else:
            print_values(report.findings, arguments.output)
    if report.unreadable:
        return 2
    return 1 if report.errors or (arguments.strict and report.findings) else 0


def _files_in(policies: Path | None, inputs: Inputs) -> frozenset[str]:
    """Return the files of `--policies`: templates in them are in the cluster as they are."""
    if policies is None:
        return frozenset()
    root = policies.resolve()
    files = {each.file for each in inputs.manifests}
    return frozenset(each for each in files if Path(each).resolve().is_relative_to(root))


def _report(inputs: Inputs, objects: LintObjects, found: list[FileFinding]) -> FilesReport:
    findings = {*inputs.findings, *objects.findings, *found}
    checked = tuple(
        CheckedObject(each.origin.file, each.place("").line, str(each)) for each in objects.subjects
    )
    policies = sum(isinstance(each, Policy) for each in objects.documents)
    ordered = tuple(sorted(findings, key=sort_key))
    return FilesReport(ordered, checked, inputs.files, inputs.passed_over, policies)


def _refuse_empty(objects: LintObjects, arguments: argparse.Namespace) -> None:
    """Refuse to pass what was not checked: a wrong path looks like that.

    Raises:
        UsageError: there is no object to check, or no policy where some were given.
    """
    has_policies = any(isinstance(each, Policy) for each in objects.documents)
    if arguments.policies is not None and not has_policies:
        raise UsageError(nothing_in("no policy", [arguments.policies]))
    if not objects.subjects and (arguments.policies is not None or not has_policies):
        raise UsageError(nothing_in("nothing to check", arguments.paths))
