"""The decision about one object: by the webhook's own decoding and deciding, over what is assumed to run."""

import jsonpatch
import msgspec

from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.written_words import as_written
from lockkeeper.reviewing.assumptions import Assumptions
from policy.core.decision import quota_messages
from policy.core.decision.decision import Decision, Outcome, Reason, Side, denied
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from webhook import wire
from webhook.review import decide_without_ledger
from webhook.wire import admission_review


class ReviewedReason(msgspec.Struct, frozen=True):
    """A reason of a denial, and the line of the field that it is about."""

    code: str
    field: str
    message: str
    policy: str
    line: int

    def __str__(self) -> str:
        policy = f"[{self.policy}] " if self.policy else ""
        field = f"{self.field}: " if self.field else ""
        return f"{policy}{field}{self.message}"


class ReviewedManifest(msgspec.Struct, frozen=True, rename="camel"):
    """The decision about one object, as `-o json` and `-o yaml` show it; `inside` is what carries it."""

    file: str
    line: int
    kind: str
    namespace: str
    name: str
    inside: str
    outcome: str
    reasons: tuple[ReviewedReason, ...]
    warnings: tuple[str, ...]
    locks: tuple[str, ...]
    policies: tuple[str, ...]
    patch: tuple[JsonObject, ...]
    changed: JsonObject | None

    def __str__(self) -> str:
        inside = f" in {self.inside}" if self.inside else ""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}{inside}"


def review_manifest(
    manifest: Manifest,
    snapshot: Snapshot,
    namespace: str,
    user: str,
    *,
    assumed: Assumptions,
) -> ReviewedManifest:
    """Return the decision; an object that names no namespace is in the given one.

    Raises:
        BadRequest: it is larger than an object may be.
    """
    namespace = manifest.namespace_or(namespace)
    decision = _decide(manifest, snapshot, namespace, user, assumed)
    # It would be stored, and wait for ever: what the webhook can only warn of is a fault of the file.
    never = () if decision.never_starts is None else (decision.never_starts,)
    warnings = tuple(w for w in decision.warnings if not any(w.endswith(each.message) for each in never))
    carrier = manifest.carrier
    # What an object will be whose carrier fills it in is not known, and cannot be shown.
    is_known = carrier is None or not carrier.replaced
    patch: tuple[JsonObject, ...] = tuple(msgspec.to_builtins(decision.patch)) if is_known else ()
    repeated = tuple(f"lockkeeper: {each.path}: {each.message}" for each in manifest.repeated_keys)
    return ReviewedManifest(
        file=manifest.file,
        line=manifest.line,
        kind=manifest.kind,
        namespace=namespace,
        name=manifest.name,
        inside="" if carrier is None else carrier.object,
        outcome=_outcome(decision).value,
        reasons=tuple(_reason(each, manifest) for each in (*decision.reasons, *never)),
        warnings=(*repeated, *warnings),
        locks=tuple(f"{each.lock} on {each.template}" for each in decision.injected),
        policies=decision.policies,
        patch=patch,
        changed=jsonpatch.apply_patch(manifest.value, list(patch)) if patch else None,
    )


def _outcome(decision: Decision) -> Outcome:
    """Return the outcome as its author sees it: one that starts at once has been queued for a moment only."""
    starts = decision.outcome is Outcome.QUEUED and not decision.waits
    return Outcome.ALLOWED if starts else decision.outcome


def _decide(
    manifest: Manifest, snapshot: Snapshot, namespace: str, user: str, assumed: Assumptions
) -> Decision:
    group, _, version = manifest.api_version.rpartition("/")
    envelope = admission_review(manifest.value, namespace=namespace, uid="review", user=user)
    request = envelope["request"]
    if isinstance(request, dict):
        request["kind"] = {"group": group, "version": version, "kind": manifest.kind}
    received = wire.decode(msgspec.json.encode(envelope), Side.MUTATE)
    snapshot = assumed.with_usage(received.review, snapshot)
    decision = decide_without_ledger(received.review, received.fault, snapshot, assumed.now, thorough=True)
    if decision.allowed and decision.reservation is not None:
        short = quota_messages.shortage(decision.reservation, snapshot.usage.used)
        if short:  # The ledger would not admit it.
            decision = denied(decision, short)
    return decision


def _reason(reason: Reason, manifest: Manifest) -> ReviewedReason:
    line = manifest.place(reason.field).line
    message = as_written(reason.message, reason.field, manifest.origin, manifest.carrier)
    return ReviewedReason(reason.code.value, reason.field, message, reason.policy, line)
