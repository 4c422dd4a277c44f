"""What is to be told of a history: what was left out of it, what was taken for something else, and where."""

from typing import Final

_MOST_PLACES: Final = 3


class Remarks:
    """Sentences by what they say, each with how often and the first places."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}
        self._notes: dict[str, None] = {}

    def add(self, text: str, place: str = "") -> None:
        """Count something once more."""
        self._counts[text] = self._counts.get(text, 0) + 1
        places = self._places.setdefault(text, [])
        if place and len(places) < _MOST_PLACES:
            places.append(place)

    def note(self, text: str) -> None:
        """Add a sentence that is said once."""
        self._notes[text] = None

    def count(self, text: str) -> int:
        """Return how often something was said."""
        return self._counts.get(text, 0)

    def lines(self) -> list[str]:
        """Return all of it, what is said most often first."""
        counted = sorted(self._counts.items(), key=lambda each: (-each[1], each[0]))
        return [*(self._line(text, number) for text, number in counted), *self._notes]

    def _line(self, text: str, number: int) -> str:
        places = self._places[text]
        times = "once" if number == 1 else f"{number} times"
        if not places:
            return f"{times}: {text}"
        more = ", ..." if number > len(places) else ""
        return f"{times}: {text} ({', '.join(places)}{more})"
