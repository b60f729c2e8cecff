"""Snapshots: all labels at one record, in blocks that are packed and checked one by one.

A file is the magic word, the packed blocks one after the other, a description in JSON, and where
the description starts, its length and its CRC-32. The description comes last because a file is
written in one pass with only a block in memory.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.journal.disk import forget_cached, sync_file, sync_folder

Labels = NDArray[np.uint32]
Slices = tuple[slice, ...]

#: Voxels in a block: 16 MB of labels.
BLOCK = 4 * 1024 * 1024
MAGIC = b"cellseg-labels-1"
_END = struct.Struct("<QQI")
_NAME = re.compile(r"base-(\d+)\.labels")


def snapshot_path(folder: Path, number: int) -> Path:
    """Return the file of the snapshot that includes the records up to a number."""
    return folder / f"base-{number:08d}.labels"


def snapshot_paths(folder: Path) -> list[tuple[int, Path]]:
    """Snapshot files in a folder as (number, path), newest first, unread."""
    found = []
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            found.append((int(match[1]), path))
    return sorted(found, reverse=True)


def blocks(shape: tuple[int, ...], voxels: int = BLOCK) -> Iterator[Slices]:
    """Cut an array into boxes of at most so many voxels, contiguous where it can be, in order."""
    edges: list[int] = []
    room = voxels
    for size in reversed(shape):
        edges.insert(0, max(1, min(size, room)))
        room //= edges[0]
    if 0 in shape:
        return
    counts = [math.ceil(size / edge) for size, edge in zip(shape, edges, strict=True)]
    for index in np.ndindex(*counts):
        yield tuple(
            slice(i * edge, min((i + 1) * edge, size))
            for i, edge, size in zip(index, edges, shape, strict=True)
        )


def write_snapshot(
    path: Path,
    shape: tuple[int, ...],
    number: int,
    chain: int,
    read_block: Callable[[Slices], Labels],
    between: Callable[[], None] = lambda: None,
    voxels: int = BLOCK,
) -> None:
    """Write a snapshot: beside its place, to the disk, read back, and only then by its name.

    Parameters
    ----------
    path : Path
        The file; there is either the whole snapshot of this name or what was there before.
    shape : tuple of int
        Shape of the labels.
    number, chain : int
        Record that the labels include, and its CRC, which binds the snapshot to its history.
    read_block : callable
        Gives the labels of a box, uint32.
    between : callable
        Called before each block is written and before each is read back; what it raises stops
        the writing and leaves nothing.
    voxels : int
        Largest size of a block.

    Raises
    ------
    StorageError
        The disk gave back something else than was written.
    OSError
        The disk did not take it.
    """
    import imagecodecs

    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(MAGIC)
            index = []
            for box in blocks(shape, voxels):
                between()
                plain = np.ascontiguousarray(read_block(box), "<u4")
                packed = imagecodecs.zstd_encode(plain.tobytes(), level=1)
                index.append((file.tell(), len(packed), zlib.crc32(packed)))
                file.write(packed)
            about = {"shape": shape, "voxels": voxels, "number": number, "chain": chain}
            text = json.dumps({**about, "blocks": index}).encode()
            start = file.tell()
            file.write(text + _END.pack(start, len(text), zlib.crc32(text)))
            sync_file(file)
            forget_cached(file)
        Snapshot(part).check(between)
        os.replace(part, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


class Snapshot:
    """A snapshot file; the description is read at once, blocks when asked for.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    shape : tuple of int
        Shape of the labels.
    number, chain : int
        Record that the labels include, and its CRC.
    boxes : list of slices
        The blocks.

    Raises
    ------
    StorageError
        The file is damaged or of another kind.
    OSError
        The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < len(MAGIC) + _END.size:
                raise self._damaged()
            file.seek(0)
            magic = file.read(len(MAGIC))
            file.seek(size - _END.size)
            start, length, crc = _END.unpack(file.read(_END.size))
            if magic != MAGIC or start + length + _END.size != size:
                raise self._damaged()
            file.seek(start)
            text = file.read(length)
        if zlib.crc32(text) != crc:
            raise self._damaged()
        about: dict[str, Any] = json.loads(text)
        self.shape: tuple[int, ...] = tuple(about["shape"])
        self.number: int = about["number"]
        self.chain: int = about["chain"]
        self.voxels: int = about["voxels"]
        self.boxes = list(blocks(self.shape, self.voxels))
        self._index: list[tuple[int, int, int]] = about["blocks"]

    def _damaged(self) -> StorageError:
        return StorageError(f"The snapshot {self.path} is damaged; use an older one.")

    def _packed(self, number: int) -> bytes:
        start, length, crc = self._index[number]
        with self.path.open("rb") as file:
            file.seek(start)
            packed = file.read(length)
        if len(packed) != length or zlib.crc32(packed) != crc:
            raise self._damaged()
        return packed

    def read(self, number: int) -> Labels:
        """Return the labels of a block, a fresh array, by its place in `boxes`."""
        import imagecodecs

        box = self.boxes[number]
        shape = tuple(s.stop - s.start for s in box)
        plain = bytearray(4 * math.prod(shape))
        imagecodecs.zstd_decode(self._packed(number), out=plain)
        return np.frombuffer(plain, "<u4").reshape(shape).astype(np.uint32, copy=False)

    def check(self, between: Callable[[], None] = lambda: None) -> None:
        """Read every block; raise StorageError where one is not what was written."""
        for number in range(len(self.boxes)):
            between()
            self._packed(number)

    def labels(self) -> Labels:
        """Return all labels, C-contiguous and writable."""
        whole = np.zeros(self.shape, np.uint32)
        for number, box in enumerate(self.boxes):
            whole[box] = self.read(number)
        return whole
