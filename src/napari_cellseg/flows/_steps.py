"""Kernels: sub-voxel steps along the packed flow, one pointer per foreground voxel."""

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel


@kernel
def ranks(words: NDArray[np.int32]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Bit mask of the foreground and the number of foreground voxels before each 64 of it.

    Together they turn a raster index into an index among foreground voxels, at 2 bits a voxel.
    """
    blocks = (words.size + 63) // 64
    bits = np.zeros(blocks, np.uint64)
    before = np.zeros(blocks, np.int64)
    count = 0
    for block in range(blocks):
        before[block] = count
        mask = np.uint64(0)
        for k in range(min(64, words.size - block * 64)):
            if words[block * 64 + k] != 0:
                mask |= np.uint64(1) << np.uint64(k)
                count += 1
        bits[block] = mask
    return bits, before


@kernel
def _rank(index: int, bits: NDArray[np.uint64], before: NDArray[np.int64]) -> np.int64:
    low = bits[index >> 6] & ((np.uint64(1) << np.uint64(index & 63)) - np.uint64(1))
    low -= (low >> np.uint64(1)) & np.uint64(0x5555555555555555)
    low = (low & np.uint64(0x3333333333333333)) + (
        (low >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    low = (low + (low >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    low = (low * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return np.int64(before[index >> 6] + np.int64(low))


@kernel
def _heaviest(
    volume: NDArray[np.int32],
    z0: int,
    y0: int,
    x0: int,
    dz: np.float32,
    dy: np.float32,
    dx: np.float32,
) -> int:
    """Raster index of the foreground voxel around a position that weighs most in it, or -1."""
    _, height, width = volume.shape
    iz, iy, ix = int(np.floor(dz)), int(np.floor(dy)), int(np.floor(dx))
    fz, fy, fx = dz - np.float32(iz), dy - np.float32(iy), dx - np.float32(ix)
    best = np.float32(0)
    found = -1
    for bits in range(8):
        bz, by, bx = bits >> 2, bits >> 1 & 1, bits & 1
        weight = (fz if bz else np.float32(1) - fz) * (fy if by else np.float32(1) - fy)
        weight *= fx if bx else np.float32(1) - fx
        if weight > best:
            z, y, x = z0 + iz + bz, y0 + iy + by, x0 + ix + bx
            if volume[z, y, x] != 0:
                best = weight
                found = (z * height + y) * width + x
    return found


@kernel
def move(
    volume: NDArray[np.int32],
    voxels: NDArray[np.integer],
    ratio: NDArray[np.float32],
    steps: int,
    limit: int,
    bits: NDArray[np.uint64],
    before: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    """Move each of `voxels` by `steps` trilinear unit steps; `out` is where it is then.

    A voxel that has not left its own voxel by then goes on, for at most `limit` steps: along a
    coarse axis a few steps may be less than half a voxel. Directions outside of the foreground do
    not count. All arithmetic is float32, in the order in which `_torch_steps` does it.
    """
    depth, height, width = volume.shape
    flat = volume.reshape(-1)
    plane = np.int64(height * width)
    rz, ry, rx = ratio[0] / np.float32(127), ratio[1] / np.float32(127), ratio[2] / np.float32(127)
    half, one = np.float32(0.5), np.float32(1)
    z0, y0, row_end = np.int64(0), np.int64(0), np.int64(0)
    for i in range(voxels.size):
        p = np.int64(voxels[i])
        if p >= row_end:
            row = p // width
            row_end = (row + 1) * width
            z0 = row // height
            y0 = row - z0 * height
        x0 = p - row_end + width
        low_z, high_z = np.float32(-z0), np.float32(depth - 1 - z0)
        low_y, high_y = np.float32(-y0), np.float32(height - 1 - y0)
        low_x, high_x = np.float32(-x0), np.float32(width - 1 - x0)
        back_z, back_y, back_x = np.float32(0), np.float32(0), np.float32(0)
        # the first step is that of the voxel itself: to the bit what interpolation would give
        word = flat[p]
        dz = min(max(np.float32(np.int8(word)) * rz, low_z), high_z)
        dy = min(max(np.float32(np.int8(word >> 8)) * ry, low_y), high_y)
        dx = min(max(np.float32(np.int8(word >> 16)) * rx, low_x), high_x)
        for step in range(1, limit):
            if step >= steps and (
                np.floor(dz + half) != 0 or np.floor(dy + half) != 0 or np.floor(dx + half) != 0
            ):
                break
            iz, iy, ix = int(np.floor(dz)), int(np.floor(dy)), int(np.floor(dx))
            fz, fy, fx = dz - np.float32(iz), dy - np.float32(iy), dx - np.float32(ix)
            corner = p + iz * plane + iy * width + ix
            az, ay, ax, total = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for bz in range(2):
                wz = fz if bz else one - fz
                if wz == 0:
                    continue
                for by in range(2):
                    wzy = wz * (fy if by else one - fy)
                    if wzy == 0:
                        continue
                    for bx in range(2):
                        w = wzy * (fx if bx else one - fx)
                        if w == 0:
                            continue
                        word = flat[corner + bz * plane + by * width + bx]
                        w *= np.float32((word >> 24) & 255)
                        az += w * np.float32(np.int8(word))
                        ay += w * np.float32(np.int8(word >> 8))
                        ax += w * np.float32(np.int8(word >> 16))
                        total += w
            if total == 0:  # outside of the foreground: stay where there was some
                dz, dy, dx = back_z, back_y, back_x
                break
            back_z, back_y, back_x = dz, dy, dx
            dz = min(max(dz + az / total * rz, low_z), high_z)
            dy = min(max(dy + ay / total * ry, low_y), high_y)
            dx = min(max(dx + ax / total * rx, low_x), high_x)
        z = z0 + int(np.floor(dz + half))
        y = y0 + int(np.floor(dy + half))
        x = x0 + int(np.floor(dx + half))
        if volume[z, y, x] != 0:
            end = (z * height + y) * width + x
        else:
            end = _heaviest(volume, int(z0), int(y0), int(x0), dz, dy, dx)
            if end < 0:
                end = _heaviest(volume, int(z0), int(y0), int(x0), back_z, back_y, back_x)
        out[i] = _rank(end, bits, before)
