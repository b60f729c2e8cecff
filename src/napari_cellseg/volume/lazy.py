"""Arrays that are read when they are used: memory maps stay numpy, everything else is dask."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any] | da.Array

_SMALLEST_BLOCK = 1 << 20  # bytes: single-row strips would otherwise be a block each
_LARGEST_CHUNK = 1 << 32  # bytes: a stored chunk is decoded as a whole
_LARGE_BLOCK = 1 << 25  # bytes: blocks grow to this while there are many of them
_MANY_BLOCKS, _MOST_BLOCKS = 20_000, 200_000  # dask needs about half a microsecond per block


def check_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Raise InputError unless voxels are bool, integers or floats of at most 64 bits."""
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise InputError(
            f"{where} holds values of type {dtype}, which is no image: "
            "save it as an integer, float or bool array."
        )


class GuardedSource:
    """An array-like whose read errors name the file, and whose values have native byte order.

    Parameters
    ----------
    array : array-like
        Has ``shape``, ``dtype`` and basic slicing; read only through ``__getitem__``.
    where : str
        The file or array, for messages.
    """

    def __init__(self, array: Any, where: str) -> None:
        self._array = array
        self._where = where
        self.shape: tuple[int, ...] = tuple(int(n) for n in array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype).newbyteorder("=")
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        try:
            return np.asarray(self._array[key]).astype(self.dtype, copy=False)
        except InputError:
            raise
        except Exception as error:  # decoders raise whatever they like
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(
                f"{self._where} is damaged or incomplete: part {_key(key)} cannot be decoded "
                f"({reason})."
            ) from error


def _key(key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return "[" + ", ".join(
        f"{part.start or 0}:{part.stop}" if isinstance(part, slice) else str(part) for part in parts
    ) + "]"  # fmt: skip


def lazy(array: Any, where: str, chunks: tuple[int, ...] | None = None) -> da.Array:
    """Wrap an array-like as a dask array in native byte order without reading it.

    Parameters
    ----------
    array : array-like
        Has ``shape``, ``dtype`` and basic slicing.
    where : str
        The file or array, for messages.
    chunks : tuple of int, optional
        Shape in which the array is stored.

    Raises
    ------
    InputError
        If one stored chunk is too large to be decoded.
    """
    import dask.array as da

    source = GuardedSource(array, where)
    itemsize = source.dtype.itemsize
    blocks: Any = "auto"
    if chunks is not None:
        chunks = tuple(min(c, n) for c, n in zip(chunks, source.shape, strict=True))
        if math.prod(chunks) * itemsize > _LARGEST_CHUNK:
            raise InputError(
                f"{where} is stored in chunks of shape {chunks}, too large to be read: "
                "store it in chunks below 4 GB."
            )
        blocks = _blocks(source.shape, chunks, itemsize)
    # name=False: dask would otherwise read the array to make a name of its content.
    wrapped: da.Array = da.from_array(  # type: ignore[no-untyped-call]
        source,
        chunks=blocks,
        name=False,
        asarray=False,
        meta=np.empty((0,) * source.ndim, source.dtype),
    )
    return wrapped


def _blocks(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    blocks = list(chunks)
    for axis in (len(shape) - 2, len(shape) - 1):
        while blocks[axis] < shape[axis] and math.prod(blocks) * itemsize < _SMALLEST_BLOCK:
            blocks[axis] = min(2 * blocks[axis], shape[axis])

    def too_many() -> bool:
        count = math.prod(-(-n // b) for n, b in zip(shape, blocks, strict=True))
        small = math.prod(blocks) * itemsize < _LARGE_BLOCK
        return count > (_MANY_BLOCKS if small else _MOST_BLOCKS)

    while too_many():
        axis = max(range(len(shape)), key=lambda i: shape[i] / blocks[i])
        blocks[axis] = min(2 * blocks[axis], shape[axis])
    return tuple(blocks)


def native(array: Any, where: str) -> Array:
    """`array` in native byte order: itself if it can be, else a copy or a lazy view."""
    if isinstance(array, np.ndarray):
        if array.dtype.isnative:
            return array
        if isinstance(array, np.memmap) or not array.flags.owndata:
            return lazy(array, where)
        return array.astype(array.dtype.newbyteorder("="))
    if hasattr(array, "dask") and hasattr(array, "map_blocks"):
        swapped: Array = array
        return (
            swapped if swapped.dtype.isnative else swapped.astype(swapped.dtype.newbyteorder("="))
        )
    chunks = getattr(array, "chunks", None)
    regular = isinstance(chunks, tuple) and all(isinstance(n, int) for n in chunks)
    return lazy(array, where, chunks if regular else None)
