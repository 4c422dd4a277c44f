"""The Pod of a template as Argo makes it: with templateDefaults, values of parameters, and podSpecPatch.

Rules select templates by what their Pods run. What stands in the template is only a part of that: defaults
are merged into it, parameters are filled in, and a patch comes last. A template that is called with several
images runs each of them; a text with a `{{tag}}` left in it is known only at run time.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from policy.core.lock_model.input_values import CalledWith, Caller
from policy.core.lock_model.parameters import BEGIN
from policy.core.lock_model.pod_spec_patches import UNKNOWN, read_patch
from policy.core.lock_model.rules import CompiledRule
from policy.core.lock_model.template_selectors import DEFAULT_SERVICE_ACCOUNT, Match, Pod, manifest_kind
from policy.core.objects.workflow import (
    EMPTY_SPEC,
    Container,
    ResourceTemplate,
    Template,
    TemplateMetadata,
    Volume,
    WorkflowSpec,
)

_NO_RESOURCE: Final = ResourceTemplate()


class PodView:
    """The templates of one spec as they run in a namespace.

    `hides` tells that the spec says something of the Pods of all templates. With `open_ended`, others may run
    it with other values than are written here. `kept` is what was found out about templates, by their id.
    """

    __slots__ = ("_called", "_namespace", "_open_ended", "hides", "kept", "spec")

    def __init__(self, spec: WorkflowSpec, namespace: str, *, open_ended: bool = False) -> None:
        self.spec = spec
        self.hides = _hides(spec)
        self._namespace, self._open_ended = namespace, open_ended
        self._called: CalledWith | None = None
        self.kept: dict[int, tuple[Template, tuple[tuple[CompiledRule, Match], ...]]] = {}

    def pod(self, template: Template, caller: Caller | None = None) -> Pod:
        """Return what rules select a template by; `caller` is the call of a template of another object."""
        called = self._called
        if called is None:
            called = CalledWith(self.spec, self._namespace, open_ended=self._open_ended)
            self._called = called

        def forms(texts: Iterable[str]) -> tuple[str, ...]:
            known = (each for text in texts for each in called.forms(text, template, caller))
            return tuple(dict.fromkeys(known))

        spec, defaults = self.spec, self.spec.template_defaults
        own = template.pod_spec_patch or (defaults.pod_spec_patch if defaults is not None else None)
        patches = [read_patch(text) for text in forms(each for each in (spec.pod_spec_patch, own) if each)]
        account = (
            template.service_account_name
            or (defaults.service_account_name if defaults is not None else None)
            or spec.service_account_name
            or DEFAULT_SERVICE_ACCOUNT
        )
        resource = _resource(template, defaults)
        return Pod(
            images=(*forms(_images(template, defaults)), *(one for each in patches for one in each.images)),
            service_accounts=(
                *forms((account,)),
                *(one for each in patches for one in each.service_accounts),
            ),
            claims=(*forms(_claims(template, spec)), *(one for each in patches for one in each.claims)),
            labels={key: forms((value,)) for key, value in _labels(template, spec).items()},
            action=(resource.action or "") if template.resource is not None else None,
            kinds=tuple(_kind(each) for each in forms((resource.manifest or "",))),
            unread=any(each.unread for each in patches),
        )


def is_veiled(template: Template, *, closely: bool) -> bool:
    """Tell whether a template's Pod is something else than its containers as they are written.

    With `closely`, what else rules may ask for is looked at, too.
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
    if template.pod_spec_patch is not None or (closely and _has_tags(template)):
        return True
    return template.container_set is not None and any(
        BEGIN in (each.image or "") for each in template.container_set.containers or ()
    )


def _has_tags(template: Template) -> bool:
    """Tell whether what else rules select by has parameters in it."""
    labels = (template.metadata.labels if template.metadata is not None else None) or {}
    claims = (each.persistent_volume_claim for each in template.volumes or ())
    texts = (
        template.service_account_name,
        *labels.values(),
        *(claim.claim_name for claim in claims if claim is not None),
        template.resource.manifest if template.resource is not None else None,
    )
    return any(text is not None and BEGIN in text for text in texts)


