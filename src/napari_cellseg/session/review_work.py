"""Rank objects and places away from the GUI: all of them at first, then what an edit touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import CellsegError
from napari_cellseg.worker import JobContext, operation

if TYPE_CHECKING:
    from napari_cellseg.flows import FlowField
    from napari_cellseg.labels import Key, LabelDocument
    from napari_cellseg.labels.review import Evidence, Ranking, ReviewItem
    from napari_cellseg.volume import Volume

Slices = tuple[slice, ...]
IN_MEMORY = 2**30
"""Bytes of an image up to which it is read once, not box by box."""


class Boxes:
    """Where objects were when the ranking was told: the labels' own table goes on meanwhile.

    Parameters
    ----------
    columns : mapping
        Of `ObjectTable.columns`.

    Attributes
    ----------
    all : dict of (t, id) to box
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        keys = zip(columns["t"].tolist(), columns["id"].tolist(), strict=True)
        self.all: dict[Key, Slices] = {
            key: tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            for key, (low, high) in zip(keys, columns["box"].tolist(), strict=True)
        }

    def __contains__(self, key: Key) -> bool:
        return key in self.all

    def keys(self) -> list[Key]:
        """All ``(t, id)``, rising."""
        return sorted(self.all)

    def box(self, id: int, t: int = 0) -> Slices:
        """Tight spatial box of an object."""
        return self.all[t, id]

    def change(self, boxes: Mapping[Key, Slices | None]) -> None:
        """Take over where some objects are now; None: there no more."""
        for key, box in boxes.items():
            if box is None:
                self.all.pop(key, None)
            else:
                self.all[key] = box


class Pixels:
    """One channel of an image over the axes of its labels, read box by box.

    Parameters
    ----------
    volume : Volume
    channel : int
        RGB is averaged over its colours.
    """

    def __init__(self, volume: Volume, channel: int) -> None:
        self._volume = volume
        self._channel = channel
        self.shape = volume.label_shape

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        volume = self._volume
        if "c" not in volume.axes:
            return np.asarray(volume.data[index])
        at = dict(zip(volume.label_axes, index, strict=True))
        at["c"] = slice(None) if volume.rgb else self._channel
        part: NDArray[Any] = np.asarray(volume.data[tuple(at[axis] for axis in volume.axes)])
        if not volume.rgb:
            return part
        gone = [a for a in volume.axes if isinstance(at[a], int)]
        left = [a for a in volume.axes if a not in gone]
        grey: NDArray[Any] = part.mean(left.index("c"), dtype=np.float32)
        return grey

    def loaded(self) -> Any:
        """The whole channel in memory, where it is not too large; else this."""
        if self._volume.nbytes > IN_MEMORY:
            return self
        return self[tuple(slice(0, length) for length in self.shape)]


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be ranked, and by what.

    Attributes
    ----------
    document : LabelDocument
    volume : Volume or None
    channel : int
    flow : FlowField or None
        Of the labels' shape.
    prompted : frozenset of (t, id)
    probability : float
    """

    document: LabelDocument
    volume: Volume | None
    channel: int = 0
    flow: FlowField | None = None
    prompted: frozenset[Key] = frozenset()
    probability: float = 0.5


@dataclass(frozen=True, eq=False)
class Ranked:
    """A ranking, and what it says now."""

    ranking: Ranking
    items: list[ReviewItem]
    boxes: dict[Key, Slices]


@dataclass(frozen=True, eq=False)
class Again:
    """What a ranking says after an edit.

    Attributes
    ----------
    keys : dict of (t, id) to bool
        What was touched, and whether by a hand (True) or by going back in history.
    items : list of ReviewItem
    boxes : dict of (t, id) to box or None
        Of what was touched.
    """

    keys: dict[Key, bool]
    items: list[ReviewItem] = field(default_factory=list)
    boxes: dict[Key, Slices | None] = field(default_factory=dict)


@operation("review")
def review(
    context: JobContext, *, asked: Asked, columns: Mapping[str, NDArray[Any]]
) -> Ranked | None:
    """Measure every object and rank; None if what was measured changed under the hand."""
    from napari_cellseg.labels.review import Ranking

    document = asked.document
    number = document.number
    boxes = Boxes(columns)

    def report(fraction: float) -> None:
        context.check()
        context.progress(0.2 + 0.8 * fraction, f"{len(boxes.all):,} cells")

    context.progress(0.0, "reading")
    evidence = _evidence(context, asked)
    try:
        ranking = Ranking(document.labels, boxes, evidence, report)
        items = ranking.items()
    except CellsegError:
        raise
    except Exception:
        if document.number == number:
            raise
        return None  # an object that is written while it is measured can be anything
    return Ranked(ranking, items, dict(boxes.all))


@operation("review again")
def review_again(
    context: JobContext,
    *,
    ranking: Ranking,
    document: LabelDocument,
    keys: dict[Key, bool],
    boxes: dict[Key, Slices | None],
) -> Again | None:
    """Measure what was touched; None if it was touched again meanwhile."""
    objects = ranking.objects
    assert isinstance(objects, Boxes)
    number = document.number
    objects.change(boxes)
    try:
        ranking.update(keys)
        items = ranking.items()
    except CellsegError:
        raise
    except Exception:
        if document.number == number:
            raise
        return None
    return Again(keys, items, {key: ranking.box(key) for key in keys})


def _evidence(context: JobContext, asked: Asked) -> Evidence:
    from napari_cellseg.flows import Progress
    from napari_cellseg.labels.review import Evidence
    from napari_cellseg.labels.review.evidence import QUALITY

    document, flow = asked.document, asked.flow
    if flow is not None:
        progress = Progress(context.progress, context.cancel).part(0.0, 0.2)
        flow.prepare(clicks=bool(asked.prompted), progress=progress)
    pixels = None if asked.volume is None else Pixels(asked.volume, asked.channel).loaded()
    quality: dict[Key, dict[str, float]] = {}
    if flow is None:
        table = document.table
        names = [name for name in QUALITY if name in table.columns]
        if names:
            known = table[names].dropna(how="all")
            quality = {
                (int(key[0]), int(key[1])): {str(n): float(v) for n, v in row.items() if v == v}
                for key, row in zip(known.index, known.to_dict("records"), strict=True)
            }
    context.check()
    return Evidence(
        field=flow,
        image=pixels,
        spacing=document.spacing,
        quality=quality,
        prompted=asked.prompted if flow is not None else (),
        timed=document.timed,
        probability=asked.probability,
    )
