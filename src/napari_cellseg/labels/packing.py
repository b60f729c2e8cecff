"""Steps as bytes: what memory and the journal keep, in a few bits per changed voxel.

A patch is a box, one bit per voxel of it that says whether it changed (deflated), and the ids
before and after as indices into a short list (deflated; nothing where there is only one id).
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import StorageError
from napari_cellseg.labels.edit import Key, Labels, Slices

_MAGIC = b"NCE1"
_LEVEL = 1


@dataclass(frozen=True, eq=False)
class Patch:
    """Changed voxels of one box.

    Attributes
    ----------
    region : tuple of slice
    mask : array of bool
        Of the box's shape.
    before, after : array of uint32
        Ids of the masked voxels, in C order.
    """

    region: Slices
    mask: NDArray[np.bool_]
    before: Labels
    after: Labels


def pack(header: dict[str, Any], keys: tuple[Key, ...], patches: tuple[int, bytes]) -> bytes:
    """Return a record: a header ready for JSON, the objects concerned, and packed patches."""
    text = json.dumps(header, separators=(",", ":"), allow_nan=True).encode()
    packed = zlib.compress(np.array(keys, "<i8").reshape(-1, 2).T.tobytes(), _LEVEL)
    count, blob = patches
    return b"".join(
        [_MAGIC, struct.pack("<III", len(text), len(packed), count), text, packed, blob]
    )


def pack_patches(patches: list[Patch]) -> tuple[int, bytes]:
    """Return the number of patches, and all of them packed."""
    return len(patches), b"".join(part for patch in patches for part in _patch_parts(patch))


def header_of(payload: bytes) -> tuple[dict[str, Any], tuple[Key, ...]]:
    """Return the header and the objects of a record, without unpacking its patches."""
    text, packed, _, start = _frame(payload)
    header: dict[str, Any] = json.loads(payload[start : start + text])
    raw = zlib.decompress(payload[start + text : start + text + packed])
    keys = np.frombuffer(raw, "<i8").reshape(2, -1).T.tolist()
    return header, tuple((int(t), int(label)) for t, label in keys)


def patches_of(payload: bytes) -> Iterator[Patch]:
    """Unpack the patches of a record, one by one, in the order in which they were made."""
    text, packed, count, start = _frame(payload)
    at = start + text + packed
    for _ in range(count):
        (ndim,) = struct.unpack_from("<B", payload, at)
        at += 1
        bounds = struct.unpack_from(f"<{2 * ndim}I", payload, at)
        at += 8 * ndim
        region = tuple(slice(a, b) for a, b in zip(bounds[:ndim], bounds[ndim:], strict=True))
        shape = tuple(part.stop - part.start for part in region)
        blob, at = _take(payload, at)
        size = int(np.prod(shape))
        if blob:
            bits = np.frombuffer(zlib.decompress(blob), np.uint8)
            mask = np.unpackbits(bits, count=size).view(np.bool_).reshape(shape)
        else:
            mask = np.ones(shape, np.bool_)
        number = int(np.count_nonzero(mask))
        before, at = _ids(payload, at, number)
        after, at = _ids(payload, at, number)
        yield Patch(region, mask, before, after)


def _frame(payload: bytes) -> tuple[int, int, int, int]:
    if payload[:4] != _MAGIC:
        raise StorageError(
            "A record of the journal is of another version: open it with the one that made it."
        )
    text, packed, count = struct.unpack_from("<III", payload, 4)
    return text, packed, count, 16


def _patch_parts(patch: Patch) -> Iterator[bytes]:
    bounds = [part.start for part in patch.region] + [part.stop for part in patch.region]
    yield struct.pack(f"<B{len(bounds)}I", len(patch.region), *bounds)
    blob = b"" if patch.mask.all() else zlib.compress(np.packbits(patch.mask).tobytes(), _LEVEL)
    yield struct.pack("<I", len(blob)) + blob
    for ids in (patch.before, patch.after):
        yield from _packed_ids(ids)


def _packed_ids(ids: Labels) -> Iterator[bytes]:
    palette = distinct(ids)
    blob = b""
    if len(palette) > 1:
        width = np.uint8 if len(palette) <= 2**8 else np.uint16 if len(palette) <= 2**16 else "<u4"
        if len(palette) == 2:  # one bit each
            blob = zlib.compress(np.packbits(ids == palette[1]).tobytes(), _LEVEL)
        else:
            rows = np.searchsorted(palette, ids).astype(width)
            blob = zlib.compress(rows.astype(rows.dtype.newbyteorder("<")).tobytes(), _LEVEL)
    yield struct.pack("<II", len(palette), len(blob)) + palette.astype("<u4").tobytes() + blob


def _ids(payload: bytes, at: int, number: int) -> tuple[Labels, int]:
    length, size = struct.unpack_from("<II", payload, at)
    at += 8
    palette = np.frombuffer(payload, "<u4", length, at).astype(np.uint32)
    at += 4 * length
    if not size:
        ids = np.full(number, palette[0] if length else 0, np.uint32)
        return ids, at
    raw = zlib.decompress(payload[at : at + size])
    if length == 2:
        rows: NDArray[Any] = np.unpackbits(np.frombuffer(raw, np.uint8), count=number)
    else:
        rows = np.frombuffer(raw, "u1" if length <= 2**8 else "<u2" if length <= 2**16 else "<u4")
    return palette[rows], at + size


def _take(payload: bytes, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from("<I", payload, at)
    return payload[at + 4 : at + 4 + size], at + 4 + size


def distinct(values: Labels) -> Labels:
    """Return the distinct values, rising; runs are folded first, for sorting them costs most."""
    if not values.size:
        return values
    starts = np.flatnonzero(values[1:] != values[:-1]) + 1
    if not starts.size:
        return values[:1]
    return np.unique(np.append(values[:1], values[starts]))
