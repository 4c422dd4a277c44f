"""What is decided differently about one object."""

import difflib
from collections.abc import Iterable, Iterator

from lockkeeper.manifests.manifest import Manifest
from lockkeeper.policy_diff.differences import DecidedSide, ObjectDifference
from lockkeeper.process.yaml_output import as_yaml
from lockkeeper.reviewing.object_review import ReviewedManifest
from policy.core.decision.decision import Outcome

_COMPARED = ("outcome", "reasons", "warnings", "locks", "policies", "patch")


def object_differences(
    before: Iterable[tuple[Manifest, ReviewedManifest]], after: Iterable[tuple[Manifest, ReviewedManifest]]
) -> Iterator[ObjectDifference]:
    """Yield the objects that were decided on both sides, and not the same."""
    old = {id(manifest): reviewed for manifest, reviewed in before}
    for manifest, new in after:
        known = old.get(id(manifest))
        if known is None:
            continue
        sides = _side(known), _side(new)
        differs = tuple(each for each in _COMPARED if getattr(sides[0], each) != getattr(sides[1], each))
        if differs:
            diff = tuple(_diff(manifest, known, new)) if "patch" in differs else ()
            yield ObjectDifference(new.file, new.line, str(new), differs, *sides, diff)


def _side(reviewed: ReviewedManifest) -> DecidedSide:
    return DecidedSide(
        reviewed.outcome,
        reviewed.reasons,
        reviewed.warnings,
        reviewed.locks,
        reviewed.policies,
        reviewed.patch,
    )


def _diff(manifest: Manifest, before: ReviewedManifest, after: ReviewedManifest) -> Iterator[str]:
    """Yield the difference of what would be stored; a denied object is not."""
    if Outcome.DENIED.value in (before.outcome, after.outcome):
        return
    old, new = (manifest.value if each.changed is None else each.changed for each in (before, after))
    yield from difflib.unified_diff(
        as_yaml(old).splitlines(), as_yaml(new).splitlines(), "before", "after", n=2, lineterm=""
    )
