"""`napari-cellseg convert`: labels from one kind of file to another."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_cellseg.cli.wording import in_options
from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.formats import LabelFile, kind_of, read_label_file, write_label_file
from napari_cellseg.labels.measure import unique_ids
from napari_cellseg.volume import Volume, read_volume

_ASSUMED = "Axes are not stated"
_KEEPS_SPACING = ("tiff", "zarr", "hdf5")


@dataclass(frozen=True)
class Source:
    """A label file to read.

    Attributes
    ----------
    path : Path
    image : Path or None
        Its image: gives the shape that ROI files lack, and the spacing where the labels state none.
    dataset, axes : str or None
        See `napari_cellseg.labels.formats.read_label_file`.
    spacing : tuple of float or None
        (z, y, x) in µm; wins over both files.
    """

    path: Path
    image: Path | None = None
    dataset: str | None = None
    axes: str | None = None
    spacing: tuple[float, float, float] | None = None

    def read(self) -> tuple[LabelFile, tuple[float, float, float] | None, Volume | None]:
        """Read the labels; also their spacing in µm if known, and the image, unread.

        Raises
        ------
        InputError
            See `read_label_file`; or labels and image are not of the same shape.
        """
        volume = None if self.image is None else read_volume(self.image, spacing=self.spacing)
        shape = None if volume is None else volume.label_shape
        axes = self.axes
        if volume is not None and axes is None and self.path.suffix.lower() in (".zip", ".roi"):
            axes = volume.label_axes
        file = read_label_file(self.path, shape, self.dataset, axes=axes)
        if volume is not None and any(text.startswith(_ASSUMED) for text in file.notices):
            # the image knows better than an assumption
            kept = tuple(text for text in file.notices if not text.startswith(_ASSUMED))
            file = replace(file, axes=volume.label_axes, notices=kept)
        spacing = self.spacing or file.spacing
        if spacing is None and volume is not None and volume.spacing_known:
            spacing = volume.spacing
        return file, spacing, volume


def convert(source: Source, output: Path, *, bits: int | None, overwrite: bool, quiet: bool) -> str:
    """Write the labels of a file as what the end of the output's name asks for.

    Returns
    -------
    str
        What was done, to be printed.

    Raises
    ------
    CellsegError
        Nothing was written.
    """
    kind = kind_of(output)
    check_output(output, overwrite)
    file, spacing, _ = source.read()
    with speaking_of_options():
        write_label_file(
            output,
            file.labels,
            axes=file.axes,
            spacing=spacing,
            bits=bits,
            original_ids=file.original_ids,
            image=None if source.image is None else str(source.image.absolute()),
            metadata=file.metadata,
            overwrite=overwrite,
        )
    notices = list(file.notices)
    if spacing is not None:
        notices = [text for text in notices if not text.startswith("Spacing ")]
        if kind not in _KEEPS_SPACING:
            notices.append("This kind of file does not keep the spacing.")
    if not quiet:
        tell(file_name(source.path), notices)
    return f"{len(unique_ids(file.labels)):,} objects ({size_of(file.labels)}) written to {output}"


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse, before any work, an output that could not be written at its end.

    Raises
    ------
    InputError
        It is there already, or its folder is missing or cannot be written.
    """
    # labels are added to an OME-Zarr image that is there
    if output.exists() and not overwrite and not (output.is_dir() and output.suffix == ".zarr"):
        raise InputError(
            f"{output} is there already: add --overwrite to replace it, or choose another name."
        )
    folder = output.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"Nothing can be written into {str(folder)!r}: choose another output.")


@contextmanager
def speaking_of_options() -> Iterator[None]:
    """Turn the engine's ``overwrite=True`` into the option of the command line."""
    try:
        yield
    except StorageError as error:
        text = str(error)
        if "overwrite=True" not in text:
            raise
        raise StorageError(text.replace("pass overwrite=True", "add --overwrite")) from error


def tell(name: str, notices: Iterable[str]) -> None:
    """Print notices on stderr, in the words of the command line."""
    for text in notices:
        print(f"{name}: {in_options(text)}", file=sys.stderr)


def file_name(path: Path) -> str:
    """Name of a file or folder, also of ``.``."""
    return path.resolve().name or str(path)


def size_of(labels: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]) -> str:
    """Shape for reading."""
    return " × ".join(map(str, labels.shape))
