"""`lockkeeper lint`: what is wrong with Workflows, templates and schedules in files, without a cluster."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lockkeeper import __version__
from lockkeeper.cli.options import add_argo_version, add_output, existing_folder, wrong_files_are_usage_errors
from lockkeeper.lint.lint import Level, LintFinding, lint
from lockkeeper.lint.reading import read_files
from lockkeeper.process.console import as_json
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE

EXAMPLES = """examples:
  lockkeeper lint workflows/
  lockkeeper lint workflows/ --policies policies/ -o github
  kustomize build . | lockkeeper lint - -o json

All files are looked at together: Workflows, templates, schedules, ConfigMaps with limits, and policies.
What may be in the cluster and is not among the files is at most a warning. Exit codes: 0 no error,
1 errors (with --strict warnings too), 2 a file or a policy cannot be read."""

_GITHUB: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_GITHUB_FIELD: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


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
        metavar="DIR",
        help="folder of policies and what stands beside them, read too",
    )
    add_argo_version(parser)
    add_output(
        parser, "json", "github", "sarif", text="format: github is for annotations, sarif for code scanning"
    )
    parser.add_argument(
        "-n",
        "--namespace",
        default=DEFAULT_NAMESPACE,
        help="namespace of objects that name none (default %(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings too")


@wrong_files_are_usage_errors()
def run(arguments: argparse.Namespace) -> int:
    """Check every object of every file."""
    paths = list(arguments.paths)
    if arguments.policies is not None:
        paths.append(str(existing_folder(arguments.policies, "the folder of policies")))
    files = read_files(paths, arguments.namespace)
    findings = lint(files, arguments.argo_version)
    if arguments.output == "json":
        print(as_json(findings))
    elif arguments.output == "sarif":
        print(as_json(sarif(findings, __version__)))
    elif arguments.output == "github":
        for each in findings:
            print(_annotation(each))
    else:
        _print_table(findings, len(files.subjects), files.count)
    errors = sum(each.level is Level.ERROR for each in findings)
    return 1 if errors or (arguments.strict and findings) else 0


def _annotation(finding: LintFinding) -> str:
    """Return a workflow command of GitHub Actions."""
    place = f"file={finding.file.translate(_GITHUB_FIELD)},line={finding.line}"
    title = f"{finding.code} in {finding.object}".translate(_GITHUB_FIELD)
    return f"::{finding.level} {place},title={title}::{_sentence(finding).translate(_GITHUB)}"


def _print_table(findings: Sequence[LintFinding], objects: int, files: int) -> None:
    for each in findings:
        policy = f" [{each.policy}]" if each.policy else ""
        print(f"{each.file}:{each.line}: {each.level}: {each.code}: {each.object}{policy}: {_sentence(each)}")
    errors = sum(each.level is Level.ERROR for each in findings)
    read = f"{_some(objects, 'object')} in {_some(files, 'file')}"
    print(f"{read}: {_some(errors, 'error')}, {_some(len(findings) - errors, 'warning')}")


def _sentence(finding: LintFinding) -> str:
    return f"{finding.field}: {finding.message}" if finding.field else finding.message


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[LintFinding], version: str) -> JsonObject:
    """Return one run of the tool with a result for each finding."""
    codes = sorted({each.code for each in findings})
    driver: JsonObject = {"name": "lockkeeper", "version": version, "rules": [{"id": code} for code in codes]}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(each) for each in findings]}],
    }


def _result(finding: LintFinding) -> JsonObject:
    text = f"{finding.object}: {finding.field}: {finding.message}"
    place: JsonObject = {
        "artifactLocation": {"uri": finding.file},
        "region": {"startLine": max(finding.line, 1)},
    }
    return {
        "ruleId": finding.code,
        "level": finding.level.value,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }
