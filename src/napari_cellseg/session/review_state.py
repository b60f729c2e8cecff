"""The state of a session's review: the queue, the item in hand, and what of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review import Filters, Progress, ReviewQueue

if TYPE_CHECKING:
    from napari_cellseg.labels import Key, LabelDocument
    from napari_cellseg.labels.review import ItemKey, Ranking, ReviewItem
    from napari_cellseg.session.review_front import Front
    from napari_cellseg.session.session import Session
    from napari_cellseg.worker import Job

Slices = tuple[slice, ...]

KEPT = "review"
"""Where a document's `meta` holds how far its review is."""


class ReviewState:
    """What is reviewed, and where the user is; `Reviewing` adds what they can do.

    Attributes
    ----------
    active : bool
        Whether reviewing is on: from `start` to `stop`.
    queue : ReviewQueue or None
        None until everything is ranked.
    go_on : bool
        Go to the next item by itself once one is dealt with.
    """

    changed: ClassVar[Signal] = Signal()
    """What a list or a plot shows may be other."""
    arrived: ClassVar[Signal] = Signal(object)
    """Another item is in hand (or None)."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.active = False
        self.queue: ReviewQueue | None = None
        self.go_on = True
        self._document: LabelDocument | None = None
        self._front: Front | None = None
        self._item: ReviewItem | None = None
        self._rank = 0
        self._by_key: dict[ItemKey, ReviewItem] = {}
        self._accepted: set[Key] = set()
        self._deleted: dict[Key, Slices] = {}
        self._pending: dict[Key, bool] = {}
        self._measuring: Job | None = None
        self._back_to: tuple[ItemKey, ...] = ()
        self._written: dict[str, Any] = {}

    # -- what there is ---------------------------------------------------------------------------

    @property
    def reason(self) -> str:
        """Why reviewing cannot begin, as one sentence; empty if it can."""
        document = self.session.document
        if document is None:
            return self.session.can("edit").reason
        if not len(document.objects):
            return "There are no cells to review: segment or draw some."
        return document.read_only

    @property
    def ranking(self) -> bool:
        """Whether everything is being ranked."""
        return "review" in self.session._jobs

    @property
    def items(self) -> list[ReviewItem]:
        """What is left and shown by the filters: the most doubtful first, skipped ones last."""
        return [] if self.queue is None else self.queue.items

    @property
    def all_items(self) -> list[ReviewItem]:
        """Every item, whatever the filters and whatever was decided."""
        return list(self._by_key.values())

    @property
    def item(self) -> ReviewItem | None:
        """The item in hand."""
        return self._item

    @property
    def progress(self) -> Progress:
        """How many are accepted, repaired and left, of what the filters show."""
        return Progress(0, 0, 0) if self.queue is None else self.queue.progress

    @property
    def filters(self) -> Filters:
        """Which items are shown."""
        return Filters() if self.queue is None else self.queue.filters

    @filters.setter
    def filters(self, filters: Filters) -> None:
        with self.session._lock:
            if self.queue is None or filters == self.queue.filters:
                return
            self.queue.filters = filters
            items = self.queue.items
            if items and self._item not in items and not self._held():
                self._take(items[0])
            self._keep()
            self.changed.emit()

    # -- the queue ---------------------------------------------------------------------------------

    def _forget(self) -> None:
        self.active = False
        self.queue = self._front = self._item = self._document = None
        self._by_key, self._written = {}, {}
        self._accepted.clear()
        self._deleted.clear()
        self._pending.clear()
        self._back_to = ()

    def _forget_queue(self) -> None:
        self.queue = self._front = None
        self._by_key = {}

    def _restore_queue(self, front: Front, kept: Any) -> None:
        """Make the queue, with what was decided before; acceptances are marks of the document."""
        ranking = cast("Ranking", front)
        names = [["object", t, id] for t, id in sorted(self._accepted)]
        empty: dict[str, Any] = {"at": None, "filters": {}}
        empty.update(accepted=[], done=[], skipped=[])
        try:
            state = {**empty, **(kept or {})}
            state["accepted"] = [*state["accepted"], *names]
            self._deleted = {(t, id): _box(ends) for t, id, ends in state.get("deleted", ())}
            self.queue = ReviewQueue(ranking, state)
        except (InputError, TypeError, ValueError):
            self.session._notice("How far the review was could not be read: it begins anew.")
            self._deleted = {}
            self.queue = ReviewQueue(ranking, {**empty, "accepted": names})

    def _index(self) -> None:
        assert self._front is not None
        self._by_key = {item.key: item for item in self._front.items()}

    def _settle_deleted(self) -> None:
        """No cell is missing where the user has deleted one, before it was ranked this time."""
        assert self.queue is not None
        for item in self._by_key.values():
            middle = item.centre[3 - len(item.box) :]
            if item.kind == "missing" and any(
                t == item.t and all(p.start <= c < p.stop for p, c in zip(box, middle, strict=True))
                for (t, _), box in self._deleted.items()
            ):
                self.queue.done(item.key)

    # -- the item in hand ------------------------------------------------------------------------

    def _take(self, item: ReviewItem | None, anew: bool = False) -> None:
        former, self._item = self._item, item
        if self.queue is not None and item is not None:
            items = self.queue.items
            if item in items:
                self._rank = items.index(item)
            if item.key in self._by_key:
                self.queue.go_to(item.key)
        if item is not None and item.kind == "object" and item.id is not None:
            self.session.select([(item.t, item.id)])
        elif item is not None:
            self.session.select([])
        if anew or item is not former:
            self.arrived.emit(item)

    def _advance(self, by: int = 1) -> None:
        """Go to the item after the one in hand, or before; stay at the ends."""
        items = self.items
        if not items:
            self._take(None)
            return
        if self._item in items:
            at = items.index(self._item) + by
        else:
            at = self._rank if by > 0 else self._rank - 1
        self._take(items[max(0, min(at, len(items) - 1))])

    def _held(self) -> bool:
        """Whether the item in hand stays until it is answered; see `ReviewAudit`."""
        return False

    # -- keeping ---------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        assert self.queue is not None
        state = self.queue.state()
        state["accepted"] = [key for key in state["accepted"] if key[0] != "object"]
        state["deleted"] = [
            [t, id, [[part.start, part.stop] for part in box]]
            for (t, id), box in sorted(self._deleted.items())
        ]
        return state

    def _keep(self) -> None:
        """Keep how far the review is with the document, where that has changed."""
        if self.queue is not None:
            self._write(KEPT, self._state())

    def _write(self, name: str, value: Any) -> None:
        document = self._document
        if document is None or document.read_only or self._written.get(name) == value:
            return
        self._written[name] = value
        document.set_meta(name, value)


def _box(ends: Any) -> Slices:
    return tuple(slice(int(start), int(stop)) for start, stop in ends)
