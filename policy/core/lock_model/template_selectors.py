"""Which templates a rule selects: by name and type, and by what their Pods run; several globs as one."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from policy.core.lock_model.parameters import BEGIN, END, replaced
from policy.core.objects.workflow import Container, Template, WorkflowSpec
from policy.core.policy_kinds.kinds import LEAF_TYPES, ResourceSelector, TemplateSelector, TemplateType

LONGEST_GLOB: Final = 500
"""Characters of a glob, as the CRDs say."""
LONGEST_TEXT: Final = 1000
"""Characters of a text that is looked at. No image and no name is longer, and a longer text fits every glob:
nobody gets round a rule by a text that would take a review its time."""
_UNKNOWN: Final = "\x01"
"""Stands for a tag: only `*` and `?` match it, which match whatever comes."""
_SPECIAL: Final = re.compile(r"[*?\[\]]")
DEFAULT_SERVICE_ACCOUNT: Final = "default"
_KIND: Final = re.compile(r"""^["']?kind["']?\s*:\s*["']?([A-Za-z][A-Za-z0-9]*)""", re.MULTILINE)
"""The kind of a manifest: a line of YAML that is not indented."""
_KIND_IN_JSON: Final = re.compile(r'"kind"\s*:\s*"([A-Za-z][A-Za-z0-9]*)"')


class Match(IntEnum):
    """Whether something is selected; MAYBE where that depends on what is known only at run time."""

    NO = 0
    MAYBE = 1
    YES = 2


class Globs(msgspec.Struct, frozen=True):
    """Some globs, of which one has to match a text as a whole."""

    patterns: tuple[str, ...]
    compiled: re.Pattern[str]

    def fits(self, text: str) -> bool:
        """Tell whether a text matches one of them."""
        return len(text) > LONGEST_TEXT or self.compiled.fullmatch(text) is not None

    def match(self, texts: Iterable[str]) -> Match:
        """Return whether one of several texts matches; `{{tags}}` in them may become anything."""
        found = Match.NO
        for text in texts:
            if self.fits(text if BEGIN not in text else replaced(text, lambda _: _UNKNOWN)):
                return Match.YES
            if BEGIN in text and any(_could(glob, text) for glob in self.patterns):
                found = Match.MAYBE
        return found


def globs(patterns: tuple[str, ...]) -> Globs | None:
    """Return several globs as one, or None where there are none."""
    if not patterns:
        return None
    return Globs(patterns, re.compile("|".join(fnmatch.translate(glob) for glob in patterns)))


def _could(glob: str, text: str) -> bool:
    """Tell whether a text with tags may come to match: by what stands before and after all tags."""
    start, end = text[: text.find(BEGIN)], text[text.rfind(END) + len(END) :] if END in text else ""
    parts = _SPECIAL.split(glob)
    first, last = parts[0], parts[-1]
    return (start.startswith(first) or first.startswith(start)) and (end.endswith(last) or last.endswith(end))


class Pod(msgspec.Struct, frozen=True):
    """What rules select a template by, as it runs: each part may be one of several, or have `{{tags}}`.

    `unread` tells that a patch may set more than is known.
    """

    images: tuple[str, ...]
    service_accounts: tuple[str, ...]
    claims: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    action: str | None
    kinds: tuple[str, ...]
    unread: bool


class CompiledSelector(msgspec.Struct, frozen=True):
    """Which templates a rule selects, with its globs compiled; what is None or empty selects all."""

    names: Globs | None
    images: Globs | None
    types: frozenset[TemplateType]
    labels: Mapping[str, str]
    service_accounts: Globs | None
    volumes: Globs | None
    resources: tuple[ResourceSelector, ...]
    tasks: Globs | None

    @property
    def by_name_and_image(self) -> bool:
        """Whether name, image and type of a template decide alone."""
        return not (self.labels or self.service_accounts or self.volumes or self.resources)

    @property
    def by_pod(self) -> bool:
        """Whether it depends on what a template's Pod runs."""
        return self.images is not None or not self.by_name_and_image

    @property
    def asked_of_pods(self) -> str:
        """What of a Pod it asks about, in words."""
        given = (
            ("image", self.images is not None),
            ("labels", bool(self.labels)),
            ("ServiceAccount", self.service_accounts is not None),
            ("volumes", self.volumes is not None),
            ("resource", bool(self.resources)),
        )
        return " or ".join(name for name, asked in given if asked)

    def is_meant(self, name: str, type_: TemplateType) -> bool:
        """Tell whether name and type match."""
        return type_ in self.types and (self.names is None or self.names.fits(name))

    def may_select(self, name: str, images: tuple[str, ...], type_: TemplateType) -> bool:
        """Tell whether name, images and type match."""
        return self.is_meant(name, type_) and (self.images is None or any(map(self.images.fits, images)))

    def selects_the_rest(self, template: Template, spec: WorkflowSpec) -> bool:
        """Tell whether what is given beside them matches, too."""
        if self.labels:
            own = (template.metadata.labels if template.metadata else None) or {}
            if any(own.get(key) != value for key, value in self.labels.items()):
                return False
        if self.service_accounts is not None and not self.service_accounts.fits(
            _service_account(template, spec)
        ):
            return False
        if self.volumes is not None and not any(map(self.volumes.fits, _claims(template, spec))):
            return False
        return not self.resources or any(_does(template, each) for each in self.resources)

    def match(self, pod: Pod) -> Match:
        """Return whether the Pod of a template that is meant is selected, and MAYBE before it runs."""
        parts = [
            globs_.match(texts)
            if not pod.unread
            else max(globs_.match(texts), Match.MAYBE)  # A patch that was not read may set it.
            for globs_, texts in (
                (self.images, pod.images),
                (self.service_accounts, pod.service_accounts),
                (self.volumes, pod.claims),
            )
            if globs_ is not None
        ]
        parts += [_equals(value, pod.labels.get(key, ())) for key, value in self.labels.items()]
        if self.resources:
            parts.append(max(_matches(pod, each) for each in self.resources))
        return min(parts, default=Match.YES)


