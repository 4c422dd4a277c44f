"""`lockkeeper test`: unit tests of policies, without a cluster."""

import argparse
from pathlib import Path

from lockkeeper.findings.report_formats import FOR_PROGRAMS, written
from lockkeeper.options.command_options import Once, add_output, print_values
from lockkeeper.options.file_options import add_allow_empty, existing_policies, nothing_in
from lockkeeper.policy_tests.reading import NAME_ENDS, read_suite, test_file_entries
from lockkeeper.policy_tests.results import CaseResult
from lockkeeper.policy_tests.results_report import results_as_report
from lockkeeper.policy_tests.results_table import results_table
from lockkeeper.policy_tests.running import run_suite
from lockkeeper.policy_tests.schema import schema_of_test_files
from lockkeeper.process.console import UsageError, as_json, for_whoever_reads, print_message, utc_now
from policy.sources.directory import PolicyErrors, SourceError

EXAMPLES = f"""examples:
  lockkeeper test examples/tests
  lockkeeper test policies/ -o junit > report.xml
  lockkeeper test my-lockkeeper-test.yaml --policies proposal/
  lockkeeper test --schema > lockkeeper-test.schema.json

A test file names policies and has cases: Workflows, what is assumed (what runs, the time, the user), and what
is expected of the decision and of the order in which they get their slot. In a folder, test files are those
whose names end in {NAME_ENDS[0]} (or .yml, .json). docs/ci.md has the format. Decisions are those of
`lockkeeper review`. Exit codes: 0 all cases passed, 1 a case failed, 2 a file cannot be read, or there is no
case."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="test file, or a folder that has some"
    )
    parser.add_argument(
        "--policies",
        type=Path,
        action=Once,
        metavar="PATH",
        help="test these policies in place of those that the files name",
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of test files")
    add_allow_empty(parser)
    add_output(
        parser,
        "json",
        "yaml",
        *FOR_PROGRAMS,
        text="format: github is for annotations, junit for reports of tests, sarif for code scanning",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run all cases of all files, and tell what is not as expected."""
    if arguments.schema:
        print(as_json(schema_of_test_files()))
        return 0
    if not arguments.paths:
        raise UsageError("give a test file or a folder, or --schema")
    policies = None if arguments.policies is None else existing_policies(arguments.policies)
    results: list[CaseResult] = []
    errors: list[SourceError] = []
    files = 0
    now = utc_now()
    for path in arguments.paths:
        for entry in test_file_entries(path):
            files += 1
            try:
                results += run_suite(read_suite(path, entry), now, policies=policies)
            except PolicyErrors as wrong:
                errors += wrong.errors
    if not (files or arguments.allow_empty):
        raise UsageError(nothing_in(f"no test file (NAME-{NAME_ENDS[0]})", arguments.paths))
    _print(results, errors, files, arguments.output)
    return 2 if errors else 0 if all(each.passed for each in results) else 1


def _print(results: list[CaseResult], errors: list[SourceError], files: int, output: str) -> None:
    report = results_as_report(results, dict.fromkeys(errors), files)
    with for_whoever_reads():
        if output in FOR_PROGRAMS:
            print(written(report, output, strict=False), end="")
            return
        for each in sorted(set(errors)):
            print_message(str(each))
        if output != "table":
            print_values(results, output)
        elif results:
            print(results_table(results, files), end="")
