"""Blocks that a volume is cut into: whole chunks each, so that no two write the same file."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from napari_cellseg.errors import InputError

#: Voxels (z, y, x) of a block by default: large beside its halo, below a gigabyte at work.
_SIZE = (128, 256, 256)


@dataclass(frozen=True)
class Block:
    """One part of a frame.

    Attributes
    ----------
    index : tuple of int
        Place in the grid of blocks.
    core : tuple of slice
        Voxels (z, y, x) that belong to this block and to no other.
    """

    index: tuple[int, int, int]
    core: tuple[slice, slice, slice]

    @property
    def key(self) -> str:
        """Name, unique in its plan."""
        return "-".join(map(str, self.index))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the core."""
        z, y, x = (part.stop - part.start for part in self.core)
        return z, y, x

    def with_halo(
        self, halo: tuple[int, int, int], shape: tuple[int, int, int]
    ) -> tuple[slice, slice, slice]:
        """The core with up to `halo` voxels more on each side, within a volume of `shape`."""
        z, y, x = (
            slice(max(0, part.start - more), min(n, part.stop + more))
            for part, more, n in zip(self.core, halo, shape, strict=True)
        )
        return z, y, x


def plan_blocks(
    shape: tuple[int, int, int],
    chunks: tuple[int, int, int],
    block: Sequence[int] | None = None,
) -> list[Block]:
    """Cut a frame into blocks, in raster order.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x) of the frame; a plane has z = 1.
    chunks : tuple of int
        (z, y, x) of what is written at once.
    block : sequence of int, optional
        (z, y, x) of a block; by default about 128 × 256 × 256.

    Raises
    ------
    InputError
        If a block is not a whole number of chunks.
    """
    size = default_block(shape, chunks) if block is None else check_block(block, shape, chunks)
    counts = [range(math.ceil(n / b)) for n, b in zip(shape, size, strict=True)]
    blocks = []
    for index in itertools.product(*counts):
        z, y, x = (
            slice(i * b, min((i + 1) * b, n)) for i, b, n in zip(index, size, shape, strict=True)
        )
        blocks.append(Block((index[0], index[1], index[2]), (z, y, x)))
    return blocks


def default_block(
    shape: tuple[int, int, int], chunks: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Whole chunks, about 128 × 256 × 256 voxels; a flat volume gets larger planes instead."""
    layers = min(-(-shape[0] // chunks[0]), max(1, round(_SIZE[0] / chunks[0])))
    depth = layers * chunks[0]
    side = math.sqrt(math.prod(_SIZE) / depth)
    z, y, x = (
        max(1, round(min(wanted, -(-n // chunk) * chunk) / chunk)) * chunk
        for wanted, chunk, n in zip((depth, side, side), chunks, shape, strict=True)
    )
    return z, y, x


def check_block(
    block: Sequence[int], shape: tuple[int, int, int], chunks: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Return the block as three integers that are whole numbers of chunks, or cover the axis."""
    if len(block) != 3 or any(int(b) != b or b < 1 for b in block):
        raise InputError(f"block={tuple(block)!r} must be three whole numbers (z, y, x) above 0.")
    for axis, size, chunk, n in zip("zyx", block, chunks, shape, strict=True):
        if size % chunk and size < n:
            below = size // chunk * chunk
            near = f"{below} or {below + chunk}" if below else f"{chunk}"
            raise InputError(
                f"A block of {size} voxels along {axis} is not a whole number of chunks of "
                f"{chunk}, so two blocks would write one file: choose {near}."
            )
    z, y, x = (int(b) for b in block)
    return z, y, x