def _equals(wanted: str, texts: Sequence[str]) -> Match:
    if wanted in texts:
        return Match.YES
    return Match.MAYBE if any(BEGIN in each for each in texts) else Match.NO


def _matches(pod: Pod, wanted: ResourceSelector) -> Match:
    if pod.action is None or (wanted.action is not None and pod.action != wanted.action):
        return Match.NO
    return Match.YES if wanted.kind is None else _equals(wanted.kind, pod.kinds)


def compile_selector(templates: TemplateSelector) -> CompiledSelector:
    """Return which templates a selector means; one that gives no types means all but callers."""
    types = frozenset(templates.types)
    if templates.resources:
        types = frozenset({TemplateType.RESOURCE})
    return CompiledSelector(
        names=globs(templates.names),
        images=globs(templates.images),
        types=types or LEAF_TYPES,
        labels=templates.labels,
        service_accounts=globs(templates.service_accounts),
        volumes=globs(templates.volumes),
        resources=templates.resources,
        tasks=globs(templates.tasks),
    )


def _service_account(template: Template, spec: WorkflowSpec) -> str:
    """Return the ServiceAccount that a template's pods run as."""
    defaults = spec.template_defaults
    return (
        template.service_account_name
        or (defaults.service_account_name if defaults is not None else None)
        or spec.service_account_name
        or DEFAULT_SERVICE_ACCOUNT
    )


def _claims(template: Template, spec: WorkflowSpec) -> Iterator[str]:
    """Yield the claims that a template's containers mount."""
    mounted = {mount.name for container in _containers(template) for mount in container.volume_mounts or ()}
    if template.container_set is not None:
        mounted.update(mount.name for mount in template.container_set.volume_mounts or ())
    for volume in (*(template.volumes or ()), *(spec.volumes or ())):
        claim = volume.persistent_volume_claim
        if claim is not None and volume.name in mounted:
            yield claim.claim_name or ""


def _containers(template: Template) -> Iterator[Container]:
    yield from (each for each in (template.container, template.script) if each is not None)
    if template.container_set is not None:
        yield from template.container_set.containers or ()
    yield from template.init_containers or ()
    yield from template.sidecars or ()


def _does(template: Template, wanted: ResourceSelector) -> bool:
    resource = template.resource
    if resource is None:
        return False
    if wanted.action is not None and resource.action != wanted.action:
        return False
    return wanted.kind is None or wanted.kind == manifest_kind(resource.manifest or "")


def manifest_kind(manifest: str) -> str:
    """Return the kind of object in the text of a manifest, empty where it is not known."""
    found = (_KIND_IN_JSON if manifest.lstrip().startswith("{") else _KIND).search(manifest)
    return found[1] if found is not None else ""
