"""Kernels: where the voxels of one object flow to, and how well its mask explains the flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._diffusion import diffuse, instance_boxes
from napari_cellseg.flows._jit import kernel
from napari_cellseg.flows.label_flows import _LONG, _ROUNDS_2D

_F32 = NDArray[np.float32]
_F64 = NDArray[np.float64]


@kernel
def ends(
    own: NDArray[np.bool_],
    corner: NDArray[np.int64],
    shape: NDArray[np.int64],
    voxels: NDArray[np.integer],
    terminal: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Raster indices where an object's voxels end, rising, and how many end at each."""
    found = np.empty(own.size, np.int64)
    count = 0
    for z in range(own.shape[0]):
        for y in range(own.shape[1]):
            start = ((corner[0] + z) * shape[1] + corner[1] + y) * shape[2] + corner[2]
            at = -1
            for x in range(own.shape[2]):
                if not own[z, y, x]:
                    continue
                if at < 0:
                    at = np.searchsorted(voxels, start + x)
                while at < voxels.size and voxels[at] < start + x:
                    at += 1
                if at < voxels.size and voxels[at] == start + x:
                    found[count] = terminal[at]
                    count += 1
    found = np.sort(found[:count])
    counts = np.empty(count, np.int64)
    different = 0
    for k in range(count):
        if k and found[k] == found[k - 1]:
            counts[different - 1] += 1
            continue
        counts[different] = 1
        different += 1
    places = np.empty(different, np.int64)
    k = 0
    for row in range(different):
        places[row] = voxels[found[k]]
        k += counts[row]
    return places, counts[:different]


@kernel
def second_sink(
    places: NDArray[np.int64],
    counts: NDArray[np.int64],
    shape: NDArray[np.int64],
    steps: _F64,
    reach: float,
) -> int:
    """How many voxels end around the second sink: outside of the reach of the first."""
    size = places.size
    at = np.empty((size, 3))
    for k in range(size):
        line = places[k] // shape[2]
        at[k, 0] = line // shape[1] * steps[0]
        at[k, 1] = line % shape[1] * steps[1]
        at[k, 2] = places[k] % shape[2] * steps[2]
    far = np.ones(size, np.bool_)
    second = 0
    for _ in range(2):
        most = -1
        for k in range(size):
            if far[k] and (most < 0 or counts[k] > counts[most]):
                most = k
        if most < 0:
            return 0
        second = 0
        middle = at[most].copy()
        for k in range(size):
            if not far[k]:
                continue
            dz, dy, dx = at[k, 0] - middle[0], at[k, 1] - middle[1], at[k, 2] - middle[2]
            if dz * dz + dy * dy + dx * dx <= reach * reach:
                second += counts[k]
                far[k] = False
    return second


@kernel
def _diffused(slab: NDArray[np.int32], steps: _F64) -> _F32:
    """Flow of one object, plane by plane; see `napari_cellseg.flows.label_flows`."""
    out = np.zeros((3, *slab.shape), np.float32)
    boxes = instance_boxes(slab, 1, True)
    long = np.zeros(boxes.shape[0], np.bool_)
    for row in range(boxes.shape[0]):
        for axis in range(3):
            if boxes[row, 4 + axis] - boxes[row, 1 + axis] > _LONG:
                long[row] = True
    if not long.all():
        diffuse(slab, boxes[~long], True, steps, _ROUNDS_2D, np.zeros(0, np.float32), out)
    if long.any():
        diffuse(slab, boxes[long], True, steps, _ROUNDS_2D, np.zeros(0, np.float64), out)
    return out


@kernel
def misfits(own: NDArray[np.bool_], steps: _F64, planar: bool, given: _F32) -> _F32:
    """Squared difference of a given flow (3, z, y, x) to the mask's own at each voxel of it.

    The mask's flow is `label_flows` of a plane, `fused_label_flows` of a volume: one object needs
    none of their care for memory and threads.
    """
    mask = own.astype(np.int32)
    depth, height, width = mask.shape
    half = np.float32(0.5)
    if planar:
        wanted = _diffused(mask, steps)
    else:
        wanted = np.zeros((3, depth, height, width), np.float32)
        flow = _diffused(mask, steps)
        wanted[1] += flow[1] * half
        wanted[2] += flow[2] * half
        slab = np.empty((height, depth, width), np.int32)
        for y in range(height):
            slab[y] = mask[:, y]
        flow = _diffused(slab, np.array([steps[1], steps[0], steps[2]]))
        for y in range(height):
            for z in range(depth):
                wanted[0, z, y] += flow[1, y, z] * half
                wanted[2, z, y] += flow[2, y, z] * half
        slab = np.empty((width, depth, height), np.int32)
        for x in range(width):
            slab[x] = mask[:, :, x]
        flow = _diffused(slab, np.array([steps[2], steps[0], steps[1]]))
        for x in range(width):
            for z in range(depth):
                for y in range(height):
                    wanted[0, z, y, x] += flow[1, x, z, y] * half
                    wanted[1, z, y, x] += flow[2, x, z, y] * half
    out = np.empty(own.size, np.float32)
    count = 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if own[z, y, x]:
                    dz = given[0, z, y, x] - wanted[0, z, y, x]
                    dy = given[1, z, y, x] - wanted[1, z, y, x]
                    dx = given[2, z, y, x] - wanted[2, z, y, x]
                    out[count] = dz * dz + dy * dy + dx * dx
                    count += 1
    return out[:count]
