"""Injection rules compiled for one namespace: which templates they select, and the lock as Argo reads it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from policy.core.kinds import (
    LEAF_TYPES,
    CrossNamespace,
    InjectRule,
    LockTarget,
    LockValidation,
    MatchedKind,
    Referenced,
    ResourceSelector,
    Singular,
    Strategy,
    TemplateSelector,
    TemplateType,
)
from policy.core.locks.definitions import says_by_key
from policy.core.locks.expressions import Condition, parse
from policy.core.locks.globs import Globs, Match, globs
from policy.core.locks.key_rules import KeyRule
from policy.core.locks.naming import lock_name
from policy.core.locks.tags import BEGIN
from policy.core.patches import JsonObject
from policy.core.selectors import LabelSelector
from policy.core.workflow import (
    ConfigMapKeyRef,
    Container,
    DatabaseRef,
    MutexRef,
    SemaphoreRef,
    Template,
    WorkflowSpec,
)

DEFAULT_SERVICE_ACCOUNT: Final = "default"
_KIND: Final = re.compile(r"""^["']?kind["']?\s*:\s*["']?([A-Za-z][A-Za-z0-9]*)""", re.MULTILINE)
"""The kind of a manifest: a line of YAML that is not indented."""
_KIND_IN_JSON: Final = re.compile(r'"kind"\s*:\s*"([A-Za-z][A-Za-z0-9]*)"')


class CompiledLockPolicy(msgspec.Struct, frozen=True):
    """One policy as it applies to a namespace."""

    source: str
    workflows: LabelSelector
    require_defined: bool
    key_rule: KeyRule | None
    cross_namespace: CrossNamespace
    kinds: frozenset[MatchedKind] = frozenset({MatchedKind.WORKFLOW})
    referenced: Referenced = Referenced.WARN
    validation: LockValidation = LockValidation()


def refuses_singular(policies: Iterable[CompiledLockPolicy]) -> bool:
    """Tell whether one of these policies refuses the single form of a lock."""
    return any(each.validation.singular is Singular.DENY for each in policies)


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
            service_account(template, spec)
        ):
            return False
        if self.volumes is not None and not any(map(self.volumes.fits, claims(template, spec))):
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


class CompiledRule(msgspec.Struct, frozen=True):
    """An injection rule.

    `lock` is what Argo reads and `lock_name` its encoded name; `item` is the lock as JSON, and `whole` a
    `synchronization` block of it alone. The JSON is shared by all patches and must not be changed. Where the
    key of a semaphore depends on the condition, `always` is the same rule without it. A condition that no key
    can say stands in `choice`.
    """

    name: str
    policy: CompiledLockPolicy
    selector: CompiledSelector
    strategy: Strategy
    lock: SemaphoreRef | MutexRef
    lock_name: str
    item: JsonObject
    whole: JsonObject
    when: Condition | None = None
    choice: Condition | None = None
    always: "CompiledRule | None" = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of locks that meet this rule: what it writes, and the same lock without a condition.

        A choice has a name too, by which all that runs behind it is known to have been chosen for.
        """
        if self.choice is not None:
            return (self.lock_name, chosen_name(self.lock_name, self.choice.holds))
        return (self.lock_name,) if self.always is None else (self.lock_name, self.always.lock_name)

    @property
    def plain_name(self) -> str:
        """The name of the lock without a condition."""
        return self.lock_name if self.always is None else self.always.lock_name


def chosen_name(lock: str, when: str) -> str:
    """Return the name of a choice whether to take a lock."""
    return f"{lock} {when}"


def compile_rule(
    rule: InjectRule, policy: CompiledLockPolicy, namespace: str, own: str | None
) -> CompiledRule:
    """Compile a rule for a namespace; `own` is the namespace of its policy, if that has one."""
    lock = _reference(rule.lock)
    plain = _compiled(rule, policy, namespace, lock)
    if rule.when is None:
        return plain
    condition = parse(rule.when)
    if says_by_key(rule.lock, own):
        return conditioned(msgspec.structs.replace(plain, when=condition, always=plain), condition)
    return conditioned(plain, condition)


def conditioned(rule: CompiledRule, condition: Condition) -> CompiledRule:
    """Return a rule with a condition: in the key of its semaphore, where it has one, else as a choice."""
    plain = rule.always
    if plain is None or isinstance(plain.lock, MutexRef) or plain.lock.config_map_key_ref is None:
        return msgspec.structs.replace(rule, when=condition, choice=condition)
    ref = plain.lock.config_map_key_ref
    key = ConfigMapKeyRef(name=ref.name, key=condition.key(ref.key or ""))
    lock = msgspec.structs.replace(plain.lock, config_map_key_ref=key)
    head = plain.lock_name[: len(plain.lock_name) - len(ref.key or "")]
    item = item_of(lock)
    return msgspec.structs.replace(
        rule,
        lock=lock,
        lock_name=head + (key.key or ""),
        item=item,
        whole={list_of(lock): [item]},
        when=condition,
        always=plain,
    )


def _compiled(
    rule: InjectRule, policy: CompiledLockPolicy, namespace: str, lock: SemaphoreRef | MutexRef
) -> CompiledRule:
    item = item_of(lock)
    return CompiledRule(
        name=rule.name,
        policy=policy,
        selector=_selector(rule.templates),
        strategy=rule.strategy,
        lock=lock,
        lock_name=lock_name(lock, namespace),
        item=item,
        whole={list_of(lock): [item]},
    )


def _selector(templates: TemplateSelector) -> CompiledSelector:
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


def service_account(template: Template, spec: WorkflowSpec) -> str:
    """Return the ServiceAccount that a template's pods run as."""
    defaults = spec.template_defaults
    return (
        template.service_account_name
        or (defaults.service_account_name if defaults is not None else None)
        or spec.service_account_name
        or DEFAULT_SERVICE_ACCOUNT
    )


def claims(template: Template, spec: WorkflowSpec) -> Iterator[str]:
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
    """Return the kind of object in the text of a manifest, empty where it cannot be told."""
    found = (_KIND_IN_JSON if manifest.lstrip().startswith("{") else _KIND).search(manifest)
    return found[1] if found is not None else ""


def list_of(lock: SemaphoreRef | MutexRef) -> str:
    """Return the list of `synchronization` that a lock belongs to."""
    return "mutexes" if isinstance(lock, MutexRef) else "semaphores"


def item_of(lock: SemaphoreRef | MutexRef) -> JsonObject:
    """Return a reference as Argo reads it, without empty fields."""
    item: JsonObject = {}
    if lock.namespace:
        item["namespace"] = lock.namespace
    if isinstance(lock, MutexRef):
        item["name"] = lock.name
        if lock.database:
            item["database"] = True
    elif lock.database is not None:
        item["database"] = {"key": lock.database.key}
    elif lock.config_map_key_ref is not None:
        item["configMapKeyRef"] = {"name": lock.config_map_key_ref.name, "key": lock.config_map_key_ref.key}
    return item


def _reference(lock: LockTarget) -> SemaphoreRef | MutexRef:
    if lock.mutex is not None:
        return MutexRef(name=lock.mutex)
    if lock.semaphore is None:
        return SemaphoreRef(database=DatabaseRef(key=lock.database))
    target = lock.semaphore
    return SemaphoreRef(
        config_map_key_ref=ConfigMapKeyRef(name=target.config_map, key=target.key), namespace=target.namespace
    )
