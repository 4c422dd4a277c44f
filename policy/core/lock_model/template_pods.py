"""What the Pod of a template runs: with templateDefaults, values of parameters, and podSpecPatch.

Rules select templates by what their Pods run. The template itself has only a part of that: defaults are
merged into it, parameters are filled in, and a patch comes last. A template that is called with several
images runs each of them; a text with a `{{tag}}` left in it is known only at run time.

A `podSpecPatch` is YAML or JSON in a string. Reading YAML as a whole takes too long for a review; so the
fields are looked for as they are usually written, and a patch that could set them in another way (aliases,
escapes, block scalars) counts as one that was not read.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from policy.core.lock_model.input_values import CalledWith, Caller
from policy.core.lock_model.parameters import BEGIN, replaced
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_bodies import (
    claims_of,
    main_containers,
    service_account_of,
    side_containers,
)
from policy.core.lock_model.template_selectors import Match, Pod, manifest_kind
from policy.core.objects.workflow import EMPTY_SPEC, ResourceTemplate, Template, Volume, WorkflowSpec

_NO_RESOURCE: Final = ResourceTemplate()
_LONGEST_PATCH: Final = 10_000
"""Characters of a patch that is read."""
_UNKNOWN: Final = "{{unknown}}"
"""Stands for a value that is known only at run time."""
_MARK: Final = "\x00"
_PARTS: Final = {
    "image": "images",
    "serviceaccountname": "service_accounts",
    "serviceaccount": "service_accounts",
    "claimname": "claims",
}
"""Where a field of a patch is stored in a PodPatch; Go reads the names of fields whatever their case."""
_FIELD: Final = re.compile(
    r"""(?:^|[\s,{])["']?(image|serviceAccountName|serviceAccount|claimName)["']?[ \t]*:\s*"""
    r"""("[^"\n]*"|'[^'\n]*'|[^\s,\]}"']*)""",
    re.IGNORECASE | re.MULTILINE,
)
_OTHER_WAYS: Final = re.compile(r"\\|(?:^|[\s,\[{:-])(?:[&*!][^\s&]|\?(?:\s|$))|<<", re.MULTILINE)
_ELSEWHERE: Final = frozenset({"|", ">", "#", ""})
"""What a field begins with whose value is on other lines."""
_SCALAR: Final = re.compile(r":[ \t]+[^\x00\n]*\x00|[\"':]\x00")


class PodView:
    """The templates of one spec as they run in a namespace.

    `sets_pods` is True where the spec sets something in the Pods of all templates. With `open_ended`, others
    may run it with other values than are written here. `matches` has the rules that templates matched, by id
    of the template.
    """

    __slots__ = ("_called", "_namespace", "_open_ended", "matches", "sets_pods", "spec")

    def __init__(self, spec: WorkflowSpec, namespace: str, *, open_ended: bool = False) -> None:
        self.spec = spec
        self.sets_pods = _sets_pods(spec)
        self._namespace, self._open_ended = namespace, open_ended
        self._called: CalledWith | None = None
        self.matches: dict[int, tuple[Template, tuple[tuple[CompiledRule, Match], ...]]] = {}

    def pod(self, template: Template, caller: Caller | None = None) -> Pod:
        """Return what rules select a template by; `caller` is the call of a template of another object."""
        called = self._called
        if called is None:
            called = CalledWith(self.spec, self._namespace, open_ended=self._open_ended)
            self._called = called

        def variants(texts: Iterable[str]) -> tuple[str, ...]:
            known = (each for text in texts for each in called.variants(text, template, caller))
            return tuple(dict.fromkeys(known))

        spec, defaults = self.spec, self.spec.template_defaults
        own = template.pod_spec_patch or (defaults.pod_spec_patch if defaults is not None else None)
        patches = [read_patch(text) for text in variants(each for each in (spec.pod_spec_patch, own) if each)]
        resource = _resource(template, defaults)
        return Pod(
            images=(
                *variants(_images(template, defaults)),
                *(one for each in patches for one in each.images),
            ),
            service_accounts=(
                *variants((service_account_of(template, spec),)),
                *(one for each in patches for one in each.service_accounts),
            ),
            claims=(*variants(claims_of(template, spec)), *(one for each in patches for one in each.claims)),
            labels={key: variants((value,)) for key, value in _labels(template, spec).items()},
            action=(resource.action or "") if template.resource is not None else None,
            kinds=tuple(_kind(each) for each in variants((resource.manifest or "",))),
            unread=any(each.unread for each in patches),
        )


def pod_differs(template: Template, *, all_fields: bool) -> bool:
    """Return whether a template's Pod may run something else than its containers as they are written.

    With `all_fields`, the other fields that rules may select by are looked at, too.
    """
    container = template.container
    if container is None:
        if template.dag is not None or template.steps is not None:
            return False  # It has no Pod.
        container = template.script
    if container is not None and container.image is not None and BEGIN in container.image:
        return True
    if template.sidecars is not None or template.init_containers is not None:
        return True
    if template.pod_spec_patch is not None or (all_fields and _has_tags(template)):
        return True
    return template.container_set is not None and any(
        BEGIN in (each.image or "") for each in template.container_set.containers or ()
    )


def _has_tags(template: Template) -> bool:
    """Return whether a field beside the images that rules select by has parameters in it."""
    labels = (template.metadata.labels if template.metadata is not None else None) or {}
    texts = (
        template.service_account_name,
        *labels.values(),
        template.resource.manifest if template.resource is not None else None,
    )
    return any(text is not None and BEGIN in text for text in texts) or any(
        map(_has_tagged_claim, template.volumes or ())
    )


def _has_tagged_claim(volume: Volume) -> bool:
    claim = volume.persistent_volume_claim
    return claim is not None and BEGIN in (claim.claim_name or "")


def _sets_pods(spec: WorkflowSpec) -> bool:
    if spec.template_defaults is None and spec.pod_spec_patch is None and spec.pod_metadata is None:
        tagged = spec.service_account_name is not None and BEGIN in spec.service_account_name
        return tagged or (spec.volumes is not None and any(map(_has_tagged_claim, spec.volumes)))
    if spec.pod_spec_patch or spec.pod_metadata is not None:
        return True
    defaults = spec.template_defaults
    return defaults is not None and any(
        part is not None
        for part in (
            defaults.container,
            defaults.script,
            defaults.init_containers,
            defaults.sidecars,
            defaults.volumes,
            defaults.metadata,
            defaults.pod_spec_patch,
            defaults.service_account_name,
            defaults.resource,
        )
    )


def _images(template: Template, defaults: Template | None) -> Iterator[str]:
    """Yield the images of all containers, each default where the template has none of its own."""
    for own, default in main_containers(template, defaults):
        yield own.image or (default.image if default is not None else None) or ""
    for each in side_containers(template, defaults):
        yield each.image or ""


def _labels(template: Template, spec: WorkflowSpec) -> dict[str, str]:
    """Return the labels of the Pods: the template's own come before the defaults', then the spec's."""
    defaults = spec.template_defaults
    found: dict[str, str] = {}
    for each in (spec.pod_metadata, defaults.metadata if defaults is not None else None, template.metadata):
        found.update((each.labels if each is not None else None) or {})
    return found


def _kind(manifest: str) -> str:
    return manifest_kind(manifest) or (_UNKNOWN if BEGIN in manifest else "")


def _resource(template: Template, defaults: Template | None) -> ResourceTemplate:
    own = template.resource
    below = defaults.resource if defaults is not None else None
    if own is None or below is None:
        return own or _NO_RESOURCE
    return msgspec.structs.replace(
        own, action=own.action or below.action, manifest=own.manifest or below.manifest
    )


class PodPatch(msgspec.Struct, frozen=True):
    """What a patch sets; `unread` where it may set more than that."""

    images: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    unread: bool = False


_UNREAD: Final = PodPatch(unread=True)


def read_patch(text: str) -> PodPatch:
    """Return what a patch sets; its `{{tags}}` are those whose values are unknown."""
    if len(text) > _LONGEST_PATCH:
        return _UNREAD
    if BEGIN in text:
        text = replaced(text, lambda _: _MARK)
        if any(_MARK in line and not _SCALAR.search(line) for line in text.splitlines()):
            return _UNREAD  # The tag may become anything.
    if text.lstrip().startswith("{") and _MARK not in text:
        return _of_json(text)
    found = _gathered((each[1], each[2].strip("\"'")) for each in _FIELD.finditer(text))
    values = (*found.images, *found.service_accounts, *found.claims)
    odd = _OTHER_WAYS.search(text) or any(each[:1] in _ELSEWHERE for each in values)
    return msgspec.structs.replace(found, unread=True) if odd else found


def _of_json(text: str) -> PodPatch:
    try:
        return _gathered(_fields(msgspec.json.decode(text)))
    except msgspec.DecodeError:
        return PodPatch()  # Argo cannot read it either, and starts no Pod.
    except RecursionError:
        return _UNREAD


def _fields(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a JSON value, at any depth, that are texts."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, list):
            left += each
        elif isinstance(each, dict):
            left += each.values()
            yield from ((key, text) for key, text in each.items() if isinstance(text, str))


def _gathered(fields: Iterator[tuple[str, str]]) -> PodPatch:
    parts: dict[str, list[str]] = {part: [] for part in _PARTS.values()}
    for key, value in fields:
        part = _PARTS.get(key.casefold())
        if part is not None:
            parts[part].append(value.replace(_MARK, _UNKNOWN))
    return PodPatch(tuple(parts["images"]), tuple(parts["service_accounts"]), tuple(parts["claims"]))


PLAIN_PODS: Final = PodView(EMPTY_SPEC, "")
"""Of a spec that sets nothing in its templates' Pods."""
