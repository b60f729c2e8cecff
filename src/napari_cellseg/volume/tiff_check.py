"""Compare what a TIFF declares with what it holds, before anything is allocated."""

from __future__ import annotations

import math
from typing import Any

from napari_cellseg.errors import InputError

_MOST_PAGES = 4096  # more are sampled evenly, so that opening stays fast
_ALWAYS_FINE = 1 << 26  # bytes of a page that may be allocated whatever the header says
# Largest ratio of decoded to stored bytes: deflate cannot exceed 1032, LZW about 1400.
_RATIO = {5: 2000, 8: 2000, 32946: 2000, 32773: 130}
_RATIO_OTHERS = 200_000
_UNCOMPRESSED = 1


def check_declared_sizes(series: Any, where: str) -> None:
    """Raise InputError if the data that a TIFF series declares cannot be in its file.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
        The image to be read.
    where : str
        The file, for messages.

    Raises
    ------
    InputError
        If the file is truncated, or declares more than it can hold.
    """
    pages = [page for page in series.pages[:] if page is not None] if len(series.pages) else []
    if not pages or series.keyframe is None:
        raise InputError(f"{where} holds no image data: save it again.")
    keyframe = series.keyframe
    declared = math.prod(series.get_shape(False)) * series.dtype.itemsize
    pixels = math.prod(keyframe.shape)
    contiguous = len(series.pages) == 1 and math.prod(series.shape) != pixels
    if contiguous:
        # ImageJ and tifffile may describe one page and append the others without headers.
        page = pages[0]
        held = page.parent.filehandle.size - (page.dataoffsets[0] if page.dataoffsets else 0)
        if int(keyframe.compression) != _UNCOMPRESSED or declared > held:
            raise _too_much(where, series.shape, declared, max(held, 0))
    elif math.prod(series.shape) != pixels * len(series.pages):
        raise InputError(
            f"{where} declares shape {series.shape} but holds {len(series.pages)} pages of shape "
            f"{keyframe.shape}: save it again."
        )
    step = max(1, len(pages) // _MOST_PAGES)
    for page in {id(page): page for page in (*pages[::step], pages[-1])}.values():
        _check_page(page, keyframe, where, contiguous)


def _check_page(page: Any, keyframe: Any, where: str, contiguous: bool) -> None:
    size = page.parent.filehandle.size
    offsets, counts = tuple(page.dataoffsets), tuple(page.databytecounts)
    decoded = math.prod(keyframe.shape) * keyframe.dtype.itemsize
    if not offsets or len(offsets) != len(counts):
        raise InputError(f"{where} does not say where its image data lie: save it again.")
    if any(o < 0 or c < 0 or (c and o + c > size) for o, c in zip(offsets, counts, strict=True)):
        raise InputError(
            f"{where} is truncated: image data are declared beyond its end at {size} bytes: "
            "copy or save it again."
        )
    stored = sum(counts)
    if int(keyframe.compression) == _UNCOMPRESSED:
        # Packed bits take fewer bytes than the array they are unpacked to.
        packed = math.prod(keyframe.shape[:-1]) * -(
            -keyframe.shape[-1] * keyframe.bitspersample // 8
        )
        needed = min(decoded, packed)
        sparse = any(c == 0 for c in counts)
        if stored < needed and not sparse and not contiguous and not keyframe.is_tiled:
            raise _too_much(where, keyframe.shape, decoded, stored)
        if sparse and stored == 0:
            raise _too_much(where, keyframe.shape, decoded, 0)
    elif stored == 0 and decoded > _ALWAYS_FINE:
        raise _too_much(where, keyframe.shape, decoded, 0)
    ratio = 1 if int(keyframe.compression) == _UNCOMPRESSED else _RATIO.get(
        int(keyframe.compression), _RATIO_OTHERS
    )  # fmt: skip
    if decoded > _ALWAYS_FINE and decoded > ratio * max(size, 1):
        raise _too_much(where, keyframe.shape, decoded, size)


def _too_much(where: str, shape: tuple[int, ...], declared: int, held: int) -> InputError:
    return InputError(
        f"{where} declares an image of shape {tuple(shape)} ({declared:,} bytes) "
        f"but holds only {held:,} bytes: it is truncated or damaged."
    )
