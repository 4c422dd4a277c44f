"""Looking things up in templates of other objects: what rules may select there, and which locks lack there.

What was found is remembered with the policies of the namespace, which a change of policies or templates makes
anew.
"""

from policy.core.kinds import MatchedKind
from policy.core.locks.as_run import NOTHING_SAID, View
from policy.core.locks.beyond import lacking_in
from policy.core.locks.policies import LockPolicies
from policy.core.locks.scene import Find, Foreign, Lacking, LackingIn
from policy.core.snapshot import Snapshot
from policy.core.workflow import TemplateRef


def missing_finder(locks: LockPolicies, snapshot: Snapshot) -> LackingIn:
    """Return how locks are found that other objects lack; they are remembered."""

    def lacking(ref: TemplateRef) -> tuple[Lacking, ...]:
        key = ("" if ref.cluster_scope else locks.namespace, ref.name or "", ref.template or "")
        return locks.found_out.lacking.get_or(key, lambda: lacking_in(ref, locks, snapshot))

    return lacking


def finder(locks: LockPolicies, snapshot: Snapshot, view: View = NOTHING_SAID) -> Find:
    """Return how templates of other objects are looked up that rules may select; they are remembered.

    `view` is that of the object under review, which may say what all that it runs has in its Pods.
    """

    def find(ref: TemplateRef) -> Foreign | None:
        scope = "" if ref.cluster_scope else locks.namespace
        if not (ref.cluster_scope or scope):
            return None  # A template of the cluster is used in many namespaces: which, is not known here.
        key = (scope, ref.name or "", ref.template or "", view.hides)
        return locks.found_out.foreign.get_or(key, lambda: look_up(*key))

    def look_up(scope: str, name: str, wanted: str, hides: bool) -> Foreign | None:  # noqa: FBT001 - a key
        spec = snapshot.templates.get((scope, name))
        templates = (spec.templates if spec is not None else None) or ()
        template = next((each for each in templates if each.name == wanted), None)
        if template is None or not (
            locks.rules_for(template) or locks.may_come_to_select(template, hides=hides)
        ):
            return None
        kind = MatchedKind.WORKFLOW_TEMPLATE if scope else MatchedKind.CLUSTER_WORKFLOW_TEMPLATE
        return Foreign(kind, template, snapshot.texts.get((scope, name), ""))

    return find
