"""What a path of the API is about: a kind, a namespace, a name; or how the API describes itself."""

from typing import Final

import msgspec

from lockkeeper.kube_api.served_kinds import SERVED, ServedKind

_BY_PLURAL: Final = {
    (each.resource.group, each.resource.version, each.resource.plural): each for each in SERVED
}
_STATUS: Final = "status"


class ObjectPath(msgspec.Struct, frozen=True):
    """The objects of a kind, in one namespace or ("") in all, or the one of a name."""

    kind: ServedKind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def has_subresource(self) -> bool:
        """Whether the kind has the subresource."""
        return self.subresource == _STATUS and self.kind.status_apart


def object_path(path: str) -> ObjectPath | None:
    """Return what a path of objects is about; None for any other path, and for kinds that are not served.

    `/api/v1/...` is the core group, `/apis/GROUP/VERSION/...` any other.
    """
    parts = [each for each in path.split("/") if each]
    match parts:
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            return None
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":  # noqa: PLR2004 - a kind in a namespace
        _, namespace, *rest = rest
    if not rest:
        return None
    plural, *names = rest
    kind = _BY_PLURAL.get((group, version, plural))
    if kind is None or kind.resource.namespaced < bool(namespace):
        return None
    return _named(kind, namespace, names)


def _named(kind: ServedKind, namespace: str, names: list[str]) -> ObjectPath | None:
    match names:
        case []:
            return ObjectPath(kind, namespace)
        case [name]:
            return ObjectPath(kind, namespace, name)
        case [name, sub]:
            return ObjectPath(kind, namespace, name, sub)
        case _:
            return None
