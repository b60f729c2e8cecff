"""Kernels: terminals to basins, the borders between basins, and painting."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def find(parent: NDArray[np.int32], a: int) -> int:
    """Root of `a`, with path halving."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    return a


@kernel
def unite(parent: NDArray[np.int32], a: int, b: int) -> None:
    """Join two trees; the smaller index becomes the root, so that the order does not matter."""
    a, b = find(parent, a), find(parent, b)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@kernel
def terminal_basins(
    voxels: NDArray[np.integer],
    terminal: NDArray[np.int32],
    logits: NDArray[np.float32],
    threshold: np.float32,
    offsets: NDArray[np.int64],
    canvas: NDArray[np.int32],
    basin: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Group terminals that lie within `offsets` of each other; number the groups in raster order.

    `canvas` (z, y, x) is zero before and after. `basin` gets the group of each voxel, from 1, or 0
    where the logit is not above `threshold`. Returns the first terminal of each group (an index
    into `voxels`; row 0 is unused).
    """
    depth, height, width = canvas.shape
    flat = canvas.reshape(-1)
    count = 0
    for i in range(voxels.size):
        if logits[i] > threshold:
            end = voxels[terminal[i]]
            if flat[end] == 0:
                flat[end] = 1
                count += 1
    ends = np.empty(count, np.int32)
    count = 0
    for i in range(voxels.size):  # in raster order
        if flat[voxels[i]] != 0:
            ends[count] = i
            count += 1
            flat[voxels[i]] = count
    parent = np.arange(count).astype(np.int32)
    for k in range(count):
        p = voxels[ends[k]]
        z, y, x = p // (height * width), p // width % height, p % width
        for o in range(offsets.shape[0]):
            zz, yy, xx = z + offsets[o, 0], y + offsets[o, 1], x + offsets[o, 2]
            if 0 <= zz < depth and 0 <= yy < height and 0 <= xx < width:
                other = canvas[zz, yy, xx]
                if other > 0:
                    unite(parent, k, other - 1)
    number = np.zeros(count, np.int32)
    seeds = np.zeros(count + 1, np.int64)
    groups = 0
    for k in range(count):
        root = find(parent, k)
        if root == k:
            groups += 1
            number[k] = groups
            seeds[groups] = ends[k]
        else:
            number[k] = number[root]
    for i in range(voxels.size):
        if logits[i] > threshold:
            basin[i] = number[flat[voxels[terminal[i]]] - 1]
        else:
            basin[i] = 0
    for k in range(count):
        flat[voxels[ends[k]]] = 0
    return seeds[: groups + 1]


@kernel
def split_planes(
    voxels: NDArray[np.integer],
    words: NDArray[np.int32],
    basin: NDArray[np.int32],
    plane: int,
    n_basins: int,
) -> NDArray[np.int32]:
    """Number anew the voxels of each basin in each plane whose flow goes up, and the others.

    A plane has `plane` voxels; `basin` is changed. Returns the old number of each new one (row 0 is
    background).
    """
    slot = np.zeros((n_basins + 1, 2), np.int32)
    old = np.zeros(max(64, 2 * n_basins), np.int32)
    count = 0
    first = 1  # first number in the current plane: a smaller one belongs to an earlier plane
    end = np.int64(0)
    for i in range(voxels.size):
        if voxels[i] >= end:
            end = (voxels[i] // plane + 1) * plane
            first = count + 1
        mine = basin[i]
        if mine == 0:
            continue
        way = 1 if np.int32(words[i] << 24) > 0 else 0
        if slot[mine, way] < first:
            count += 1
            slot[mine, way] = count
            if count == old.size:
                larger = np.zeros(2 * count, np.int32)
                larger[:count] = old
                old = larger
            old[count] = mine
        basin[i] = slot[mine, way]
    return old[: count + 1].copy()


@kernel
def _slot(keys: NDArray[np.int64], key: int) -> int:
    """Place of `key` in an open-addressing table, or of the free slot where it belongs."""
    mask = keys.size - 1
    at = (key * 0x9E3779B97F4A7C15 >> 20) & mask
    while keys[at] != -1 and keys[at] != key:
        at = (at + 1) & mask
    return at


@kernel
def borders(
    voxels: NDArray[np.integer],
    words: NDArray[np.int32],
    lengths: NDArray[np.uint8],
    basin: NDArray[np.int32],
    canvas: NDArray[np.int32],
    n_basins: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sum over the faces between every two basins how their flows differ.

    `canvas` (z, y, x) is `basin`, painted. Returns, all as integers, so that sums do not depend on
    the order:

    pairs
        ``(a, b)`` with a < b.
    sums
        For each pair the faces across z, y and x; for the faces across each axis the sum of the
        flow ``(dz, dy, dx)`` in b minus that in a, in steps of 1 / (127 * 255); and how far the
        flow parts face by face, across z, y and x.
    basins
        For each basin its voxels, and the sums of their z, y, x and of their flow lengths.
    """
    _, height, width = canvas.shape
    flat = canvas.reshape(-1)
    size = 1024
    keys = np.full(size, -1, np.int64)
    sums = np.zeros((size, 15), np.int64)
    used = 0
    basins = np.zeros((n_basins + 1, 5), np.int64)
    strides = (height * width, width, 1)
    ahead = np.zeros(3, np.int64)  # for each axis, an index that walks in front of i
    row_end = np.int64(0)
    x, y, z = np.int64(0), np.int64(0), np.int64(0)
    last = flat.size
    for i in range(voxels.size):
        mine = basin[i]
        if mine == 0:
            continue
        p = np.int64(voxels[i])
        if p >= row_end:
            row = p // width
            row_end = (row + 1) * width
            z = row // height
            y = row - z * height
        x = p - row_end + width
        basins[mine, 0] += 1
        basins[mine, 1] += z
        basins[mine, 2] += y
        basins[mine, 3] += x
        basins[mine, 4] += lengths[i]
        for axis in range(3):
            target = p + strides[axis]
            if target >= last:
                continue
            other = flat[target]
            if other == mine or other == 0:
                continue
            if (axis == 2 and x == width - 1) or (axis == 1 and y == height - 1):
                continue
            j = ahead[axis]
            while voxels[j] < target:
                j += 1
            ahead[axis] = j
            key = np.int64(min(mine, other)) * (n_basins + 1) + max(mine, other)
            at = _slot(keys, key)
            if keys[at] == -1:
                if 2 * used >= size:
                    old_keys, old_sums = keys, sums
                    size *= 4
                    keys = np.full(size, -1, np.int64)
                    sums = np.zeros((size, 15), np.int64)
                    for k in range(old_keys.size):
                        if old_keys[k] != -1:
                            moved = _slot(keys, old_keys[k])
                            keys[moved] = old_keys[k]
                            sums[moved] = old_sums[k]
                    at = _slot(keys, key)
                keys[at] = key
                used += 1
            sums[at, axis] += 1
            sign = 1 if mine < other else -1
            for component in range(3):
                shift = 24 - 8 * component
                near = np.int64(np.int32(words[i] << shift) >> 24) * lengths[i]
                far = np.int64(np.int32(words[j] << shift) >> 24) * lengths[j]
                sums[at, 3 + 3 * axis + component] += sign * (far - near)
                if component == axis:
                    sums[at, 12 + axis] += far - near
    pairs = np.empty((used, 2), np.int64)
    rows = np.empty((used, 15), np.int64)
    count = 0
    for k in range(size):
        if keys[k] != -1:
            pairs[count, 0] = keys[k] // (n_basins + 1)
            pairs[count, 1] = keys[k] % (n_basins + 1)
            rows[count] = sums[k]
            count += 1
    return pairs, rows, basins
