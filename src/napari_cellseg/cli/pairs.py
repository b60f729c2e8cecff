"""Which image belongs to which truth."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from napari_cellseg.cli.plan import IMAGES
from napari_cellseg.errors import InputError
from napari_cellseg.volume.read import existing_path, title
from napari_cellseg.volume.zarr_store import is_zarr

_IMAGE = re.compile(r"[_-](image|img)$", re.IGNORECASE)
_TRUTH = re.compile(r"[_-](labels?|masks?|truth|gt|cells)$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """An image and its truth.

    Attributes
    ----------
    name : str
        Of the image, without ending where that is clear; the table's column ``image``.
    image, truth : Path
    """

    name: str
    image: Path
    truth: Path


def find_pairs(images: Path, truth: Path) -> tuple[list[Pair], list[Path]]:
    """Resolve two files, or two folders (which may be the same), to pairs.

    In folders an image and its truth have the same name, apart from the ending and from
    ``_image`` or ``_label``, ``_mask``, ``_truth``, ``_cells`` at the end.

    Returns
    -------
    pairs : list of Pair
    alone : list of Path
        Images whose truth is not there.

    Raises
    ------
    InputError
        Something is missing, only one of both is a folder, no image has a truth, or one has two.
    """
    folders = [_is_folder(existing_path(path)) for path in (images, truth)]
    if not any(folders):
        return [Pair(title(images), images, truth)], []
    if not all(folders):
        folder, file = (images, truth) if folders[0] else (truth, images)
        raise InputError(
            f"{str(folder)!r} is a folder and {str(file)!r} is none: pass two files or two folders."
        )
    shared = images.resolve() == truth.resolve()
    known: dict[str, Path] = {}
    for path in _files(truth):
        if shared and not _TRUTH.search(title(path)):
            continue
        key = _TRUTH.sub("", title(path))
        if key in known:
            raise InputError(
                f"{str(known[key])!r} and {str(path)!r} could both be the truth of {key!r}: "
                "move one away."
            )
        known[key] = path
    pairs, alone = [], []
    for path in _files(images):
        if shared and _TRUTH.search(title(path)):
            continue
        found = known.get(_IMAGE.sub("", title(path))) or known.get(title(path))
        if found is None:
            alone.append(path)
        else:
            pairs.append(Pair(title(path), path, found))
    if not pairs:
        raise InputError(
            f"No image in {str(images)!r} has a truth in {str(truth)!r}: name the truth of "
            "a_image.tif or a.tif a_label.tif, or a.tif in a folder of its own."
        )
    titles = Counter(pair.name for pair in pairs)
    return [
        pair if titles[pair.name] == 1 else replace(pair, name=pair.image.name) for pair in pairs
    ], alone


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not is_zarr(path)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGES and not path.name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"folder {str(folder)!r} cannot be read ({error.strerror}).") from error
