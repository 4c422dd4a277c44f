"""`lockkeeper export`: the static part of policies as ValidatingAdmissionPolicy objects."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from lockkeeper.assembly.policies_beside import load_beside
from lockkeeper.exporting.admission_objects import ValidationAction, admission_objects, static_parts, too_long
from lockkeeper.exporting.static_rules import StaticPart
from lockkeeper.lint.reading import lint_objects
from lockkeeper.manifests.reading import Inputs
from lockkeeper.options.command_options import (
    add_argo_version,
    add_output,
    print_values,
    wrong_files_are_usage_errors,
)
from lockkeeper.options.file_options import add_namespace
from lockkeeper.process.console import UsageError, for_whoever_reads, print_message, printable, reason_of
from lockkeeper.process.yaml_output import as_yaml
from policy.core.policies.snapshot import Snapshot

EXAMPLES = """examples:
  lockkeeper export policies/ | kubectl apply -f -
  lockkeeper export policies/ --action Warn > admission.yaml
  lockkeeper export policies/ -o json | jq .unsaid

Each policy that says something of one Workflow alone becomes a ValidatingAdmissionPolicy and its binding; the
API server checks it without a webhook (Kubernetes 1.30 and later), at creates and at edits of templates.
Fields that CEL cannot say are listed with the reason: they need Lockkeeper. Exit codes: 0 objects are
printed, 1 nothing can be said in CEL, 2 a policy cannot be read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("policies", type=Path, metavar="POLICIES", help="file or folder of policies")
    add_argo_version(parser)
    add_namespace(parser, "policies")
    parser.add_argument(
        "--action",
        type=ValidationAction,
        choices=tuple(ValidationAction),
        default=ValidationAction.DENY,
        help="what the API server does: Deny, Warn or Audit (default %(default)s)",
    )
    add_output(parser, "json", text="format: a table is the objects as YAML")


def run(arguments: argparse.Namespace) -> int:
    """Print admission policies, and what they cannot say."""
    parts = static_parts(_snapshot(arguments))
    if not parts:
        raise UsageError(f"there is no policy in {arguments.policies}")
    objects = [found for each in parts for found in admission_objects(each, arguments.action)]
    for message in too_long(parts):
        print_message(message)
    unsaid = [found for each in parts for found in each.unsaid]
    with for_whoever_reads():
        if arguments.output == "json":
            print_values({"objects": objects, "unsaid": unsaid}, "json")
        else:
            documents = [as_yaml(each) for each in objects]
            print("---\n".join([*documents, "".join(_unsaid(parts))]), end="")
    return 0 if objects else 1


def _unsaid(parts: Sequence[StaticPart]) -> Iterator[str]:
    """Yield comments of what CEL cannot say."""
    yield "# Not said by these objects, and left to Lockkeeper:\n"
    for part in parts:
        for each in part.unsaid:
            yield printable(f"#   {each.policy} {each.field}: {each.message}") + "\n"


def _snapshot(arguments: argparse.Namespace) -> Snapshot:
    """Return the policies. Raises UsageError."""
    try:
        arguments.policies.stat()
    except OSError as error:
        raise UsageError(
            f"{arguments.policies} cannot be read: {reason_of(error)}; give a file or a folder"
        ) from error
    with wrong_files_are_usage_errors():
        return load_beside(
            arguments.policies,
            lint_objects(Inputs((), (), 0, 0), arguments.namespace),
            arguments.argo_version,
            namespace=arguments.namespace,
        )
