"""From the records of a journal back to labels, history and marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_cellseg.labels.edit import Key, Labels, Step
from napari_cellseg.labels.packing import Patch
from napari_cellseg.labels.replay import writes
from napari_cellseg.labels.step_record import step_from


def whole(labels: Labels, block: int = 2**20) -> Iterator[Patch]:
    """Yield patches that write all labels, whatever was there before."""
    from napari_cellseg.labels.journal.snapshot import blocks

    for region in blocks(labels.shape, block):
        values = labels[region]
        mask = np.ones(values.shape, np.bool_)
        yield Patch(region, mask, np.zeros(values.size, np.uint32), values.ravel())


class History:
    """Walks the records of a journal and keeps what is done and undone."""

    def __init__(self, marks: Sequence[tuple[Sequence[int], str, Any]]) -> None:
        self.done: list[Step] = []
        self.undone: list[Step] = []
        self.number = 0
        self._marks: dict[int, list[Any]] = {}
        self._settled = [((int(t), int(label)), name, value) for (t, label), name, value in marks]

    def follow(
        self, header: dict[str, Any], keys: tuple[Key, ...], number: int, payload: bytes
    ) -> None:
        """Take the next record up."""
        self.number = number
        if header["do"] == "cut":  # marks stay, but nothing can be undone any more
            taken = [((int(t), int(label)), name, None) for (t, label), name, *_ in header["marks"]]
            self._settled = self.marks() + taken
            self.done.clear()
            self.undone.clear()
        elif header["do"] == "undo":
            self.undone.append(self.done.pop())
        elif header["do"] == "redo":
            self.done.append(self.undone.pop())
        else:
            self.done.append(step_from(header, keys, number))
            self.undone.clear()
            if header["marks"]:
                self._marks[number] = header["marks"]

    def marks(self) -> list[tuple[Key, str, Any]]:
        """What was marked, in order; None where a mark was taken away."""
        return self._settled + [
            ((int(key[0]), int(key[1])), name, value)
            for step in self.done
            for key, name, _, value in self._marks.get(step.number, ())
        ]


def replay(
    labels: Labels, payload: bytes, header: dict[str, Any], read: Callable[[int], bytes]
) -> None:
    """Write what a record writes into labels, in place."""
    for region, mask, values in writes(payload, read):
        labels[region][mask] = values
