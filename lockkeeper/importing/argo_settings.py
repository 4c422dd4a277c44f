"""Argo's own limits as quotas: `parallelism`, `namespaceParallelism`, and the label of a namespace."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lockkeeper.importing.drafts import Draft, Drafts, NotImported, Origin, by_name, draft, source_of
from lockkeeper.manifests.manifest import Manifest
from policy.core.objects.json_parts import map_at, part
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import ARGO_CONFIG_MAP, DEFAULTS_KEY, WorkflowDefaults
from policy.core.policies.argo_limits import PARALLELISM_LABEL
from policy.core.policy_kinds.kinds import ConfigMap
from policy.sources.argo_configuration import with_defaults
from policy.sources.documents import read
from policy.sources.yaml_positions import child

POOL: Final = "argo"
QUOTA: Final = "argo-parallelism"
_LABEL_FIELD: Final = f'metadata.labels["{PARALLELISM_LABEL}"]'
_QUEUED: Final = (
    "Lockkeeper holds a Workflow before Argo sees it, and shows its position; raise or remove the limit in "
    "Argo, or keep both: the lower one counts"
)


class ArgoSettings:
    """What was found; `defaults` is what each namespace gets without a label."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        # The name that Argo's manifests have comes before longer ones, as Helm gives them.
        given = sorted(filter(_is_configuration, manifests), key=lambda each: len(each.name))
        limiting = [each for each in given if _limits(each) != (None, None)]
        self._config = next(iter(limiting), None)
        self._others = limiting[1:]
        self._namespaces = [each for each in manifests if each.kind == "Namespace"]
        self.most, self.defaults = _limits(self._config)

    def drafts(self, taken: list[str], borrowing: list[str], bounded: set[str]) -> Drafts:
        """Return the pool of all namespaces but those `taken` by other pools, and quotas by labels.

        Where another quota bounds Workflows, the default of a pool does not count: there it is a quota, too.
        """
        found = Drafts(tuple(self._pool(taken))).joined(self._labels(borrowing))
        again = Drafts(tuple(self._again(bounded))) if self.defaults is not None else Drafts()
        return found.joined(again).joined(self._missed(taken)).joined(self._of_others())

    def _again(self, bounded: set[str]) -> Iterator[Draft]:
        limits: JsonObject = {"limits": {"workflows": self.defaults}}
        origin = self.default_origin("spec.limits.workflows")
        for namespace in sorted(bounded - self.labelled()):
            yield draft("WorkflowQuota", QUOTA, limits, origin, namespace=namespace)

    def default_origin(self, field: str) -> Origin:
        """Return where the default of each namespace comes from."""
        return Origin(field, self._source("namespaceParallelism"), _QUEUED)

    def _pool(self, taken: list[str]) -> list[Draft]:
        if self.most is None and self.defaults is None:
            return []
        origins: list[Origin] = []
        spec: JsonObject = {"namespaceSelector": by_name("NotIn", taken) if taken else {}}
        if self.most is not None:
            spec["limits"] = {"workflows": self.most}
            origins.append(Origin("spec.limits.workflows", self._source("parallelism"), _QUEUED))
        if self.defaults is not None:
            spec["namespaceDefaults"] = {"limits": {"workflows": self.defaults}}
            origins.append(self.default_origin("spec.namespaceDefaults.limits.workflows"))
        return [draft("ClusterWorkflowQuota", POOL, spec, *origins)]

    def _missed(self, taken: list[str]) -> Drafts:
        if self.most is None or not taken:
            return Drafts()
        message = (
            f"does not count the Workflows of {', '.join(taken)}: a namespace belongs to one pool, and these "
            "are in pools of Kueue's limits. Keep it in Argo if all of them together are to be bounded"
        )
        return Drafts((), (NotImported(self._source("parallelism"), message),))

    def _of_others(self) -> Drafts:
        """Tell of the limits of a second controller: which namespaces are its own is not in its settings."""
        message = "is of another controller than the pool; write a pool for the namespaces of this one"
        return Drafts((), tuple(NotImported(source_of(each, "data"), message) for each in self._others))

    def _labels(self, borrowing: list[str]) -> Drafts:
        drafts, left_out = [], []
        for each in self._namespaces:
            labels = _labels_of(each)
            text = labels.get(PARALLELISM_LABEL)
            if text is None:
                continue
            source = source_of(each, _LABEL_FIELD)
            if not (text.isascii() and text.isdigit()):
                left_out.append(NotImported(source, f"{text!r} is no number, and Argo ignores it"))
                continue
            if not int(text) and self.defaults is None:
                left_out.append(NotImported(source, "0 is no limit for Argo"))
                continue
            amount: int | str = int(text) or "Unlimited"
            change = _QUEUED
            if each.name in borrowing:
                change += ". Its pool lends and borrows, but no Workflows: borrowingLimit.workflows is 0"
            drafts.append(
                draft(
                    "WorkflowQuota",
                    QUOTA,
                    {"limits": {"workflows": amount}},
                    Origin("spec.limits.workflows", source, change),
                    namespace=each.name,
                )
            )
        return Drafts(tuple(drafts), tuple(left_out))

    def labelled(self) -> set[str]:
        """Return the namespaces that have a label of their own."""
        return {each.name for each in self._namespaces if PARALLELISM_LABEL in _labels_of(each)}

    def _source(self, setting: str) -> str:
        if self._config is None:
            return ""
        key = setting if part(self._config.value, "data", setting) is not None else "config"
        return source_of(self._config, f"data ({setting})", at=child("data", key))


def _is_configuration(manifest: Manifest) -> bool:
    return manifest.kind == "ConfigMap" and manifest.name.endswith(ARGO_CONFIG_MAP)


def _labels_of(manifest: Manifest) -> dict[str, str]:
    return {key: str(value) for key, value in map_at(manifest.value, "metadata", "labels").items()}


def _limits(config: Manifest | None) -> tuple[int | None, int | None]:
    """Return Argo's two limits, as the webhook reads them."""
    if config is None:
        return None, None
    for each in read(config.value).documents:
        if isinstance(each.document, ConfigMap):
            metadata = msgspec.structs.replace(each.document.metadata, name=ARGO_CONFIG_MAP)
            named = msgspec.structs.replace(each.document, metadata=metadata)
            text = with_defaults(named).data[DEFAULTS_KEY]
            defaults = msgspec.json.decode(text, type=WorkflowDefaults)
            return defaults.most, defaults.most_in_namespace
    return None, None
