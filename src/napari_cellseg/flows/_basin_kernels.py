"""Kernels: the covered voxels of a box, and seeded growth within a mask."""

import heapq

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def bounds(
    voxels: NDArray[np.integer], label: NDArray[np.int32], height: int, width: int, highest: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Box ``(z0, y0, x0, z1, y1, x1)``, end excluded, and number of voxels of every label."""
    boxes = np.zeros((highest + 1, 6), np.int32)
    count = np.zeros(highest + 1, np.int64)
    z, y = np.int64(0), np.int64(0)
    row_end = np.int64(0)
    for i in range(voxels.size):
        p = np.int64(voxels[i])
        if p >= row_end:
            row = p // width
            row_end = (row + 1) * width
            z = row // height
            y = row - z * height
        k = label[i]
        if k == 0:
            continue
        x = p - row_end + width
        if count[k] == 0:
            boxes[k, 0], boxes[k, 1], boxes[k, 2] = z, y, x
            boxes[k, 4] = y + 1
            boxes[k, 5] = x + 1
        # voxels come plane by plane, so that z needs no comparison
        boxes[k, 3] = z + 1
        boxes[k, 1] = min(boxes[k, 1], y)
        boxes[k, 4] = max(boxes[k, 4], y + 1)
        boxes[k, 2] = min(boxes[k, 2], x)
        boxes[k, 5] = max(boxes[k, 5], x + 1)
        count[k] += 1
    return boxes, count


@kernel
def covered(
    voxels: NDArray[np.integer],
    rows: NDArray[np.int64],
    box: NDArray[np.int64],
    height: int,
    width: int,
    out: NDArray[np.int32],
) -> None:
    """Index into `voxels` of each voxel of the box, -1 where it is not covered.

    ``rows[r]`` is the first index of row r of the volume. `out` has the shape of the box.
    """
    for z in range(box[0], box[3]):
        for y in range(box[1], box[4]):
            row = z * height + y
            start = np.int64(row) * width
            first, last = rows[row], rows[row + 1]
            out[z - box[0], y - box[1]] = -1
            skipped = np.searchsorted(voxels[first:last], start + box[2])
            for i in range(first + skipped, last):
                at = np.int64(voxels[i]) - start
                if at >= box[5]:
                    break
                out[z - box[0], y - box[1], at - box[2]] = i


@kernel
def grow(
    mask: NDArray[np.bool_],
    seeds: NDArray[np.int8],
    flow: NDArray[np.float32],
    ends: NDArray[np.float32],
    dear: NDArray[np.float32],
    steps: NDArray[np.float64],
    parting: float,
    leap: float,
    reach: float,
) -> NDArray[np.int8]:
    """Give each voxel of `mask` (z, y, x) to the seed from which the way is cheapest.

    `flow` and `ends` are (3, z, y, x): physical direction, and where each trajectory ends (µm).
    A step costs its length (`steps`: µm per voxel), times the mean of `dear` at its ends, times
    1 + `parting` × how far the flow parts along it + `leap` × how far apart the two ends are (1
    from `reach` on). Returns the seeds, grown; 0 where none comes.
    """
    depth, height, width = mask.shape
    cost = np.full(mask.shape, np.inf)
    out = np.zeros(mask.shape, np.int8)
    heap = [(0.0, np.int64(0))]
    heap.pop()
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if seeds[z, y, x] != 0 and mask[z, y, x]:
                    cost[z, y, x] = 0.0
                    out[z, y, x] = seeds[z, y, x]
                    heapq.heappush(heap, (0.0, np.int64((z * height + y) * width + x)))
    while len(heap) > 0:
        spent, p = heapq.heappop(heap)
        z, y, x = p // (height * width), p // width % height, p % width
        if spent > cost[z, y, x]:
            continue
        for dz in range(-1, 2):
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    zz, yy, xx = z + dz, y + dy, x + dx
                    if not (0 <= zz < depth and 0 <= yy < height and 0 <= xx < width):
                        continue
                    if not mask[zz, yy, xx] or spent >= cost[zz, yy, xx]:
                        continue
                    wz, wy, wx = dz * steps[0], dy * steps[1], dx * steps[2]
                    length = np.sqrt(wz * wz + wy * wy + wx * wx)
                    apart = (
                        (flow[0, zz, yy, xx] - flow[0, z, y, x]) * wz
                        + (flow[1, zz, yy, xx] - flow[1, z, y, x]) * wy
                        + (flow[2, zz, yy, xx] - flow[2, z, y, x]) * wx
                    ) / length
                    gap = 0.0
                    for axis in range(3):
                        gap += (ends[axis, zz, yy, xx] - ends[axis, z, y, x]) ** 2
                    far = min(1.0, np.sqrt(gap) / reach)
                    length *= 0.5 * (dear[z, y, x] + dear[zz, yy, xx])
                    total = spent + length * (1.0 + parting * max(0.0, apart) + leap * far)
                    if total < cost[zz, yy, xx]:
                        cost[zz, yy, xx] = total
                        out[zz, yy, xx] = out[z, y, x]
                        heapq.heappush(heap, (total, np.int64((zz * height + yy) * width + xx)))
    return out
