"""The bytes of one kept embedding on disk.

An entry is ``magic | length of header | header | features | SHA-256 of all before``. The header is
JSON: the key's facts, and per feature its name, number format, shape, codec and length. Bytes of
equal significance are put side by side before compression (zstd), because the high bytes of
half-precision numbers are alike and the low ones are noise. A feature that does not get smaller is
stored raw. Nothing is unpickled, and nothing is believed before the checksum agrees.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.prompts.cache_key import FORMAT, EmbeddingKey
from napari_cellseg.prompts.cache_packed import Packed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LARGEST = 2**30
"""Bytes of all features together; an entry that claims more is not one of ours."""

_MAGIC = b"\x93NCSEMB\n"
_LENGTH = struct.Struct("<I")
_LONGEST_HEADER = 2**16
_CHECKSUM = 32
_LEVEL = 1  # the noise in embeddings leaves nothing for higher levels to find
_WORTH = 0.97  # compressed by less than this it would only cost time
_STORED = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
_HANDED = (*_STORED, "bfloat16")


class EntryError(Exception):
    """The bytes are not the entry that was asked for; it never leaves the cache."""


def write_entry(key: EmbeddingKey, packed: Packed) -> list[bytes]:
    """Turn a kept embedding into the pieces of its file, in order.

    Raises
    ------
    EntryError
        If a feature's number format has no place on disk, or it is all too large.
    """
    if packed.nbytes > LARGEST:
        raise EntryError(f"{packed.nbytes:,} bytes are more than an entry may hold")
    features, payloads = [], []
    for name, values in packed.features.items():
        stored, handed = _name(values.dtype, _STORED), _name(packed.formats[name], _HANDED)
        codec, payload = _compress(values.numpy())
        features.append([name, stored, handed, list(values.shape), codec, len(payload)])
        payloads.append(payload)
    header = json.dumps({**_facts(key), "features": features}).encode()
    if len(header) > _LONGEST_HEADER:
        raise EntryError("too many features")
    pieces = [_MAGIC, _LENGTH.pack(len(header)), header, *payloads]
    checksum = hashlib.sha256()
    for piece in pieces:
        checksum.update(piece)
    return [*pieces, checksum.digest()]


def read_entry(data: bytes | bytearray, key: EmbeddingKey) -> Packed:
    """Read an entry back.

    Parameters
    ----------
    data : bytes
        The whole file.
    key : EmbeddingKey
        What it must be the entry of.

    Raises
    ------
    EntryError
        If it is damaged, of another version, plane or model, or no entry at all.
    """
    try:
        return _read(memoryview(data), key)
    # whatever a stranger put there must count as "no entry": MemoryError too, for claimed sizes
    except (ValueError, TypeError, KeyError, RuntimeError, OverflowError, MemoryError) as error:
        raise EntryError(f"not readable: {error}") from error


def _read(data: memoryview, key: EmbeddingKey) -> Packed:
    import torch

    start = len(_MAGIC) + _LENGTH.size
    if len(data) < start + _CHECKSUM or data[: len(_MAGIC)] != _MAGIC:
        raise EntryError("not an entry")
    body, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if hashlib.sha256(body).digest() != checksum:
        raise EntryError("damaged")
    (length,) = _LENGTH.unpack(body[len(_MAGIC) : start])
    if length > min(_LONGEST_HEADER, len(body) - start):
        raise EntryError("its header is cut off")
    header = json.loads(bytes(body[start : start + length]))
    facts = _facts(key)
    if not isinstance(header, dict) or {name: header.get(name) for name in facts} != facts:
        raise EntryError("of another version, plane or model")
    features: dict[str, Tensor] = {}
    formats: dict[str, torch.dtype] = {}
    position, claimed = start + length, 0
    for name, stored, handed, shape, codec, size in header["features"]:
        if stored not in _STORED or handed not in _HANDED or not isinstance(name, str):
            raise EntryError("a feature has an unknown number format")
        if not all(isinstance(number, int) and number >= 0 for number in (*shape, size)):
            raise EntryError("a feature has a wrong shape")
        claimed += math.prod(shape) * np.dtype(stored).itemsize
        if claimed > LARGEST or position + size > len(body):
            raise EntryError("a feature is larger than its entry")
        values = _expand(body[position : position + size], codec, stored, tuple(shape))
        features[name], formats[name] = torch.from_numpy(values), getattr(torch, handed)
        position += size
    if position != len(body) or not features:
        raise EntryError("its length is wrong")
    return Packed(key.family, key.fingerprint, key.shape, key.framing, features, formats)


def _facts(key: EmbeddingKey) -> dict[str, object]:
    return {
        "format": FORMAT,
        "key": key.digest,
        "family": key.family,
        "fingerprint": key.fingerprint,
        "framing": key.framing,
        "shape": list(key.shape),
        "precision": key.precision,
    }


def _name(dtype: torch.dtype, known: tuple[str, ...]) -> str:
    name = str(dtype).removeprefix("torch.")
    if name not in known:
        raise EntryError(f"{name} values cannot be written")
    return name


def _compress(values: NDArray[Any]) -> tuple[str, bytes]:
    from imagecodecs import zstd_encode

    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    raw = np.ascontiguousarray(little).reshape(-1).view(np.uint8).reshape(-1, little.itemsize)
    if raw.size == 0:
        return "raw", b""
    compressed = bytes(zstd_encode(raw.T.tobytes(), level=_LEVEL))
    if len(compressed) <= _WORTH * raw.size:
        return "zstd", compressed
    return "raw", raw.tobytes()


def _expand(data: memoryview, codec: str, stored: str, shape: tuple[int, ...]) -> NDArray[Any]:
    from imagecodecs import zstd_decode

    dtype = np.dtype(stored)
    little = dtype.newbyteorder("<")
    size = math.prod(shape) * dtype.itemsize
    if codec == "raw":
        if len(data) != size:
            raise EntryError("a feature's length is wrong")
        flat = np.frombuffer(data, little)
        return np.array(flat.reshape(shape), dtype)  # a copy: `data` keeps the whole file alive
    if codec != "zstd":
        raise EntryError("a feature is compressed in an unknown way")
    # one byte more than there should be, so that a longer result is seen and not cut off
    planes = np.frombuffer(zstd_decode(bytes(data), out=size + 1), np.uint8)
    if planes.size != size:
        raise EntryError("a feature's length is wrong")
    joined = np.empty((size // dtype.itemsize, dtype.itemsize), np.uint8)
    for place, plane in enumerate(planes.reshape(dtype.itemsize, -1)):
        joined[:, place] = plane
    return joined.reshape(-1).view(little).reshape(shape).astype(dtype, copy=False)
