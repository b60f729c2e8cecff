"""What stands before a ranking, so that a queue never waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari_cellseg.labels.review.boxes import meet

if TYPE_CHECKING:
    from napari_cellseg.labels import Key
    from napari_cellseg.labels.review import ReviewItem
    from napari_cellseg.session.review_work import Again, Ranked

Slices = tuple[slice, ...]


class Front:
    """Gives a queue what a ranking said last; measuring is done elsewhere.

    Parameters
    ----------
    ranked : Ranked
    """

    def __init__(self, ranked: Ranked) -> None:
        self.ranking = ranked.ranking
        self._items = ranked.items
        self._boxes = dict(ranked.boxes)
        self._next: Again | None = None

    def take(self, again: Again) -> None:
        """Be ready to say what was found after an edit: `update` begins to."""
        self._next = again

    def update(self, keys: Iterable[Key], region: Any = None) -> None:
        """Say from now on what was found of some objects."""
        found = self._next
        if found is None:
            return
        self._items = found.items
        for key in keys:
            box = found.boxes.get(key)
            if box is None:
                self._boxes.pop(key, None)
            else:
                self._boxes[key] = box

    def items(self) -> list[ReviewItem]:
        """Every object and place, the most doubtful first."""
        return self._items

    def box(self, key: Key) -> Slices | None:
        """Box of an object when it was last measured; None if it is not known."""
        return self._boxes.get((int(key[0]), int(key[1])))

    def places_in(self, t: int, box: Slices) -> list[ReviewItem]:
        """Items of the places whose boxes meet a box."""
        return [
            item
            for item in self._items
            if item.kind == "missing" and item.t == t and meet(item.box, box)
        ]

    def __len__(self) -> int:
        return len(self._boxes)
