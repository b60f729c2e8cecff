"""Real images that come with the package; SOURCE.md names their origin and licence."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

from napari_cellseg.errors import InputError

_STEMS = {"embryo": "mouse_embryo_16_cells"}


class SampleFiles(NamedTuple):
    """An image and what is truly in it."""

    image: Path
    truth: Path


def sample_path(name: str = "embryo") -> SampleFiles:
    """Where a bundled image and its true labels lie.

    Parameters
    ----------
    name : {"embryo"}
        ``embryo``: nuclei of a mouse embryo, (51, 120, 122) voxels of 1.75 × 0.8 × 0.8 µm, 16
        nuclei.

    Returns
    -------
    SampleFiles
        Paths of the image and of the labels, both OME-TIFF.

    Raises
    ------
    InputError
        If there is no such sample.
    """
    if name not in _STEMS:
        raise InputError(f"there is no sample {name!r}: choose one of {', '.join(_STEMS)}.")
    found = []
    for kind in ("image", "truth"):
        # The package is never zipped, so the path stays valid after the context.
        with as_file(files(__name__) / f"{_STEMS[name]}_{kind}.ome.tif") as path:
            found.append(path)
    return SampleFiles(*found)
