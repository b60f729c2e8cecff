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
        # made when they are asked for: what there is, what of it the filters show, what is left
        self._by_key: dict[ItemKey, ReviewItem] = {}
        self._passing: dict[ItemKey, ReviewItem] | None = None
        self._left: dict[ItemKey, ReviewItem] | None = None
        self._places: dict[ItemKey, int] | None = None
        self._progress: Progress | None = None
        self._take(ranking.items())

    @property
    def filters(self) -> Filters:
        """Which items are shown."""
        return self._filters

    @filters.setter
    def filters(self, filters: Filters) -> None:
        self._filters = filters
        self._passing = None
        self._decided()

    @property
    def all_items(self) -> list[ReviewItem]:
        """Every item, whatever the filters and the state: for the plot."""
        return list(self._by_key.values())

    @property
    def items(self) -> list[ReviewItem]:
        """What is left and shown: the most doubtful first, skipped ones last."""
        return list(self._open().values())

    @property
    def current(self) -> ReviewItem | None:
        """The item in hand: the one gone to last, or the first that is left; None at the end."""
        left = self._open()
        item = None if self._at is None else left.get(self._at)
        return next(iter(left.values()), None) if item is None else item

    def position(self, key: ItemKey) -> int | None:
        """Place of an item in `items`; None if it is not among them."""
        if self._places is None:
            self._places = {name: place for place, name in enumerate(self._open())}
        return self._places.get(tuple(key))

    @property
    def progress(self) -> Progress:
        """Counts of what the filters show."""
        if self._progress is None:
            shown = self._shown().keys()
            gone = sum(key[0] == "gone" for key in self._done)
            self._progress = Progress(
                len(shown & self._accepted), len(shown & self._done) + gone, len(self._open())
            )
        return self._progress

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
        self._decided()

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
        self._take(self.ranking.items())
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
        self._decided()

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

    def _take(self, items: list[ReviewItem]) -> None:
        self._by_key = {item.key: item for item in items}
        self._passing = None
        self._forget()

    def _forget(self) -> None:
        self._left = self._places = self._progress = None

    def _decided(self) -> None:
        """What is left may be other: tell."""
        self._forget()
        self.changed.emit()

    def _shown(self) -> dict[ItemKey, ReviewItem]:
        """What the filters show, decided or not."""
        if self._passing is None:
            show = self._filters.show
            self._passing = {key: item for key, item in self._by_key.items() if show(item)}
        return self._passing

    def _open(self) -> dict[ItemKey, ReviewItem]:
        """What is left of that, in its order."""
        if self._left is None:
            shown, late = self._shown(), self._skipped
            settled = self._accepted | self._done
            self._left = {
                key: item for key, item in shown.items() if key not in settled and key not in late
            }
            if late:
                self._left.update(
                    (key, item) for key, item in shown.items() if key in late and key not in settled
                )
        return self._left

    def _item(self, key: ItemKey | None) -> ReviewItem | None:
        if key is None:
            return self.current
        item = self._by_key.get(tuple(key))
        if item is None:
            raise InputError(f"There is no item {tuple(key)} in the review.")
        return item

    def _settle(self, item: ReviewItem, into: set[ItemKey]) -> ReviewItem | None:
        after = self._neighbour(item.key, 1)
        for keys in (self._accepted, self._done, self._skipped):
            keys.discard(item.key)
        into.add(item.key)
        self._at = None if after is None or after.key == item.key else after.key
        self._decided()
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
        items = list(self._open().values())
        place = self.position(key)
        if place is None:
            return items[0] if items else None
        at = place + by
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
