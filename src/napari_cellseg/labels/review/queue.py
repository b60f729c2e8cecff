"""The list that a user works through: where they are, what they accepted, what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review.item import ItemKey, Kind, ReviewItem

if TYPE_CHECKING:
    from napari_cellseg.labels.review.item import Slices
    from napari_cellseg.labels.review.objects import Key
    from napari_cellseg.labels.review.ranking import Ranking

_VERSION = 1


class Edited(Protocol):
    """What is needed of a change: whether voxels were written, and all whose they were or are."""

    @property
    def region(self) -> Slices | None:
        """Box over all axes of the labels; None where no voxel was written."""
        ...

    @property
    def keys(self) -> Sequence[Key]:
        """Objects that were changed, made or removed."""
        ...

    @property
    def direction(self) -> str:
        """One of "do", "undo", "redo"."""
        ...


@dataclass(frozen=True)
class Filters:
    """Which items are shown.

    Attributes
    ----------
    border : bool
        Show what touches the border of the image.
    least : float
        Smallest score.
    kind : {"object", "missing"} or None
        Only these; None for both.
    t : int or None
        Only this time point.
    """

    border: bool = True
    least: float = 0.0
    kind: Kind | None = None
    t: int | None = None

    def show(self, item: ReviewItem) -> bool:
        """Whether an item passes."""
        return (
            (self.border or not item.touches_border)
            and item.score >= self.least
            and self.kind in (None, item.kind)
            and self.t in (None, item.t)
        )


@dataclass(frozen=True)
class Progress:
    """How far the review is, by the items that the filters show.

    Attributes
    ----------
    accepted : int
        Looked at and right.
    repaired : int
        Looked at and repaired, or settled otherwise.
    left : int
        Not looked at yet, the skipped ones with them.
    """

    accepted: int
    repaired: int
    left: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.accepted + self.repaired + self.left


class ReviewQueue:
    """Items of a ranking, the most doubtful first, and the state of working through them.

    Parameters
    ----------
    ranking : Ranking
        Follows the labels; `update` passes edits on to it.
    state : mapping, optional
        From `state` of an earlier queue on the same labels.
    accept : callable, optional
        Called with the key ``(t, id)`` of an accepted object: to lock it.

    Attributes
    ----------
    changed : Signal
        After anything that a list or a plot shows has changed.

    Raises
    ------
    InputError
        If the state cannot be read.
    """

    changed = Signal()

    def __init__(
        self,
        ranking: Ranking,
        state: Mapping[str, Any] | None = None,
        accept: Callable[[Key], object] | None = None,
    ) -> None:
        self.ranking = ranking
        self._accept = accept
        self._filters = Filters()
        self._accepted: set[ItemKey] = set()
        self._done: set[ItemKey] = set()
        self._skipped: set[ItemKey] = set()
        self._at: ItemKey | None = None
        if state is not None:
            self._restore(state)
        self._items = ranking.items()

    @property
    def filters(self) -> Filters:
        """Which items are shown."""
        return self._filters

    @filters.setter
    def filters(self, filters: Filters) -> None:
        self._filters = filters
        self.changed.emit()

    @property
    def all_items(self) -> list[ReviewItem]:
        """Every item, whatever the filters and the state: for the plot."""
        return list(self._items)

    @property
    def items(self) -> list[ReviewItem]:
        """What is left and shown: the most doubtful first, skipped ones last."""
        open_ = [item for item in self._items if self._open(item)]
        return sorted(open_, key=lambda item: item.key in self._skipped)

    @property
    def current(self) -> ReviewItem | None:
        """The item in hand: the one gone to last, or the first that is left; None at the end."""
        items = self.items
        for item in items:
            if item.key == self._at:
                return item
        return items[0] if items else None

    @property
    def progress(self) -> Progress:
        """Counts of what the filters show."""
        accepted = repaired = left = 0
        for item in self._items:
            if self._filters.show(item):
                accepted += item.key in self._accepted
                repaired += item.key in self._done
                left += self._open(item)
        gone = sum(key[0] == "gone" for key in self._done)
        return Progress(accepted, repaired + gone, left)

    def go_to(self, key: ItemKey) -> ReviewItem | None:
        """Take an item in hand, as by a click in the list."""
        self._at = tuple(key)
        self.changed.emit()
        return self.current

    def next(self) -> ReviewItem | None:
        """Leave the item in hand open and go to the one after it; stays at the last."""
        return self._step(1)

    def previous(self) -> ReviewItem | None:
        """Go back to the one before; stays at the first."""
        return self._step(-1)

    def accept(self, key: ItemKey | None = None) -> ReviewItem | None:
        """Say that an object is right, or that no cell is missing at a place; go on.

        Parameters
        ----------
        key : item key, optional
            The item in hand by default.

        Returns
        -------
        ReviewItem or None
            The next one.
        """
        item = self._item(key)
        if item is None:
            return None
        if self._accept is not None and item.kind == "object" and item.id is not None:
            self._accept((item.t, item.id))
        return self._settle(item, self._accepted)

    def done(self, key: ItemKey | None = None) -> ReviewItem | None:
        """Say that an item was repaired, or needs no further look; go on."""
        item = self._item(key)
        return None if item is None else self._settle(item, self._done)

    def skip(self, key: ItemKey | None = None) -> ReviewItem | None:
        """Put an item off to the end; go on."""
        item = self._item(key)
        return None if item is None else self._settle(item, self._skipped)

    def reopen(self, key: ItemKey) -> None:
        """Take back what was said of an item."""
        for keys in (self._accepted, self._done, self._skipped):
            keys.discard(tuple(key))
        self.changed.emit()

    def update(
        self,
        keys: Iterable[Key],
        region: tuple[int, Slices] | None = None,
        *,
        by_user: bool = True,
    ) -> None:
        """Follow an edit: only what it touched is measured again.

        Parameters
        ----------
        keys : iterable of (t, id)
            Objects that were changed, made or removed: `Change.keys` of the document.
        region : (t, spatial box), optional
            Where voxels were written.
        by_user : bool
            What the user has made or changed is not asked about again, nor is the place of what
            they removed. False after undo: then it is asked about once more.
        """
        touched = list(keys)
        before = {key: self.ranking.box(key) for key in touched}
        self.ranking.update(touched, region)
        self._items = self.ranking.items()
        for key in touched:
            name = ("object", int(key[0]), int(key[1]))
            gone = self.ranking.box(key) is None
            if not by_user:
                self._done -= {name, ("gone", *name[1:])}
                self._accepted.discard(name)
            elif not gone:
                self._accepted.discard(name)
                self._done.add(name)
            elif before[key] is not None:
                self._accepted.discard(name)
                self._done.discard(name)
                self._done.add(("gone", *name[1:]))
                self._settle_places(key, before[key])
        self.changed.emit()

    def follow(self, change: Edited) -> None:
        """Follow a change that the document told of; marks (locks, classes) change nothing here.

        Parameters
        ----------
        change : Change
            Of `LabelDocument.changed`.
        """
        if change.region is None:
            return
        # the keys are all whose voxels were changed; a box around them would hold bystanders too
        self.update(change.keys, by_user=change.direction != "undo")

    def state(self) -> dict[str, Any]:
        """What a new queue needs to go on, ready for JSON."""
        return {
            "version": _VERSION,
            "at": None if self._at is None else list(self._at),
            "filters": asdict(self._filters),
            **{
                name: [list(key) for key in sorted(keys)]
                for name, keys in (
                    ("accepted", self._accepted),
                    ("done", self._done),
                    ("skipped", self._skipped),
                )
            },
        }

    def _open(self, item: ReviewItem) -> bool:
        settled = item.key in self._accepted or item.key in self._done
        return not settled and self._filters.show(item)

    def _item(self, key: ItemKey | None) -> ReviewItem | None:
        if key is None:
            return self.current
        for item in self._items:
            if item.key == tuple(key):
                return item
        raise InputError(f"There is no item {tuple(key)} in the review.")

    def _settle(self, item: ReviewItem, into: set[ItemKey]) -> ReviewItem | None:
        after = self._neighbour(item.key, 1)
        for keys in (self._accepted, self._done, self._skipped):
            keys.discard(item.key)
        into.add(item.key)
        self._at = None if after is None or after.key == item.key else after.key
        self.changed.emit()
        return self.current

    def _step(self, by: int) -> ReviewItem | None:
        current = self.current
        if current is None:
            return None
        found = self._neighbour(current.key, by)
        self._at = current.key if found is None else found.key
        self.changed.emit()
        return self.current

    def _neighbour(self, key: ItemKey, by: int) -> ReviewItem | None:
        """The item left that comes `by` after, or the nearest before the end."""
        items = self.items
        keys = [item.key for item in items]
        if key not in keys:
            return items[0] if items else None
        at = keys.index(key) + by
        return items[at] if 0 <= at < len(items) else None

    def _settle_places(self, key: Key, box: Slices | None) -> None:
        """Where the user has just removed an object no cell is missing."""
        if box is None:
            return
        for item in self.ranking.places_in(int(key[0]), box):
            middle = item.centre[3 - len(box) :]
            if all(b.start <= c < b.stop for b, c in zip(box, middle, strict=True)):
                self._done.add(item.key)

    def _restore(self, state: Mapping[str, Any]) -> None:
        try:
            self._at = None if state["at"] is None else tuple(state["at"])
            self._filters = Filters(**state["filters"])
            self._accepted = {tuple(key) for key in state["accepted"]}
            self._done = {tuple(key) for key in state["done"]}
            self._skipped = {tuple(key) for key in state["skipped"]}
        except (KeyError, TypeError) as error:
            raise InputError(
                f"The stored review cannot be read: {error!r}; start it anew."
            ) from error
