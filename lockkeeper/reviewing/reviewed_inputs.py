"""The decisions about all objects that were read."""

from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import Inputs, unread
from lockkeeper.reviewing.assumptions import Assumptions
from lockkeeper.reviewing.object_review import ReviewedManifest, review_manifest
from policy.core.policies.snapshot import Snapshot
from webhook.http_errors import BadRequest


def review_inputs(
    inputs: Inputs, snapshot: Snapshot, *, namespace: str, user: str, assumed: Assumptions
) -> tuple[Inputs, list[tuple[Manifest, ReviewedManifest]]]:
    """Return the decision about each object, and the inputs with what turned out to be unreadable."""
    pairs = []
    for manifest in inputs.manifests:
        try:
            reviewed = review_manifest(manifest, snapshot, namespace, user, assumed=assumed)
        except BadRequest as error:
            inputs = unread(inputs, manifest, f"cannot be reviewed: {error}")
            continue
        carrier = manifest.carrier
        told = (*map(str, reviewed.reasons), *reviewed.warnings)
        if carrier is None or not any(map(carrier.rests_on_tag, told)):
            pairs.append((manifest, reviewed))
    return inputs, pairs
