"""What is known of every object, kept up to date at the cost of what changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import MOST, Key, Labels, Slices
from napari_cellseg.labels.packing import distinct

_DIRECT = 2**24
"""Up to this id a table over all ids is affordable; beyond, ids are searched for."""
_NONE = np.zeros(0, np.int64)
_FAR = np.iinfo(np.int64).max


class ObjectTable:
    """Objects by (t, id): box, voxels and centroid, and what was marked.

    Columns are arrays and an object is a row, so that ten million fit; the rows of objects that
    were there from the start are found by bisection, those of later ones by a dictionary.

    Parameters
    ----------
    volumes : array of uint32, (t, z, y, x)
        Counted once; axes that the labels do not have are of length 1.
    ndim : int
        Number of spatial axes, 2 or 3.
    """

    def __init__(self, volumes: Labels, ndim: int) -> None:
        self._ndim = ndim
        self.marks: dict[str, dict[Key, Any]] = {}
        self._largest = 0
        self.count(volumes)

    # -- reading ---------------------------------------------------------------------------------

    def __contains__(self, key: Key) -> bool:
        row = self._row(*key)
        return row >= 0 and self._voxels[row] > 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self._voxels[: self._rows]))

    def ids(self, t: int | None = None) -> NDArray[np.int64]:
        """Ids that occur, at a time point or (None) at any; rising."""
        keys = self._keys[: self._rows][self._voxels[: self._rows] > 0]
        if t is not None:
            keys = keys[(keys >> 32) == t]
        return np.unique(keys & 0xFFFFFFFF)

    def keys(self) -> list[Key]:
        """All objects, by time and id; it is no mapping."""
        keys = np.sort(self._keys[: self._rows][self._voxels[: self._rows] > 0])
        return list(zip((keys >> 32).tolist(), (keys & 0xFFFFFFFF).tolist(), strict=True))

    def voxels(self, id: int, t: int = 0) -> int:
        """Voxels of an object; InputError where there is none."""
        return int(self._voxels[self._present(id, t)])

    def box(self, id: int, t: int = 0) -> Slices:
        """Tight box of an object over the spatial axes; InputError where there is none."""
        low, high = self._bounds[self._present(id, t)].reshape(2, 3)[:, 3 - self._ndim :].tolist()
        return tuple(slice(a, b) for a, b in zip(low, high, strict=True))

    def centroid(self, id: int, t: int = 0) -> tuple[float, ...]:
        """Centroid of an object in voxels, over the spatial axes."""
        row = self._present(id, t)
        mean = self._sums[row] / self._voxels[row]
        return tuple(float(one) for one in mean[3 - self._ndim :])

    def mark(self, id: int, name: str, t: int = 0, default: Any = None) -> Any:
        """What an object was marked with under a name."""
        return self.marks.get(name, {}).get((t, id), default)

    def marked(self, name: str) -> dict[Key, Any]:
        """All objects marked under a name, and with what."""
        return dict(self.marks.get(name, {}))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return `t`, `id`, `voxels`, `centroid` (n, ndim) and `box` (n, 2, ndim), by (t, id)."""
        there = np.flatnonzero(self._voxels[: self._rows] > 0)
        rows = there[np.argsort(self._keys[there], kind="stable")]
        keys, voxels, skip = self._keys[rows], self._voxels[rows], 3 - self._ndim
        return {
            "t": keys >> 32,
            "id": keys & 0xFFFFFFFF,
            "voxels": voxels,
            "centroid": (self._sums[rows] / voxels[:, None])[:, skip:],
            "box": self._bounds[rows].reshape(-1, 2, 3)[:, :, skip:],
        }

    @property
    def largest(self) -> int:
        """Largest id that ever occurred, which new ones lie above."""
        return self._largest

    def remember(self, largest: int) -> None:
        """Take care that new ids lie above one that occurred elsewhere."""
        self._largest = max(self._largest, largest)

    def free_ids(self, count: int, t: int) -> list[int]:
        """Return ids that no object has: above all, or from the gaps where those run out.

        Raises
        ------
        InputError
            If too few are left.
        """
        if self._largest + count <= MOST:
            return list(range(self._largest + 1, self._largest + 1 + count))
        taken = self._keys[: self._rows]
        taken = taken[(taken >> 32) == t] & 0xFFFFFFFF
        free = np.setdiff1d(np.arange(1, len(taken) + count + 1), taken)[:count]
        if len(free) < count or free[-1] > MOST:
            raise InputError(f"All {MOST:,} ids are in use: delete objects before adding one.")
        return [int(one) for one in free]

    # -- keeping up to date ----------------------------------------------------------------------

    def count(self, volumes: Labels) -> None:
        """Count everything anew; marks stay."""
        from napari_cellseg.labels._kernels import count_plane

        times, planes = volumes.shape[:2]
        self.checksums = np.zeros((times, planes), np.uint64)
        columns = [(_NONE, _NONE, np.zeros((0, 3), np.int64), np.zeros((0, 6), np.int64))]
        for t in range(times):
            ids, lookup = _ids_of(volumes[t])
            counts = np.zeros(len(ids), np.int64)
            sums = np.zeros((len(ids), 3), np.int64)
            bounds = np.zeros((len(ids), 6), np.int64)
            bounds[:, :3] = _FAR
            for z in range(planes):
                plane = volumes[t, z]
                found = lookup[plane] if lookup is not None else np.searchsorted(ids, plane)
                rows = found.astype(np.int32, copy=False)
                self.checksums[t, z] = count_plane(plane, rows, z, counts, sums, bounds)
            keys = ids.astype(np.int64) | (np.int64(t) << 32)
            columns.append((keys, counts, sums, bounds))
        self._keys, self._voxels, self._sums, self._bounds = (
            np.concatenate(parts) for parts in zip(*columns, strict=True)
        )
        self._rows = self._sorted = len(self._keys)
        self._added: dict[int, int] = {}
        known = int((self._keys & 0xFFFFFFFF).max(initial=0))
        self._largest = max(known, self._largest)

    def replace(
        self,
        volume: Labels,
        t: int,
        start: tuple[int, int, int],
        mask: NDArray[np.bool_],
        before: Labels,
        after: Labels,
    ) -> tuple[list[Key], list[Key], list[Key]]:
        """Take up that voxels of a time point have been given other ids.

        Parameters
        ----------
        volume : array of uint32, (z, y, x)
            The labels of that time point, already written.
        t : int
        start : tuple of int
            (z, y, x) of the mask's first voxel.
        mask : array of bool, (z, y, x)
        before, after : array of uint32
            Of the masked voxels.

        Returns
        -------
        touched : list of (t, id)
            Objects that lost or gained voxels.
        born : list of (t, id)
            Those of them that had none.
        gone : list of (t, id)
            Those of them that have none left.
        """
        from napari_cellseg.labels._kernels import tally

        palette = np.union1d(distinct(before), distinct(after))
        palette = palette[palette != 0]
        number = len(palette)
        counts = np.zeros((number, 2), np.int64)
        sums = np.zeros((number, 3), np.int64)
        bounds = np.zeros((number, 2, 6), np.int64)
        bounds[:, :, :3] = _FAR
        planes = self.checksums[t, start[0] : start[0] + mask.shape[0]]
        size = np.array(volume.shape, np.int64)
        at, sign = np.array(start, np.int64), np.array([-1, 1], np.int64)
        tally(mask, before, after, palette, at, size, counts, sums, bounds, sign, planes)
        touched: list[Key] = []
        born: list[Key] = []
        gone: list[Key] = []
        for k, label in enumerate(palette.tolist()):
            row = self._row_for(t, label)
            had = int(self._voxels[row])
            left = had - int(counts[k, 0])
            self._voxels[row] = left + counts[k, 1]
            self._sums[row] += sums[k]
            touched.append((t, label))
            if self._voxels[row] == 0:
                gone.append((t, label))
                self._sums[row] = 0
                continue
            box = self._bounds[row]
            gained = bounds[k, 1]
            if had == 0:
                born.append((t, label))
                box[:] = gained
                continue
            reach = bounds[k, 0]
            if counts[k, 0] and (
                (reach[:3] <= box[:3]).any() or (reach[3:] >= box[3:]).any()
            ):  # it lost voxels on a side of its box
                _tighten(volume, label, box, None if not counts[k, 1] else gained)
            elif counts[k, 1]:
                np.minimum(box[:3], gained[:3], out=box[:3])
                np.maximum(box[3:], gained[3:], out=box[3:])
        return touched, born, gone

    def set_mark(self, key: Key, name: str, value: Any) -> Any:
        """Mark an object; return what it was marked with before."""
        column = self.marks.setdefault(name, {})
        former = column.pop(key, None)
        if value is not None:
            column[key] = value
        return former

    def marks_of(self, keys: Iterable[Key]) -> list[tuple[Key, str, Any]]:
        """Return all marks of some objects."""
        return [
            (key, name, column[key])
            for key in keys
            for name, column in self.marks.items()
            if key in column
        ]

    # -- rows ------------------------------------------------------------------------------------

    def _row(self, t: int, label: int) -> int:
        if not (0 < label <= MOST and t >= 0):
            return -1
        key = (int(t) << 32) | int(label)
        row = self._added.get(key)
        if row is not None:
            return row
        place = int(np.searchsorted(self._keys[: self._sorted], key))
        return place if place < self._sorted and self._keys[place] == key else -1

    def _present(self, label: int, t: int) -> int:
        row = self._row(t, label)
        if row < 0 or self._voxels[row] <= 0:
            raise InputError(f"There is no object {label}" + (f" at time point {t}." if t else "."))
        return row

    def _row_for(self, t: int, label: int) -> int:
        row = self._row(t, label)
        if row >= 0:
            return row
        if self._rows == len(self._keys):
            self._grow(max(64, self._rows // 4))
        row, self._rows = self._rows, self._rows + 1
        self._keys[row] = key = (t << 32) | label
        self._voxels[row] = 0
        self._sums[row] = 0
        self._added[key] = row
        self._largest = max(self._largest, label)
        return row

    def _grow(self, more: int) -> None:
        self._keys = np.append(self._keys, np.zeros(more, np.int64))
        self._voxels = np.append(self._voxels, np.zeros(more, np.int64))
        self._sums = np.append(self._sums, np.zeros((more, 3), np.int64), axis=0)
        self._bounds = np.append(self._bounds, np.zeros((more, 6), np.int64), axis=0)


def _ids_of(volume: Labels) -> tuple[Labels, NDArray[np.int32] | None]:
    """Ids of a volume, rising and without 0, and the row of each in a table if that is small."""
    if int(volume.max(initial=0)) <= _DIRECT:
        there = np.zeros(int(volume.max(initial=0)) + 1, np.bool_)
        for plane in volume:
            there[plane] = True
        there[0] = False
        lookup = np.cumsum(there, dtype=np.int32) - 1
        return np.flatnonzero(there).astype(np.uint32), lookup.astype(np.int32)
    found = [distinct(plane.ravel()) for plane in volume]
    ids = np.unique(np.concatenate(found))
    return ids[ids != 0], None


def _tighten(
    volume: Labels, label: int, box: NDArray[np.int64], gained: NDArray[np.int64] | None
) -> None:
    """Shrink a box, in place, to where its object still is; sides are looked at one by one."""
    if gained is not None:
        np.minimum(box[:3], gained[:3], out=box[:3])
        np.maximum(box[3:], gained[3:], out=box[3:])
    for axis in range(3):
        for end in (0, 1):
            while box[axis] < box[3 + axis]:
                at = box[axis] if end == 0 else box[3 + axis] - 1
                side = [slice(int(a), int(b)) for a, b in zip(box[:3], box[3:], strict=True)]
                side[axis] = slice(int(at), int(at) + 1)
                if (volume[tuple(side)] == label).any():
                    break
                box[axis if end == 0 else 3 + axis] += 1 if end == 0 else -1
