"""Which templates a rule selects: by name and type, and by what their Pods run."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from policy.core.lock_model.parameters import BEGIN, END, replaced
from policy.core.lock_model.template_bodies import claims_of, service_account_of
from policy.core.objects.workflow import Template, WorkflowSpec
from policy.core.policy_kinds.kinds import LEAF_TYPES, ResourceSelector, TemplateSelector, TemplateType

LONGEST_GLOB: Final = 500
"""Characters of a glob, as the CRDs say."""
LONGEST_TEXT: Final = 1000
"""Characters of a text that is looked at. No image and no name is longer, and a longer text fits every glob:
a text that would take a review its time is no way around a rule."""
_UNKNOWN: Final = "\x01"
"""Written for a tag: only `*` and `?` match it, which match any text."""
_SPECIAL: Final = re.compile(r"[*?\[\]]")
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
        """Return whether a text matches one of them."""
        return len(text) > LONGEST_TEXT or self.compiled.fullmatch(text) is not None

    def match(self, texts: Iterable[str]) -> Match:
        """Return whether one of several texts matches; `{{tags}}` in them may become anything."""
        found = Match.NO
        for text in texts:
            if self.fits(text if BEGIN not in text else replaced(text, lambda _: _UNKNOWN)):
                return Match.YES
            if BEGIN in text and any(_could_match(glob, text) for glob in self.patterns):
                found = Match.MAYBE
        return found


def globs(patterns: tuple[str, ...]) -> Globs | None:
    """Return several globs as one, or None where there are none."""
    if not patterns:
        return None
    return Globs(patterns, re.compile("|".join(fnmatch.translate(glob) for glob in patterns)))


def _could_match(glob: str, text: str) -> bool:
    """Return whether a text with tags may match at run time: by what is before and after all tags."""
    start, end = text[: text.find(BEGIN)], text[text.rfind(END) + len(END) :] if END in text else ""
    parts = _SPECIAL.split(glob)
    first, last = parts[0], parts[-1]
    return (start.startswith(first) or first.startswith(start)) and (end.endswith(last) or last.endswith(end))


class Pod(msgspec.Struct, frozen=True):
    """What rules select a template by, as it runs: each part may be one of several, or have `{{tags}}`.

    With `unread`, a patch may set more than is known.
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
    def pod_fields_in_words(self) -> str:
        """The fields of a Pod that it selects by, in words."""
        given = (
            ("image", self.images is not None),
            ("labels", bool(self.labels)),
            ("ServiceAccount", self.service_accounts is not None),
            ("volumes", self.volumes is not None),
            ("resource", bool(self.resources)),
        )
        return " or ".join(name for name, is_given in given if is_given)

    def matches_name_and_type(self, name: str, type_: TemplateType) -> bool:
        """Return whether name and type match."""
        return type_ in self.types and (self.names is None or self.names.fits(name))

    def matches_image(self, images: tuple[str, ...]) -> bool:
        """Return whether one of the images matches."""
        return self.images is None or any(map(self.images.fits, images))

    def matches_pod_fields(self, template: Template, spec: WorkflowSpec) -> bool:
        """Return whether all fields beside name, images and type match."""
        if self.labels:
            own = (template.metadata.labels if template.metadata else None) or {}
            if any(own.get(key) != value for key, value in self.labels.items()):
                return False
        accounts = self.service_accounts
        if accounts is not None and not accounts.fits(service_account_of(template, spec)):
            return False
        if self.volumes is not None and not any(map(self.volumes.fits, claims_of(template, spec))):
            return False
        if not self.resources or template.resource is None:
            return not self.resources
        kinds = (manifest_kind(template.resource.manifest or ""),)
        return any(_resource_match(template.resource.action or "", kinds, each) for each in self.resources)

    def match(self, pod: Pod) -> Match:
        """Return whether the Pod of a template is selected whose name and type match."""
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
            parts.append(max(_resource_match(pod.action, pod.kinds, each) for each in self.resources))
        return min(parts, default=Match.YES)


def _equals(wanted: str, texts: Sequence[str]) -> Match:
    if wanted in texts:
        return Match.YES
    return Match.MAYBE if any(BEGIN in each for each in texts) else Match.NO


def _resource_match(action: str | None, kinds: Sequence[str], wanted: ResourceSelector) -> Match:
    if action is None or (wanted.action is not None and action != wanted.action):
        return Match.NO
    return Match.YES if wanted.kind is None else _equals(wanted.kind, kinds)


def compile_selector(templates: TemplateSelector) -> CompiledSelector:
    """Return a selector compiled; one without types selects all but callers."""
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


def manifest_kind(manifest: str) -> str:
    """Return the kind of object in the text of a manifest, empty where it is not known."""
    found = (_KIND_IN_JSON if manifest.lstrip().startswith("{") else _KIND).search(manifest)
    return found[1] if found is not None else ""
