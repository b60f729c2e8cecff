"""Where prompted objects are shown and kept: the preview, and the cells of the document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cellseg.labels.paint import painted
from napari_cellseg.session.prompt_object import Part, PromptObject, Slices, around, described

if TYPE_CHECKING:
    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.session.merge import Labels
    from napari_cellseg.session.session import Session


class Preview:
    """Open objects by number, in an array of their own; only their boxes are ever touched.

    Where objects overlap, the one begun first is shown: `Commits.commit` writes them so.

    Parameters
    ----------
    shape : tuple of int
        Of the labels. Memory is taken only where something is shown.

    Attributes
    ----------
    labels : array of uint32
    """

    changed: ClassVar[Signal] = Signal(object)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels: NDArray[np.uint32] = np.zeros(shape, np.uint32)
        self._shown: dict[int, Part] = {}
        self._gathered: list[Slices] | None = None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Say of everything changed in this block at its end that it has, as one box."""
        if self._gathered is not None:  # inside another such block
            yield
            return
        self._gathered = []
        try:
            yield
        finally:
            gathered, self._gathered = self._gathered, None
            if gathered:
                self.changed.emit(around(gathered))

    def show(self, number: int, part: Part | None) -> None:
        """Show an object anew, or (None) no longer."""
        former = self._shown.get(number)
        if former is not None and part is not None and _same(former, part):
            return  # a stroke elsewhere has every object shown anew
        self._shown.pop(number, None)
        if former is not None:
            here = self.labels[former.region]
            np.copyto(here, np.uint32(0), where=here == number)
            for other, covered in self._shown.items():
                if _touch(covered.region, former.region):
                    self._fill(other, covered)
        if part is not None:
            self._fill(number, part)
            self._shown[number] = part
        touched = [one.region for one in (former, part) if one is not None]
        if self._gathered is not None:
            self._gathered += touched
        elif touched:
            self.changed.emit(around(touched))

    def clear(self) -> None:
        """Show nothing."""
        with self.at_once():
            for number in list(self._shown):
                self.show(number, None)

    def _fill(self, number: int, part: Part) -> None:
        here = self.labels[part.region]
        where = part.mask
        if any(n != number and _touch(o.region, part.region) for n, o in self._shown.items()):
            where = where & ((here == 0) | (here > number))
        np.copyto(here, np.uint32(number), where=where)


def _same(one: Part, other: Part) -> bool:
    return one.region == other.region and np.array_equal(one.mask, other.mask)


def _touch(one: Slices, other: Slices) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


class Commits:
    """Writes objects into the session's document, as one step for each acceptance.

    Attributes
    ----------
    committed : dict of int to PromptObject
        Objects by their id in the labels.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.committed: dict[int, PromptObject] = {}

    @property
    def locked(self) -> frozenset[int]:
        """Ids that nothing here may change, asked or not."""
        return self._session.locked_ids()

    def forget(self) -> None:
        """Start afresh: the labels are others."""
        self.committed = {}

    def free(
        self, labels: Labels | None, part: Part, own: int | None, overwrite: bool
    ) -> Part | None:
        """What of a part may be written: the rest lies on objects that stay as they are."""
        if labels is None:
            return part
        locked = self.locked
        if own in locked:
            return None
        present = labels[part.region]
        taken = present != 0
        if overwrite:
            taken &= np.isin(present, list(locked)) if locked else False
        if own is not None:
            taken &= present != own
        mask = part.mask & ~taken
        return Part(part.region, mask, part.source, part.scores) if mask.any() else None

    def commit(
        self,
        document: LabelDocument,
        objects: Iterable[tuple[PromptObject, Part]],
        overwrite: bool,
        source: str,
    ) -> list[PromptObject]:
        """Write objects; return those of which at least one voxel is there afterwards.

        Parameters
        ----------
        document : LabelDocument
        objects : iterable of (PromptObject, Part)
        overwrite : bool
            Whether objects that are not locked give way. Those written by this call never do:
            the first of them keeps what it shares with others.
        source : str
            What made them, for their provenance.
        """
        kept: list[PromptObject] = []
        written: list[int] = []
        info: dict[str, Any] = {"prompts": 0, "objects": {}}
        committed = dict(self.committed)
        labels, locked = document.labels, self.locked
        # what is free is found before anything is written, so that it is what was shown
        free = [(one, self.free(labels, part, one.label, overwrite)) for one, part in objects]
        try:
            for one, part in free:
                if part is not None and written:
                    mask = part.mask & ~np.isin(labels[part.region], written)
                    part = replace(part, mask=mask) if mask.any() else None
                if part is None:
                    continue
                t = part.region[0].start if document.timed else 0
                label = one.label if one.label is not None else document.free_ids(1, t)[0]
                info["prompts"] += len(one.said)
                info["objects"][str(label)] = [described(said) for said in one.said.values()]
                edits = painted(
                    labels,
                    part.region,
                    part.mask,
                    label,
                    protected=locked.union(written) if overwrite else "all",
                    replace=one.region,
                )
                document.apply(
                    *edits,
                    kind="prompt",
                    source=source,
                    info=info,
                    gather=True,
                    tell=False,
                )
                one.label, one.region = label, part.region
                written.append(label)
                committed[label] = one.copy()
                kept.append(one)
        finally:
            document.end_stroke()
            self.committed = committed
        return kept