def _hides(spec: WorkflowSpec) -> bool:
    if spec.template_defaults is None and spec.pod_spec_patch is None and spec.pod_metadata is None:
        return (spec.service_account_name is not None and BEGIN in spec.service_account_name) or (
            spec.volumes is not None and any(BEGIN in claim for claim in _claimed(spec.volumes))
        )
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


def _claimed(volumes: Iterable[Volume]) -> Iterator[str]:
    for each in volumes:
        if each.persistent_volume_claim is not None:
            yield each.persistent_volume_claim.claim_name or ""


def _images(template: Template, defaults: Template | None) -> Iterator[str]:
    """Yield the images of all containers, each default where the template has none of its own."""
    for own, default in _singles(template, defaults):
        yield own.image or (default.image if default is not None else None) or ""
    if template.container_set is not None:
        yield from (each.image or "" for each in template.container_set.containers or ())
    for each in (*_several(template, defaults, init=True), *_several(template, defaults, init=False)):
        yield each.image or ""


def _singles(template: Template, defaults: Template | None) -> Iterator[tuple[Container, Container | None]]:
    if template.container is not None:
        yield template.container, defaults.container if defaults is not None else None
    if template.script is not None:
        yield template.script, defaults.script if defaults is not None else None


def _several(template: Template, defaults: Template | None, *, init: bool) -> tuple[Container, ...]:
    """Return the init containers or sidecars; those of the defaults are merged in by name."""
    own = (template.init_containers if init else template.sidecars) or ()
    below = () if defaults is None else (defaults.init_containers if init else defaults.sidecars) or ()
    if not below:
        return own
    whole = {each.name for each in own if each.image}
    return (*own, *(each for each in below if each.name not in whole))


def _claims(template: Template, spec: WorkflowSpec) -> Iterator[str]:
    """Yield the claims that a template's containers mount."""
    defaults = spec.template_defaults
    containers = [each for pair in _singles(template, defaults) for each in pair if each is not None]
    containers += [*_several(template, defaults, init=True), *_several(template, defaults, init=False)]
    mounts = [mount for container in containers for mount in container.volume_mounts or ()]
    if template.container_set is not None:
        mounts += template.container_set.volume_mounts or ()
        for container in template.container_set.containers or ():
            mounts += container.volume_mounts or ()
    mounted = {mount.name for mount in mounts}
    below: tuple[Volume, ...] = (defaults.volumes if defaults is not None else None) or ()
    for volume in (*(template.volumes or ()), *below, *(spec.volumes or ())):
        claim = volume.persistent_volume_claim
        if claim is not None and volume.name in mounted:
            yield claim.claim_name or ""


def _labels(template: Template, spec: WorkflowSpec) -> Mapping[str, str]:
    """Return the labels of the Pods: the template's own count before the defaults', then come the spec's."""
    defaults = spec.template_defaults
    found: dict[str, str] = {}
    below: tuple[TemplateMetadata | None, ...] = (
        spec.pod_metadata,
        defaults.metadata if defaults is not None else None,
        template.metadata,
    )
    for each in below:
        found.update((each.labels if each is not None else None) or {})
    return found


def _kind(manifest: str) -> str:
    return manifest_kind(manifest) or (UNKNOWN if BEGIN in manifest else "")


def _resource(template: Template, defaults: Template | None) -> ResourceTemplate:
    own = template.resource
    below = defaults.resource if defaults is not None else None
    if own is None or below is None:
        return own or _NO_RESOURCE
    return msgspec.structs.replace(
        own, action=own.action or below.action, manifest=own.manifest or below.manifest
    )


NOTHING_SAID: Final = PodView(EMPTY_SPEC, "")
"""Of a spec that says nothing of its templates' Pods."""
