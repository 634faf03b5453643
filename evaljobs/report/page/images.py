"""Pictures and thumbnails inside the page, as many as there is room for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from evaljobs.report.page.encoding import data_uri

# In characters: of the page, of what stands in each (the script that draws charts), and of each evaluation in it.
PAGE, ALWAYS, OF_AN_EVALUATION = 11_500_000, 5_200_000, 12_000
FIGURES, THUMBNAILS = 3_500_000, 2_500_000
# However many evaluations there are, the best models have their pictures.
_LEAST = 0.1


class Room(NamedTuple):
    """How many characters images may take."""

    figures: int
    thumbnails: int


def room_for(n_evaluations: int) -> Room:
    """Return the room that so many evaluations leave for images in a page of less than 12 MB, at least a tenth of it.

    That tenth makes pages of more than 450 evaluations larger.
    """
    left = PAGE - ALWAYS - n_evaluations * OF_AN_EVALUATION
    share = min(1.0, max(left / (FIGURES + THUMBNAILS), _LEAST))
    return Room(int(share * FIGURES), int(share * THUMBNAILS))


class Album:
    """Images that the page holds, each once.

    Attributes
    ----------
    uris
        ``data:`` URIs, in order of their numbers.
    left_out
        How many images there was no room for.
    """

    def __init__(self, room: int) -> None:
        self.uris: list[str] = []
        self.left_out = 0
        self._room = room
        self._numbers: dict[bytes, int | None] = {}

    def add(self, image: bytes | None) -> int | None:
        """Take an image in and return its number; None where there is none, no room, or it is no PNG or JPEG."""
        if not image:
            return None
        if image not in self._numbers:
            self._numbers[image] = self._new(image)
        return self._numbers[image]

    def add_file(self, path: Path) -> str | None:
        """Take a file in and return its URI; None where it cannot be read or there is no room for it."""
        try:
            number = self.add(path.read_bytes())
        except OSError:
            return None
        return None if number is None else self.uris[number]

    def _new(self, image: bytes) -> int | None:
        uri = data_uri(image)
        if uri is None:
            return None
        if len(uri) > self._room:
            self.left_out += 1
            return None
        self._room -= len(uri)
        self.uris.append(uri)
        return len(self.uris) - 1
