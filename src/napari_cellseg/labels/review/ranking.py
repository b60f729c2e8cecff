"""All objects and places, the most doubtful first; an edit costs only what it touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review.boxes import meet
from napari_cellseg.labels.review.doubt import available, doubts
from napari_cellseg.labels.review.evidence import Evidence, Frame
from napari_cellseg.labels.review.item import Features, ReviewItem
from napari_cellseg.labels.review.measure import RAW, measure, measure_around
from napari_cellseg.labels.review.measured import Measured
from napari_cellseg.labels.review.objects import LabelBoxes
from napari_cellseg.labels.review.places import Place, Places, field_places, image_places
from napari_cellseg.labels.review.score import score_objects, whys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review.item import Slices
    from napari_cellseg.labels.review.objects import Key, Objects

    Report = Callable[[float], None]

#: An object is a neighbour of what lies within so many voxels of its box.
_MARGIN = 1
_CHUNK = 16  # objects between two looks at whether to go on
_THREADS = 2  # more would wait for each other in the interpreter


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
        keys = self.objects.keys()
        self._measured = Measured(keys, labels.ndim - self.evidence.timed)
        self._measure_all(keys, report)
        self._places = [Places(self._find_places(frame), frame) for frame in self._frames]
        # without any object, the usual cell is what could be one
        sizes = [np.count_nonzero(place.mask) for places in self._places for place in places.all]
        self._usual_place = float(np.median(sizes)) if sizes else 1.0

    def items(self) -> list[ReviewItem]:
        """Every object and every place where a cell may be missing, the most doubtful first.

        Returns
        -------
        list of ReviewItem
            Equal scores are in the order of t, kind, id, place.
        """
        objects, places = self._object_items(), self._place_items()
        found = objects + places
        if not found:
            return []
        names = [(1, item.id or 0, 0, 0) for item in objects]
        names += [(0, *item.key[2:]) for item in places]
        kinds, first, second, third = np.array(names, np.int64).T
        times = np.array([item.t for item in found])
        scores = np.array([item.score for item in found])
        ranks = np.lexsort((third, second, first, kinds, times, -scores))
        return [found[k] for k in ranks.tolist()]

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
            edited.update(self._measured.near(*region))
        for key in edited:
            if key in self._measured:
                touched.append((key[0], self._measured.boxes[key]))
            if key in self.objects:
                touched.append((key[0], self.objects.box(key[1], key[0])))
        if not edited.isdisjoint(self.evidence.quality):
            kept = {k: q for k, q in self.evidence.quality.items() if k not in edited}
            self.evidence = replace(self.evidence, quality=kept)
        for key in edited:
            if key in self.objects:
                self._measure(key)
            else:
                self._measured.remove(key)
        near = {key for t, part in touched for key in self._measured.near(t, part, _MARGIN)}
        for key in near - edited:
            self._measure_around(key)
        for t, places in enumerate(self._places):
            places.look_again([part for time, part in touched if time == t])

    def box(self, key: Key) -> Slices | None:
        """Box of an object when it was last measured; None if it is not known."""
        return self._measured.boxes.get((int(key[0]), int(key[1])))

    def places_in(self, t: int, box: Slices) -> list[ReviewItem]:
        """Items of the places whose boxes meet a box."""
        return [item for item in self._place_items() if item.t == t and meet(item.box, box)]

    def _measure_all(self, keys: list[Key], report: Report | None) -> None:
        """Measure in a thread or two; in one where the image is read from elsewhere."""
        from napari_cellseg.flows._jit import thread_count

        chunks = [keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK)]

        def work(chunk: list[Key]) -> None:
            for key in chunk:
                self._measure(key)

        image = self.evidence.image
        alone = image is not None and not isinstance(image, np.ndarray)
        threads = 1 if alone else min(_THREADS, thread_count(None), len(chunks))
        pool = ThreadPoolExecutor(threads) if threads > 1 else None
        try:
            ready = map(work, chunks) if pool is None else pool.map(work, chunks)
            for done, _ in enumerate(ready):
                if report is not None:
                    report(0.9 * done / len(chunks))
        finally:
            if pool is not None:  # after an error or a cancel nothing more is begun
                pool.shutdown(cancel_futures=True)

    def _measure(self, key: Key) -> None:
        raw = measure(self._frames[key[0]], self.objects, self.evidence, key)
        values = np.array([raw[name] for name in RAW])
        self._measured.put(key, self.objects.box(key[1], key[0]), values)

    def _measure_around(self, key: Key) -> None:
        row = self._measured.row(key)
        area = float(row[RAW.index("hull_area")])
        for name, value in measure_around(self._frames[key[0]], self.objects, key, area).items():
            row[RAW.index(name)] = value

    def _usual_size(self) -> float:
        """Voxels of the median object."""
        if not len(self._measured):
            return self._usual_place
        return float(np.exp(np.median(self._measured.column("log_voxels"))))

    def _object_items(self) -> list[ReviewItem]:
        keys, raw, ends = self._measured.table()
        if not keys:
            return []
        reasons = doubts(raw)
        score, added = score_objects(reasons, available(raw), raw["basin"])
        ndim = ends.shape[2]
        middles = np.zeros((len(keys), 3))
        middles[:, 3 - ndim :] = (ends[:, 0] + ends[:, 1] - 1) / 2
        boxes = self._measured.boxes
        rows = zip(
            keys,
            score.tolist(),
            whys(added, ndim == 2),
            middles.tolist(),
            reasons,
            raw["border"].tolist(),
            strict=True,
        )
        return [
            ReviewItem(
                "object", key[0], key[1], doubt, words, (z, y, x), boxes[key],
                Features(values), bool(border),
            )
            for key, doubt, words, (z, y, x), values, border in rows
        ]  # fmt: skip

    def _find_places(self, frame: Frame) -> list[Place]:
        if frame.field is not None:
            return field_places(frame)
        if not frame.has_image or not len(self._measured):
            return []
        outside, level = self._measured.column("level_outside"), self._measured.column("level")
        if not np.isfinite(outside).any():
            return []
        levels = float(np.nanmedian(outside)), float(np.nanmedian(level))
        return image_places(frame, levels, self._usual_size())

    def _place_items(self) -> list[ReviewItem]:
        usual = self._usual_size()
        source = "image" if self.evidence.field is None else "field"
        return [item for places in self._places for item in places.items(usual, source)]


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


def _check_axes(ndim: int, timed: bool) -> None:
    if ndim - timed not in (2, 3):
        raise InputError(f"Labels of {ndim} axes cannot be reviewed: ([t,] [z,] y, x) is needed.")
