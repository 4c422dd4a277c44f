"""The `{{tags}}` of a text, found in one pass: a text may be megabytes of somebody's choice.

Argo's template engine reads a tag from `{{` to the next `}}`. An expression that looks for both begins anew
at every `{{`, which takes hours where there are many of them and no end.
"""

from collections.abc import Callable, Iterator
from typing import Final

BEGIN: Final = "{{"
END: Final = "}}"


def tags(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each tag begins and ends, its braces included."""
    at = text.find(BEGIN)
    while at >= 0:
        end = text.find(END, at + len(BEGIN))
        if end < 0:
            return
        yield at, end + len(END)
        at = text.find(BEGIN, end + len(END))


def replaced(text: str, new: Callable[[str], str]) -> str:
    """Return a text with every tag replaced; `new` gets a tag with its braces."""
    parts: list[str] = []
    last = 0
    for begin, end in tags(text):
        parts += (text[last:begin], new(text[begin:end]))
        last = end
    return "".join(parts) + text[last:] if parts else text


def inner(tag: str) -> str:
    """Return what stands between the braces of a tag."""
    return tag[len(BEGIN) : -len(END)]
