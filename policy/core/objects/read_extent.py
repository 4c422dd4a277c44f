"""How much of the cluster a snapshot contains: which namespaces were read, and what of them is left out.

Users of a namespace write templates and ConfigMaps, and every replica stores them in memory. So each
namespace has a bound, beyond which the newest objects are left out; policies and answers report it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from policy.core.objects.template_keys import TemplateKey, kind_in

CONFIG_MAP: Final = "ConfigMap"


class LeftOut(msgspec.Struct, frozen=True):
    """How many objects of a kind are left out, and how many are stored; `bound` is the bound in words.

    The namespace is "" for cluster-scoped objects.
    """

    kind: str
    namespace: str
    count: int
    kept: int
    bound: str

    def __str__(self) -> str:
        where = f"namespace {self.namespace}" if self.namespace else "the cluster"
        return (
            f"{where} has more {self.kind}s than are read ({self.bound}): the oldest {self.kept} are known, "
            f"and the newest {self.count} are left out"
        )


class Extent(msgspec.Struct, frozen=True):
    """The namespaces whose templates and ConfigMaps are stored, None for all, and what of them is left out.

    `named` are single ConfigMaps of other namespaces. With `files`, nothing of the cluster is known: what is
    not among the files may be there; `unread` are templates among them that cannot be read.
    """

    templates: frozenset[str] | None = None
    config_maps: frozenset[str] | None = None
    named: frozenset[tuple[str, str]] = frozenset()
    left_out: Mapping[tuple[str, str], LeftOut] = {}
    files: bool = False
    unread: frozenset[TemplateKey] = frozenset()

    def reads(self, namespace: str, config_map: str) -> bool:
        """Return whether a ConfigMap would be known, if it existed."""
        return (
            self.config_maps is None or namespace in self.config_maps or (namespace, config_map) in self.named
        )

    def reads_templates(self, namespace: str) -> bool:
        """Return whether the templates of a namespace are known."""
        return self.templates is None or namespace in self.templates

    def beyond_config_maps(self, namespace: str) -> LeftOut | None:
        """Return which ConfigMaps of a namespace are left out, None where all are known."""
        return self.left_out.get((CONFIG_MAP, namespace))

    def beyond_templates(self, scope: str) -> LeftOut | None:
        """Return which templates of a namespace, or of the cluster (""), are left out, None where none is."""
        return self.left_out.get((kind_in(scope).value, scope)) if self.left_out else None


WHOLE: Final = Extent()
ONLY_FILES: Final = Extent(files=True)
