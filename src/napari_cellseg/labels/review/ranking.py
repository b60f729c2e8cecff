"""All objects and places, the most doubtful first; an edit costs only what it touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review.boxes import grown, meet
from napari_cellseg.labels.review.doubt import NAMES, available, doubts
from napari_cellseg.labels.review.evidence import Evidence, Frame
from napari_cellseg.labels.review.item import ReviewItem
from napari_cellseg.labels.review.measure import RAW, measure, measure_around
from napari_cellseg.labels.review.objects import LabelBoxes
from napari_cellseg.labels.review.places import Place, field_places, image_places, judge, look
from napari_cellseg.labels.review.score import score_objects, why

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review.item import Slices
    from napari_cellseg.labels.review.objects import Key, Objects

    Report = Callable[[float], None]

#: An object is a neighbour of what lies within so many voxels of its box.
_MARGIN = 1


class Ranking:
    """Measures of all objects and places of labels, kept while the labels are edited.

    Parameters
    ----------
    labels : array of int, ([t,] [z,] y, x)
        Looked at, never written; edited in place by its owner, who tells `update`.
    objects : Objects, optional
        Object table of the labels; boxes are found from the labels by default.
    evidence : Evidence, optional
        What is known besides the labels.
    report : callable, optional
        Called with a fraction in 0..1; it may raise to stop.

    Raises
    ------
    InputError
        If field or image do not fit the labels.
    """

    def __init__(
        self,
        labels: NDArray[np.integer],
        objects: Objects | None = None,
        evidence: Evidence | None = None,
        report: Report | None = None,
    ) -> None:
        self.evidence = Evidence() if evidence is None else evidence
        self.labels = labels
        _check_axes(labels.ndim, self.evidence.timed)
        self._own_boxes = objects is None
        self.objects: Objects = (
            LabelBoxes(labels, self.evidence.timed) if objects is None else objects
        )
        times = range(labels.shape[0] if self.evidence.timed else 1)
        self._frames = [Frame(labels, self.evidence, t) for t in times]
        self._raw: dict[Key, NDArray[np.float64]] = {}
        self._boxes: dict[Key, Slices] = {}
        keys = self.objects.keys()
        for done, key in enumerate(keys):
            self._measure(key)
            if report is not None and done % 16 == 0:
                report(0.9 * done / len(keys))
        self._places = [self._find_places(frame) for frame in self._frames]
        # without any object, the usual cell is what could be one
        self._usual_place = _median_size(self._places)
        self._free = [
            [look(place, frame) for place in places]
            for frame, places in zip(self._frames, self._places, strict=True)
        ]

    def items(self) -> list[ReviewItem]:
        """Every object and every place where a cell may be missing, the most doubtful first.

        Returns
        -------
        list of ReviewItem
            Equal scores are in the order of t, kind, id, place.
        """
        found = self._object_items() + self._place_items()
        return sorted(found, key=lambda item: (-item.score, item.t, item.kind, item.key))

    def update(self, keys: Iterable[Key], region: tuple[int, Slices] | None = None) -> None:
        """Measure again what an edit touched; of the neighbours, only what they share with it.

        Parameters
        ----------
        keys : iterable of (t, id)
            Objects that were changed, made or removed; their quality numbers count no longer.
        region : (t, spatial box), optional
            Where voxels were written, if `keys` may leave objects out: all that meet it are
            measured again.
        """
        if self._own_boxes:
            # without a table of objects, nobody else knows where they are now
            self.objects = LabelBoxes(self.labels, self.evidence.timed)
        edited = {(int(t), int(number)) for t, number in keys}
        touched = [] if region is None else [region]
        if region is not None:
            edited |= {
                k for k, b in self._boxes.items() if k[0] == region[0] and meet(b, region[1])
            }
        for key in edited:
            if key in self._boxes:
                touched.append((key[0], self._boxes[key]))
            if key in self.objects:
                touched.append((key[0], self.objects.box(key[1], key[0])))
        if not edited.isdisjoint(self.evidence.quality):
            kept = {k: q for k, q in self.evidence.quality.items() if k not in edited}
            self.evidence = replace(self.evidence, quality=kept)
        for key in edited:
            if key in self.objects:
                self._measure(key)
            else:
                self._raw.pop(key, None)
                self._boxes.pop(key, None)
        for key, box in self._boxes.items():
            if key not in edited:
                wide = grown(box, _MARGIN, self._frames[key[0]].shape)
                if any(t == key[0] and meet(wide, part) for t, part in touched):
                    self._measure_around(key)
        for t, part in touched:
            for row, place in enumerate(self._places[t]):
                if meet(place.box, part):
                    self._free[t][row] = look(place, self._frames[t])

    def box(self, key: Key) -> Slices | None:
        """Box of an object when it was last measured; None if it is not known."""
        return self._boxes.get((int(key[0]), int(key[1])))

    def places_in(self, t: int, box: Slices) -> list[ReviewItem]:
        """Items of the places whose boxes meet a box."""
        return [item for item in self._place_items() if item.t == t and meet(item.box, box)]

    def _measure(self, key: Key) -> None:
        raw = measure(self._frames[key[0]], self.objects, self.evidence, key)
        self._raw[key] = np.array([raw[name] for name in RAW])
        self._boxes[key] = self.objects.box(key[1], key[0])

    def _measure_around(self, key: Key) -> None:
        row = self._raw[key]
        area = float(row[RAW.index("hull_area")])
        for name, value in measure_around(self._frames[key[0]], self.objects, key, area).items():
            row[RAW.index(name)] = value

    def _table(self) -> tuple[list[Key], dict[str, NDArray[np.float64]]]:
        keys = sorted(self._raw)
        table = np.array([self._raw[key] for key in keys]).reshape(len(keys), len(RAW))
        return keys, {name: table[:, k] for k, name in enumerate(RAW)}

    def _usual_size(self) -> float:
        """Voxels of the median object."""
        if not self._raw:
            return self._usual_place
        sizes = [raw[RAW.index("log_voxels")] for raw in self._raw.values()]
        return float(np.exp(np.median(sizes)))

    def _object_items(self) -> list[ReviewItem]:
        keys, raw = self._table()
        if not keys:
            return []
        reasons = doubts(raw)
        score, added = score_objects(reasons, available(raw), raw["basin"])
        planar = self._frames[0].ndim == 2
        items = []
        for row, (t, number) in enumerate(keys):
            box = self._boxes[t, number]
            middle = [(part.start + part.stop - 1) / 2 for part in box]
            z, y, x = [0.0] * (3 - len(middle)) + middle
            items.append(
                ReviewItem(
                    kind="object",
                    t=t,
                    id=number,
                    score=float(score[row]),
                    why=why(added[row], planar),
                    centre=(z, y, x),
                    box=box,
                    features=dict(zip(NAMES, reasons[row].tolist(), strict=True)),
                    touches_border=bool(raw["border"][row]),
                )
            )
        return items

    def _find_places(self, frame: Frame) -> list[Place]:
        if frame.field is not None:
            return field_places(frame)
        if not frame.has_image or not self._raw:
            return []
        _, raw = self._table()
        if not np.isfinite(raw["level_outside"]).any():
            return []
        levels = float(np.nanmedian(raw["level_outside"])), float(np.nanmedian(raw["level"]))
        return image_places(frame, levels, self._usual_size())

    def _place_items(self) -> list[ReviewItem]:
        usual = self._usual_size()
        source = "image" if self.evidence.field is None else "field"
        judged = (
            judge(place, free, frame, usual, source)
            for frame, places, seen in zip(self._frames, self._places, self._free, strict=True)
            for place, free in zip(places, seen, strict=True)
            if free is not None
        )
        return [item for item in judged if item is not None]


def rank(
    labels: NDArray[np.integer],
    objects: Objects | None = None,
    evidence: Evidence | None = None,
) -> list[ReviewItem]:
    """What is most likely wrong, first.

    Parameters
    ----------
    labels : array of int, ([t,] [z,] y, x)
    objects : Objects, optional
        Object table of the labels; boxes are found from the labels by default.
    evidence : Evidence, optional
        Flow field, image, quality numbers, prompts: what is there is used.

    Returns
    -------
    list of ReviewItem

    Raises
    ------
    InputError
        If field or image do not fit the labels.
    """
    return Ranking(labels, objects, evidence).items()


def _median_size(places: Iterable[Collection[Place]]) -> float:
    sizes = [place.mask.sum() for frame in places for place in frame]
    return float(np.median(sizes)) if sizes else 1.0


def _check_axes(ndim: int, timed: bool) -> None:
    if ndim - timed not in (2, 3):
        raise InputError(f"Labels of {ndim} axes cannot be reviewed: ([t,] [z,] y, x) is needed.")
