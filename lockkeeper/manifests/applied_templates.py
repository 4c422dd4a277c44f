"""Templates among the files as they will be stored: with the locks that policies put into them.

What calls such a template is judged by what it will find in the cluster, once all of the files are applied.
"""

from collections.abc import Iterable, Iterator

import msgspec

from policy.core.decision.decision import Operation, Review, Side
from policy.core.lock_review.template_locks import review_template
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import TemplateObject
from policy.core.policies.snapshot import Snapshot, key_of_template, with_templates


def with_text(template: TemplateObject, value: JsonObject) -> TemplateObject:
    """Return a template with the text of its spec, from which callers may copy templates."""
    return msgspec.structs.replace(template, text=msgspec.json.encode(value.get("spec")).decode())


def as_applied(templates: Iterable[JsonObject], snapshot: Snapshot) -> Snapshot:
    """Return what is known once these template objects are applied; they name their namespaces."""
    changed = list(_changed(templates, snapshot))
    return with_templates(snapshot, changed) if changed else snapshot


def _changed(templates: Iterable[JsonObject], snapshot: Snapshot) -> Iterator[TemplateObject]:
    for value in templates:
        raw = msgspec.Raw(msgspec.json.encode(value))
        template = msgspec.json.decode(raw, type=TemplateObject)
        review = Review(
            uid="",
            side=Side.MUTATE,
            operation=Operation.CREATE,
            namespace=template.metadata.namespace or "",
            user="",
            dry_run=True,
            workflow=None,
            kind=ObjectKind(template.kind),
            template=template,
            raw=raw,
        )
        decision = review_template(review, snapshot)
        if decision.patch:
            import jsonpatch  # noqa: PLC0415 - `lint` does without it where no policy changes a template

            after = jsonpatch.apply_patch(value, msgspec.to_builtins(list(decision.patch)))
            yield with_text(msgspec.convert(after, TemplateObject), after)
        elif snapshot.templates.get(key_of_template(template)) != template.spec:
            yield with_text(template, value)  # It takes the place of one that is stored.
