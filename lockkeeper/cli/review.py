"""`lockkeeper review`: what the webhook would decide about manifests, without a cluster."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import jsonpatch
import msgspec

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.cli.options import add_output, add_policies, existing_folder, wrong_files_are_usage_errors
from lockkeeper.process.console import aligned, as_json
from lockkeeper.process.yaml_output import as_yaml
from policy.core.decision import quota_messages
from policy.core.decision.decision import Side, denied
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE
from policy.core.quota.demands import shortfalls
from policy.sources.manifests import STANDARD_INPUT, Manifest, read_manifests, read_text
from webhook import wire
from webhook.review import decide_without_ledger
from webhook.wire import admission_review

EXAMPLES = """examples:
  lockkeeper review my-workflow.yaml --policies examples/policies
  lockkeeper review workflows/ --policies policies/ --namespace team-etl --show none
  kustomize build . | lockkeeper review - --policies policies/ -o json

Every document is reviewed by itself, as if nothing else ran. Exit codes: 0 nothing is denied, 1 something is,
2 a file or a policy cannot be read."""


class _Reviewed(msgspec.Struct, frozen=True, rename="camel"):
    """The decision about one document, as `-o json` and `-o yaml` show it."""

    file: str
    line: int
    kind: str
    namespace: str
    name: str
    outcome: str
    reasons: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    locks: tuple[str, ...]
    policies: tuple[str, ...]
    patch: tuple[JsonObject, ...]
    changed: JsonObject | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="YAML or JSON file, a folder of them, or - for standard input",
    )
    add_policies(parser)
    add_output(parser, "json", "yaml")
    parser.add_argument(
        "--show",
        choices=("diff", "whole", "none"),
        default="diff",
        help="how the table shows a changed object: diff, whole, or none (default %(default)s)",
    )
    parser.add_argument(
        "-n",
        "--namespace",
        default=DEFAULT_NAMESPACE,
        help="namespace of Workflows that name none (default %(default)s)",
    )
    parser.add_argument("--user", default="", help="user who creates the Workflows, for limits per user")


@wrong_files_are_usage_errors()
def run(arguments: argparse.Namespace) -> int:
    """Review every document of every file."""
    snapshot = load_once(
        existing_folder(arguments.policies, "the folder of policies"), arguments.argo_version
    )
    manifests = [manifest for file in arguments.files for manifest in _read(file)]
    reviewed = [_review(manifest, snapshot, arguments.namespace, arguments.user) for manifest in manifests]
    if arguments.output == "json":
        print(as_json(reviewed))
    elif arguments.output == "yaml":
        print(as_yaml(msgspec.to_builtins(reviewed)), end="")
    else:
        _print_table(manifests, reviewed, arguments.show)
    return 1 if any(each.outcome == "denied" for each in reviewed) else 0


def _read(file: str) -> list[Manifest]:
    if file == STANDARD_INPUT:
        return read_text(sys.stdin.buffer.read(), "standard input")
    return read_manifests(Path(file))


def _review(manifest: Manifest, snapshot: Snapshot, namespace: str, user: str) -> _Reviewed:
    """Send a document down the webhook's own path: the same decoding, the same decision."""
    namespace = manifest.namespace or namespace
    group, _, version = manifest.api_version.rpartition("/")
    envelope = admission_review(manifest.value, namespace=namespace, uid="review", user=user)
    request = envelope["request"]
    if isinstance(request, dict):
        request["kind"] = {"group": group, "version": version, "kind": manifest.kind}
    received = wire.decode(msgspec.json.encode(envelope), Side.MUTATE)
    decision = decide_without_ledger(
        received.review, received.fault, snapshot, datetime.now(UTC), thorough=True
    )
    if decision.allowed and decision.reservation is not None:
        wanted = decision.reservation
        short = shortfalls({}, wanted.requested, wanted.demands)
        if short:  # Not even an empty ledger would admit it.
            decision = denied(decision, tuple(quota_messages.exceeded_reason(each) for each in short))
    patch: tuple[JsonObject, ...] = tuple(msgspec.to_builtins(decision.patch))
    return _Reviewed(
        file=manifest.file,
        line=manifest.line,
        kind=manifest.kind,
        namespace=namespace,
        name=manifest.name,
        outcome=decision.outcome.value,
        reasons=tuple(
            {"code": each.code.value, "field": each.field, "message": each.message, "policy": each.policy}
            for each in decision.reasons
        ),
        warnings=decision.warnings,
        locks=tuple(f"{each.lock} on {each.template}" for each in decision.injected),
        policies=decision.policies,
        patch=patch,
        changed=jsonpatch.apply_patch(manifest.value, list(patch)) if patch else None,
    )


def _print_table(manifests: Sequence[Manifest], reviewed: Sequence[_Reviewed], show: str) -> None:
    rows = [("FILE", "KIND", "NAMESPACE", "NAME", "DECISION", "WHY")]
    for each in reviewed:
        place = f"{each.file}:{each.line}"
        rows.append((place, each.kind, each.namespace, each.name, each.outcome, _why(each)))
    print(aligned(rows))
    for manifest, each in zip(manifests, reviewed, strict=True):
        details = [f"  {_sentence(reason)}" for reason in each.reasons]
        details += [f"  warning: {warning}" for warning in each.warnings]
        if details or (each.changed is not None and show != "none"):
            print(f"\n{each.file}:{each.line} {each.kind} {each.namespace}/{each.name}")
        for line in details:
            print(line)
        if each.changed is not None and show == "whole":
            print(as_yaml(each.changed), end="")
        elif each.changed is not None and show == "diff":
            print(_diff(manifest.value, each.changed), end="")


def _why(reviewed: _Reviewed) -> str:
    if reviewed.reasons:
        return ", ".join(dict.fromkeys(reason["code"] for reason in reviewed.reasons))
    if reviewed.locks:
        return "; ".join(f"lock {lock}" for lock in reviewed.locks)
    return ", ".join(reviewed.policies)


def _sentence(reason: dict[str, str]) -> str:
    policy = f"[{reason['policy']}] " if reason["policy"] else ""
    field = f"{reason['field']}: " if reason["field"] else ""
    return f"{policy}{field}{reason['message']}"


def _diff(before: JsonObject, after: JsonObject) -> str:
    lines = difflib.unified_diff(
        as_yaml(before).splitlines(keepends=True),
        as_yaml(after).splitlines(keepends=True),
        "before",
        "after",
        n=2,
    )
    return "".join(lines)
