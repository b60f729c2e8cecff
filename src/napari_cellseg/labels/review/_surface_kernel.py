"""Kernel: the faces of one object, by what is on their other side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

_F32 = NDArray[np.float32]


@kernel
def faces(
    labels: NDArray[np.int64],
    number: int,
    planar: bool,
    face: NDArray[np.float64],
    values: _F32,
) -> tuple[float, int, float, _F32, _F32, _F32]:
    """Look at every face of an object in its box (z, y, x).

    Parameters are the size of a face across each axis, and arrays of values (n, z, y, x). Returns
    the surface, the neighbour (0: none) with the surface that it touches, and the values: half of
    the sum of both sides at the neighbour (n, faces), inside and outside at the background.
    """
    shape = labels.shape
    ids = np.empty(16, np.int64)
    areas = np.empty(16, np.float64)
    counts = np.empty(16, np.int64)
    known = 0
    free = 0
    total = 0.0
    # twice alike: to count, then to take the values, both in the order of axis, side and place
    for axis in range(1 if planar else 0, 3):
        dz, dy, dx = int(axis == 0), int(axis == 1), int(axis == 2)
        for side in range(2):
            for z in range(shape[0] - dz):
                for y in range(shape[1] - dy):
                    for x in range(shape[2] - dx):
                        low, high = labels[z, y, x], labels[z + dz, y + dy, x + dx]
                        mine, its = (low, high) if side == 0 else (high, low)
                        if mine != number or its == number:
                            continue
                        total += face[axis]
                        if its == 0:
                            free += 1
                            continue
                        at = 0
                        while at < known and ids[at] != its:
                            at += 1
                        if at == known:
                            if known == ids.size:
                                ids = np.append(ids, ids)
                                areas = np.append(areas, areas)
                                counts = np.append(counts, counts)
                            ids[at] = its
                            areas[at] = 0.0
                            counts[at] = 0
                            known += 1
                        areas[at] += face[axis]
                        counts[at] += 1
    neighbour = 0
    largest = 0.0
    touching = 0
    for at in range(known):
        if areas[at] > largest or (areas[at] == largest and ids[at] < neighbour):
            neighbour, largest, touching = ids[at], areas[at], counts[at]
    n = values.shape[0]
    between = np.empty((n, touching), np.float32)
    inside = np.empty((n, free), np.float32)
    outside = np.empty((n, free), np.float32)
    if n == 0:
        return total, neighbour, largest, between, inside, outside
    touching = 0
    free = 0
    for axis in range(1 if planar else 0, 3):
        dz, dy, dx = int(axis == 0), int(axis == 1), int(axis == 2)
        for side in range(2):
            for z in range(shape[0] - dz):
                for y in range(shape[1] - dy):
                    for x in range(shape[2] - dx):
                        low, high = labels[z, y, x], labels[z + dz, y + dy, x + dx]
                        mine, its = (low, high) if side == 0 else (high, low)
                        if mine != number or its == number:
                            continue
                        if its != 0 and its != neighbour:
                            continue
                        for k in range(n):
                            below, above = values[k, z, y, x], values[k, z + dz, y + dy, x + dx]
                            here, there = (below, above) if side == 0 else (above, below)
                            if its == 0:
                                inside[k, free] = here
                                outside[k, free] = there
                            else:
                                between[k, touching] = (here + there) / np.float32(2)
                        if its == 0:
                            free += 1
                        else:
                            touching += 1
    return total, neighbour, largest, between, inside, outside
