"""Kernels: bounding boxes of instances, and heat diffusion inside one box at a time."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def instance_boxes(labels: NDArray[np.int32], highest: int, by_plane: bool) -> NDArray[np.int32]:
    """Rows ``(id, z0, y0, x0, z1, y1, x1)``, ends exclusive; one per id, or one per (plane, id)."""
    depth, height, width = labels.shape
    slot = np.full(highest + 1, -1, np.int32)
    boxes = np.empty((max(64, highest), 7), np.int32)
    count = 0
    first = 0  # first row of the current plane: a slot below it belongs to an earlier plane
    for z in range(depth):
        if by_plane:
            first = count
        for y in range(height):
            x = 0
            while x < width:
                label = labels[z, y, x]
                start = x
                x += 1
                if label <= 0:
                    continue
                while x < width and labels[z, y, x] == label:
                    x += 1
                row = slot[label]
                if row < first:
                    if count == boxes.shape[0]:
                        larger = np.empty((2 * count, 7), np.int32)
                        larger[:count] = boxes
                        boxes = larger
                    row = count
                    count += 1
                    slot[label] = row
                    boxes[row, 0] = label
                    boxes[row, 1], boxes[row, 2], boxes[row, 3] = z, y, start
                    boxes[row, 4], boxes[row, 5], boxes[row, 6] = z + 1, y + 1, x
                else:
                    boxes[row, 4] = z + 1
                    boxes[row, 2] = min(boxes[row, 2], y)
                    boxes[row, 5] = max(boxes[row, 5], y + 1)
                    boxes[row, 3] = min(boxes[row, 3], start)
                    boxes[row, 6] = max(boxes[row, 6], x)
    return boxes[:count].copy()


@kernel
def _flood(
    inside: NDArray[np.uint8], start: int, steps: NDArray[np.int64], stack: NDArray[np.int64]
) -> int:
    """Mark (2) the face-connected piece that holds `start`; `stack` keeps it. Returns its size."""
    inside[start] = 2
    stack[0] = start
    count = 1
    done = 0
    while done < count:
        here = stack[done]
        done += 1
        for step in steps:
            if step == 0:
                continue
            for near in (here - step, here + step):
                if inside[near] == 1:
                    inside[near] = 2
                    stack[count] = near
                    count += 1
    return count


@kernel
def _sources(
    inside: NDArray[np.uint8],
    piece: NDArray[np.int64],
    shape: tuple[int, int, int],
    steps: NDArray[np.int64],
    where: NDArray[np.int64],
    amount: NDArray[np.float64],
) -> int:
    """Spread one unit of heat over the voxels around the centroid of `piece`; return their number.

    Spreading (instead of one nearest voxel) keeps the result the same under flips.
    """
    _, sy, sx = shape
    centre = np.zeros(3)
    for p in piece:
        centre[0] += p // (sy * sx)
        centre[1] += p // sx % sy
        centre[2] += p % sx
    centre /= piece.size
    corner = np.floor(centre).astype(np.int64)
    part = centre - corner
    start = (corner[0] * sy + corner[1]) * sx + corner[2]
    count = 0
    total = 0.0
    for bits in range(8):
        p = start
        weight = 1.0
        for axis in range(3):
            if bits >> axis & 1:
                weight *= part[axis]
                p += steps[axis]
            else:
                weight *= 1.0 - part[axis]
        if weight > 1e-9 and inside[p] == 2:
            where[count] = p
            amount[count] = weight
            total += weight
            count += 1
    if count:
        for k in range(count):
            amount[k] /= total
        return count
    nearest = np.inf
    for p in piece:  # a hollow or bent piece: the centroid lies outside
        distance = (
            (p // (sy * sx) - centre[0]) ** 2
            + (p // sx % sy - centre[1]) ** 2
            + (p % sx - centre[2]) ** 2
        )
        if distance < nearest:
            nearest = distance
            where[0] = p
    amount[0] = 1.0
    return 1


@kernel
def diffuse(
    labels: NDArray[np.int32],
    boxes: NDArray[np.int32],
    planar: bool,
    spacing: NDArray[np.float64],
    rounds: float,
    blank: NDArray[np.floating],
    out: NDArray[np.float32],
) -> None:
    """Write the unit gradient of the heat of each boxed instance into `out` (3, z, y, x).

    Heat enters around the centroid of every connected piece and is lost outside of the instance;
    only heat of the same instance is read. `planar` keeps heat within planes (boxes one plane
    thick). `rounds` scales the number of steps; `blank` only carries the dtype of the heat.
    """
    finest = min(spacing[1], spacing[2])
    if not planar:
        finest = min(finest, spacing[0])
    conduct = (finest / spacing) ** 2
    pad = 1
    if planar:
        conduct[0] = 0.0
        pad = 0
    share = 1.0 / (1.0 + 2.0 * conduct.sum())
    gain = np.empty(4, blank.dtype)
    gain[0] = share
    gain[1:] = conduct * share
    g0, gz, gy, gx = gain[0], gain[1], gain[2], gain[3]
    where = np.empty(8, np.int64)
    amount = np.empty(8, np.float64)
    for row in range(boxes.shape[0]):
        label = boxes[row, 0]
        z0, y0, x0 = boxes[row, 1], boxes[row, 2], boxes[row, 3]
        nz = boxes[row, 4] - z0 + 2 * pad
        ny = boxes[row, 5] - y0 + 2
        nx = boxes[row, 6] - x0 + 2
        reach = ((ny - 2) * spacing[1] + (nx - 2) * spacing[2]) / finest
        if not planar:
            reach += (nz - 2) * spacing[0] / finest
        steps = np.array([0 if planar else ny * nx, nx, 1])
        size = nz * ny * nx
        inside = np.zeros(size, np.uint8)
        count = 0
        first, last = size, 0  # first and last + 1 voxel of the instance in the box
        for z in range(pad, nz - pad):
            for y in range(1, ny - 1):
                line = z * ny + y
                for x in range(1, nx - 1):
                    if labels[z0 + z - pad, y0 + y - 1, x0 + x - 1] == label:
                        inside[line * nx + x] = 1
                        first = min(first, line * nx + x)
                        last = line * nx + x + 1
                        count += 1
        # one source per connected piece, so that no voxel of a broken instance is left without flow
        stack = np.empty(count, np.int64)
        source = np.empty(0, np.int64)
        strength = np.empty(0, blank.dtype)
        found = 0
        for p in range(size):
            if found == count:
                break
            if inside[p] == 1:
                members = _flood(inside, p, steps, stack)
                parts = _sources(inside, stack[:members], (nz, ny, nx), steps, where, amount)
                source = np.append(source, where[:parts])
                strength = np.append(strength, amount[:parts].astype(blank.dtype))
                found += members
                for k in range(members):
                    inside[stack[k]] = 3
        keep = np.zeros(last - first, blank.dtype)
        for p in range(first, last):
            if inside[p]:
                keep[p - first] = 1
        heat = np.zeros(size, blank.dtype)
        other = np.zeros(size, blank.dtype)
        plane = steps[0]
        for _ in range(int(np.ceil(rounds * reach))):
            for k in range(source.size):
                heat[source[k]] += strength[k]
            # one flat pass over the box, border and all: faster than row by row
            mid, new = heat[first:last], other[first:last]
            above, below = heat[first - plane : last - plane], heat[first + plane : last + plane]
            back, front = heat[first - nx : last - nx], heat[first + nx : last + nx]
            left, right = heat[first - 1 : last - 1], heat[first + 1 : last + 1]
            for i in range(last - first):
                new[i] = keep[i] * (
                    g0 * mid[i]
                    + gz * (above[i] + below[i])
                    + gy * (back[i] + front[i])
                    + gx * (left[i] + right[i])
                )
            heat, other = other, heat
        for p in range(first, last):
            if inside[p] == 0:
                continue
            dz = (heat[p + plane] - heat[p - plane]) / spacing[0]
            dy = (heat[p + nx] - heat[p - nx]) / spacing[1]
            dx = (heat[p + 1] - heat[p - 1]) / spacing[2]
            length = np.sqrt(dz * dz + dy * dy + dx * dx)
            # below: the rounding of the heat itself, as in the middle of a symmetric cell
            if length * finest <= heat[p] * 1e-5:
                continue
            line = p // nx
            z, y, x = z0 + line // ny - pad, y0 + line % ny - 1, x0 + p % nx - 1
            out[0, z, y, x] = dz / length
            out[1, z, y, x] = dy / length
            out[2, z, y, x] = dx / length
