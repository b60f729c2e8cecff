"""Kernels: enclosed holes and sums over instances."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def gapped(canvas: NDArray[np.int32], boxes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which boxed instances have background between two of their voxels in a row."""
    out = np.zeros(boxes.shape[0], np.bool_)
    for row in range(boxes.shape[0]):
        mine = boxes[row, 0]
        for z in range(boxes[row, 1], boxes[row, 4]):
            for y in range(boxes[row, 2], boxes[row, 5]):
                state = 0
                for x in range(boxes[row, 3], boxes[row, 6]):
                    value = canvas[z, y, x]
                    if value == mine:
                        if state == 2:
                            out[row] = True
                            break
                        state = 1
                    elif value == 0 and state == 1:
                        state = 2
                if out[row]:
                    break
            if out[row]:
                break
    return out


@kernel
def fill(canvas: NDArray[np.int32], boxes: NDArray[np.int32], planar: bool) -> NDArray[np.int64]:
    """Fill the background that each boxed instance encloses (face connectivity).

    What is enclosed but belongs to another instance stays. Returns the raster index of each voxel
    that was filled.
    """
    _, height, width = canvas.shape
    filled = np.empty(256, np.int64)
    count = 0
    pad = 0 if planar else 1
    for row in range(boxes.shape[0]):
        mine = boxes[row, 0]
        z0, y0, x0 = boxes[row, 1] - pad, boxes[row, 2] - 1, boxes[row, 3] - 1
        nz = boxes[row, 4] - z0 + pad
        ny, nx = boxes[row, 5] - y0 + 1, boxes[row, 6] - x0 + 1
        shut = np.zeros((nz, ny, nx), np.uint8)  # 1: this instance, 2: reached from outside
        for z in range(pad, nz - pad):
            for y in range(1, ny - 1):
                for x in range(1, nx - 1):
                    if canvas[z0 + z, y0 + y, x0 + x] == mine:
                        shut[z, y, x] = 1
        stack = np.empty((nz * ny * nx, 3), np.int32)
        stack[0] = 0
        shut[0, 0, 0] = 2
        top = 1
        while top:
            top -= 1
            z, y, x = stack[top]
            for axis in range(3):
                for side in (-1, 1):
                    zz, yy, xx = z, y, x
                    if axis == 0:
                        zz += side
                    elif axis == 1:
                        yy += side
                    else:
                        xx += side
                    if not (0 <= zz < nz and 0 <= yy < ny and 0 <= xx < nx):
                        continue
                    if shut[zz, yy, xx] == 0:
                        shut[zz, yy, xx] = 2
                        stack[top, 0], stack[top, 1], stack[top, 2] = zz, yy, xx
                        top += 1
        for z in range(pad, nz - pad):
            for y in range(1, ny - 1):
                for x in range(1, nx - 1):
                    if shut[z, y, x] == 0 and canvas[z0 + z, y0 + y, x0 + x] == 0:
                        canvas[z0 + z, y0 + y, x0 + x] = mine
                        if count == filled.size:
                            larger = np.empty(2 * count, np.int64)
                            larger[:count] = filled
                            filled = larger
                        filled[count] = ((z0 + z) * height + y0 + y) * width + x0 + x
                        count += 1
    return filled[:count].copy()


@kernel
def sums(
    voxels: NDArray[np.integer],
    logits: NDArray[np.float32],
    lengths: NDArray[np.uint8],
    canvas: NDArray[np.int32],
    highest: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Per id: covered voxels, sum of logits and of flow lengths, first voxel (raster index)."""
    flat = canvas.reshape(-1)
    count = np.zeros(highest + 1, np.int64)
    logit = np.zeros(highest + 1, np.float64)
    length = np.zeros(highest + 1, np.float64)
    first = np.full(highest + 1, -1, np.int64)
    for i in range(voxels.size):
        k = flat[voxels[i]]
        if k != 0:
            if count[k] == 0:
                first[k] = voxels[i]
            count[k] += 1
            logit[k] += logits[i]
            length[k] += lengths[i]
    return count, logit, length / 255.0, first


@kernel
def paint(voxels: NDArray[np.integer], label: NDArray[np.int32], canvas: NDArray[np.int32]) -> None:
    """Write the label of each voxel into the zeroed `canvas`."""
    flat = canvas.reshape(-1)
    for i in range(voxels.size):
        flat[voxels[i]] = label[i]


@kernel
def replace(canvas: NDArray[np.int32], new: NDArray[np.int32]) -> None:
    """Renumber `canvas` in place."""
    flat = canvas.reshape(-1)
    for i in range(flat.size):
        flat[i] = new[flat[i]]


@kernel
def squared_errors(
    flow: NDArray[np.float32],
    own: NDArray[np.float32],
    labels: NDArray[np.int32],
    total: NDArray[np.float64],
    count: NDArray[np.float64],
) -> None:
    """Add to `total` and `count`, by id, the squared difference of two flows (D, z, y, x)."""
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                k = labels[z, y, x]
                if k != 0:
                    for axis in range(flow.shape[0]):
                        total[k] += (flow[axis, z, y, x] - own[axis, z, y, x]) ** 2
                    count[k] += 1
