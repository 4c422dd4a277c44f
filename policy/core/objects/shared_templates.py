"""The templates of a spec as one object for all reviews of the same JSON, with what follows from them.

Most Workflows of a cluster repeat the templates of others, byte for byte. So the reader of reviews makes one
tuple for one text, and what a review finds out by the templates alone is found out once.
"""

from collections.abc import Callable, Iterable
from typing import Final, Self, TypeVar, cast

from policy.core.objects.workflow import Template
from policy.core.values.memo import Memo

ValueT = TypeVar("ValueT")
_MOST_RESULTS: Final = 32
"""Results of one list; a namespace and a version of its policies has about three."""


class SharedTemplates(tuple[Template, ...]):  # noqa: SLOT001 - it carries its text and results
    """The templates of a spec; `text` is their list as JSON. It is equal to a tuple of the same templates."""

    text: bytes
    _results: Memo[object, object]

    @classmethod
    def of(cls, text: bytes, templates: Iterable[Template]) -> Self:
        """Return the templates of a text."""
        found = cls(templates)
        found.text, found._results = text, Memo(most=_MOST_RESULTS)
        return found

    def once(self, key: object, compute: Callable[[], ValueT]) -> ValueT:
        """Return what follows from these templates and `key` alone, computed when it is asked for first."""
        return cast("ValueT", self._results.get_or(key, compute))
