"""From terminals to basins: terminals that are close are one sink."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._basins import find, unite
from napari_cellseg.flows._jit import kernel, run_chunks
from napari_cellseg.flows._runs import parts_of


def terminal_basins(
    voxels: NDArray[np.integer],
    terminal: NDArray[np.int32],
    logits: NDArray[np.float32],
    threshold: float,
    offsets: NDArray[np.int64],
    canvas: NDArray[np.int32],
    threads: int | None,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Group the terminals of voxels above `threshold` that lie within `offsets` of each other.

    The zeroed `canvas` (z, y, x) gets the group at each terminal, groups numbered from 1 in raster
    order. Returns the terminals (indices into `voxels`, ascending), and the first one of each group
    (row 0 is unused).
    """
    limit = np.float32(threshold)

    def mark(part: tuple[int, int]) -> NDArray[np.int32]:
        room = 1 << 14
        while True:
            out = np.empty(room, np.int32)
            count = _ends(terminal, logits, limit, part[0], part[1], out)
            if count <= room:
                return np.unique(out[:count])
            room = count

    parts = run_chunks(mark, parts_of(voxels.size, threads, 1 << 16), threads)
    ends = np.unique(np.concatenate(parts))
    return ends, _group(voxels, ends, offsets, canvas)


@kernel
def _ends(
    terminal: NDArray[np.int32],
    logits: NDArray[np.float32],
    threshold: np.float32,
    start: int,
    stop: int,
    out: NDArray[np.int32],
) -> int:
    """List the terminals of voxels above `threshold`, most of them several times.

    Returns how many there are; what has no room in `out` is only counted.
    """
    count = 0
    recent = np.full(1024, -1, np.int32)  # voxels that are close flow to the same few places
    for i in range(start, stop):
        end = terminal[i]
        if recent[end & 1023] != end and logits[i] > threshold:
            recent[end & 1023] = end
            if count < out.size:
                out[count] = end
            count += 1
    return count


@kernel
def _group(
    voxels: NDArray[np.integer],
    ends: NDArray[np.int32],
    offsets: NDArray[np.int64],
    canvas: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Write the group of each of `ends` into `canvas`; return the first end of each group."""
    depth, height, width = canvas.shape
    flat = canvas.reshape(-1)
    count = ends.size
    for k in range(count):
        flat[voxels[ends[k]]] = k + 1
    parent = np.arange(count).astype(np.int32)
    for k in range(count):
        p = np.int64(voxels[ends[k]])
        z, y, x = p // (height * width), p // width % height, p % width
        for o in range(offsets.shape[0]):
            zz, yy, xx = z + offsets[o, 0], y + offsets[o, 1], x + offsets[o, 2]
            if 0 <= zz < depth and 0 <= yy < height and 0 <= xx < width:
                other = canvas[zz, yy, xx]
                if other > 0:
                    unite(parent, k, other - 1)
    number = np.zeros(count, np.int32)
    seeds = np.zeros(count + 1, np.int32)
    groups = 0
    for k in range(count):
        root = find(parent, k)
        if root == k:
            groups += 1
            number[k] = groups
            seeds[groups] = ends[k]
        else:
            number[k] = number[root]
        flat[voxels[ends[k]]] = number[k]
    return seeds[: groups + 1].copy()
