"""A namespace and a name in it, as options give them."""

import msgspec


class NamespacedName(msgspec.Struct, frozen=True):
    """Where an object of a cluster is."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str, kind: str) -> "NamespacedName":
        """Return the name in NAMESPACE/NAME; `kind` is what it should be the name of.

        Raises:
            ValueError: the text is no such name.
        """
        namespace, _, name = text.partition("/")
        if not namespace or not name or "/" in name:
            raise ValueError(f"{text!r} names no {kind}; give NAMESPACE/NAME")
        return cls(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
