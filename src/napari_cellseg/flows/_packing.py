"""Kernel: flow and logit of a foreground voxel in four bytes.

A word holds, from its low byte up, the unit direction (dz, dy, dx) in steps of 1/127, and as its
high byte the confidence 1..255: flow length times cell probability. 0 is not foreground.
Directions are of unit length because speed carries no information about where to go, and a field
that was smoothed or fused is slow near centres and borders; its length survives as the confidence,
by which neighbouring directions are weighted.
"""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel
from napari_cellseg.flows._trust import LIMIT, PER_UNIT, PROBABILITIES

_LIMIT, _PER_UNIT = np.float32(LIMIT), np.float32(PER_UNIT)


@kernel
def pack(
    flow: NDArray[np.float32],
    logits: NDArray[np.float32],
    floor: np.float32,
    offset: int,
    volume: NDArray[np.int32],
    voxels: NDArray[np.integer],
    kept: NDArray[np.float32],
    lengths: NDArray[np.uint8],
) -> None:
    """Fill `volume` (z, y, x) with words and list the foreground of one slab, in raster order.

    `flow` is (D, z, y, x); `offset` is the raster index of the slab's first voxel.
    """
    planar = flow.shape[0] == 2
    depth, height, width = logits.shape
    count = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                logit = logits[z, y, x]
                if not logit > floor:
                    continue
                if planar:
                    fz = np.float32(0)
                    fy, fx = flow[0, z, y, x], flow[1, z, y, x]
                else:
                    fz, fy, fx = flow[0, z, y, x], flow[1, z, y, x], flow[2, z, y, x]
                length = np.sqrt(fz * fz + fy * fy + fx * fx)
                scale = np.float32(127) / length if length > 1e-6 else np.float32(0)
                length = min(length, np.float32(1))
                near = min(max(logit, -_LIMIT), _LIMIT)
                probability = PROBABILITIES[int((near + _LIMIT) * _PER_UNIT + np.float32(0.5))]
                level = max(1, int(length * probability * np.float32(255) + np.float32(0.5)))
                volume[z, y, x] = np.int32(
                    (int(np.rint(fz * scale)) & 255)
                    | (int(np.rint(fy * scale)) & 255) << 8
                    | (int(np.rint(fx * scale)) & 255) << 16
                    | level << 24
                )
                voxels[count] = offset + (z * height + y) * width + x
                kept[count] = logit
                lengths[count] = int(length * np.float32(255) + np.float32(0.5))
                count += 1
