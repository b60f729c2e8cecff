"""Lazy reading of TIFF: plain, ImageJ, OME, tifffile-shaped."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.volume.axes import SAMPLES, UNKNOWN
from napari_cellseg.volume.build import assemble
from napari_cellseg.volume.lazy import check_dtype, lazy
from napari_cellseg.volume.tiff_check import check_declared_sizes
from napari_cellseg.volume.tiff_spacing import ome_image, stated_spacing
from napari_cellseg.volume.volume import Volume

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
"""First bytes of TIFF and BigTIFF files."""

_LARGE_PAGE = 1 << 26  # bytes: larger pages are read by strip rather than whole
_MOST_CHANNELS = 10
_RGB, _YCBCR, _PALETTE, _MINISWHITE = 2, 6, 3, 0


def read_tiff(
    path: Path, *, spacing: Sequence[float] | None, axes: str | None, name: str
) -> Volume:
    """Open the first image series of a TIFF without reading voxels.

    Parameters
    ----------
    path : Path
        An existing file.
    spacing, axes
        What the user gave; they win over the file.
    name : str
        Title of the image.

    Raises
    ------
    InputError
        If it is no TIFF, is truncated or damaged, or declares what it does not hold.
    """
    where = f"TIFF file {path.name!r}"
    with _complaints() as complaints:
        file, series = _first_series(path, where, complaints)
        try:
            check_dtype(np.dtype(series.dtype), where)
            if any(int(n) <= 0 for n in series.shape):
                raise InputError(f"{where} is empty: its shape is {series.shape}.")
            check_declared_sizes(series, where)
            stated, channels = stated_spacing(file)
            found, axis_notices = _axes(file, series)
            notices = _notices(file, series) + (axis_notices if axes is None else [])
            data = _data(path, file, series, where)
        except InputError:
            file.close()
            raise
        except Exception as error:  # tifffile raises whatever a damaged header makes it raise
            file.close()
            raise _damaged(where, error) from error
    return assemble(
        data,
        found,
        stated,
        spacing=spacing,
        axes=axes,
        name=name,
        where=where,
        source=path,
        channels=channels,
        notices=notices,
    )


def recipe_of_tiff(path: Path) -> dict[str, Any] | None:
    """The recipe that :func:`write_labels` stored in an OME-TIFF, or None if it is not ours."""
    import tifffile

    with _complaints():
        try:
            with tifffile.TiffFile(path) as file:
                ome = ome_image(file)
        except Exception:  # not a TIFF that can be opened: then it is not ours either
            return None
    return ome.recipe if ome is not None else None


def _first_series(path: Path, where: str, complaints: _Complaints) -> tuple[Any, Any]:
    import tifffile

    try:
        file = tifffile.TiffFile(path)
    except Exception as error:  # see above
        raise _damaged(where, error) from error
    try:
        if not file.series:
            raise InputError(f"{where} holds no image.")
        file.pages[len(file.pages) - 1]  # follow the chain of pages to its end
        series = file.series[0]
    except InputError:
        file.close()
        raise
    except Exception as error:  # see above
        file.close()
        raise _damaged(where, error) from error
    if complaints.errors:
        file.close()
        raise InputError(
            f"{where} is truncated or damaged ({_reason(complaints.errors[0])}): "
            "copy or save it again."
        )
    return file, series


def _damaged(where: str, error: Exception) -> InputError:
    reason = _reason(str(error) or type(error).__name__)
    return InputError(
        f"{where} is truncated, damaged or no TIFF ({reason}): copy or save it again."
    )


def _reason(text: str) -> str:
    """A library's complaint without the names of its objects."""
    return re.sub(r"<[^<>]*>\s*", "", text.splitlines()[0]).strip(" :") or "damaged header"


def _data(path: Path, file: Any, series: Any, where: str) -> Any:
    keyframe = series.keyframe
    offset = series.dataoffset
    plain = series.transform is None and all(
        page is not None and page.parent is file for page in series.pages[:]
    )
    if offset is not None and plain:
        dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        file.close()
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=series.shape)
    import zarr

    nbytes = math.prod(keyframe.shape) * keyframe.dtype.itemsize
    whole_pages = not keyframe.is_tiled and nbytes <= _LARGE_PAGE
    store = series.aszarr(level=0, chunkmode=2 if whole_pages else 0)
    array = zarr.open_array(store, mode="r")
    file.close()
    return lazy(_Reopened(file.filehandle, array), where, array.chunks)


class _Reopened:
    """Open the file only while voxels are read, so that hundreds of images can be at hand."""

    def __init__(self, handle: Any, array: Any) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._handle, self._array = handle, array
        self._lock, self._readers = threading.Lock(), 0

    def __getitem__(self, key: Any) -> Any:
        with self._lock:
            self._handle.open()  # does nothing if another thread reads already
            self._readers += 1
        try:
            return self._array[key]
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    self._handle.close()


def _axes(file: Any, series: Any) -> tuple[str, list[str]]:
    """Axes in our letters; whatever a TIFF calls other, sequence or unknown is ``?``."""
    colour = int(series.keyframe.photometric) in (_RGB, _YCBCR)
    known = {"X": "x", "Y": "y", "Z": "z", "T": "t", "C": "c", "S": SAMPLES if colour else "c"}
    axes = "".join(known.get(axis, UNKNOWN) for axis in series.axes)
    if file.is_imagej and axes == "cyx" and series.shape[0] > _MOST_CHANNELS:
        # tifffile and others write a stack as channels unless told; ImageJ shows at most seven.
        return "zyx", [
            f"Axes are stated as {series.shape[0]} channels, which are taken as z: "
            "pass axes='cyx' to keep them."
        ]
    return axes, []


def _notices(file: Any, series: Any) -> list[str]:
    notices = []
    if len(file.series) > 1:
        notices.append(
            f"The file holds {len(file.series)} images; "
            f"the first, of shape {series.shape}, is used."
        )
    missing = sum(page is None for page in series.pages[:])
    if missing:
        notices.append(
            f"{missing} of {len(series.pages)} planes are missing in the file and read as zeros."
        )
    photometric = int(series.keyframe.photometric)
    if photometric == _PALETTE:
        notices.append("The colour palette is ignored; the stored numbers are used.")
    if photometric == _MINISWHITE and series.dtype.kind != "b":
        notices.append("The file displays low values bright; the stored numbers are used.")
    return notices


@dataclass
class _Complaints:
    thread: int
    errors: list[str]

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what tifffile logs in this thread; whoever called decides what to tell the user."""
        if threading.get_ident() != self.thread:
            return True
        if record.levelno >= logging.ERROR:
            self.errors.append(record.getMessage().splitlines()[0])
        return False


@contextmanager
def _complaints() -> Iterator[_Complaints]:
    """Collect what tifffile logs about a file instead of printing it."""
    logger = logging.getLogger("tifffile")
    complaints = _Complaints(threading.get_ident(), [])
    logger.addFilter(complaints)
    try:
        yield complaints
    finally:
        logger.removeFilter(complaints)
