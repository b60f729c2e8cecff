"""Which images are meant, and where their labels go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.volume.read import existing_path, title

IMAGES = (".tif", ".tiff", ".btf", ".zarr", ".npy")
LABELS = (".tif", ".tiff", ".zarr")
ENDING = "_cells.tif"


@dataclass(frozen=True)
class Task:
    """One image and its outputs.

    Attributes
    ----------
    name : str
        Unique among the tasks; the table's column ``image``.
    source, target : Path
    """

    name: str
    source: Path
    target: Path

    @property
    def done(self) -> bool:
        """Whether the labels are there already."""
        if self.target.suffix.lower() == ".zarr":
            return (self.target / "labels" / "cells").exists()
        return self.target.exists()


@dataclass(frozen=True)
class Plan:
    """All tasks and the table that they share; `single` if the output was named as a file."""

    tasks: tuple[Task, ...]
    table: Path
    single: bool


def make_plan(inputs: Sequence[Path], output: Path) -> Plan:
    """Resolve inputs and output.

    Raises
    ------
    InputError
        Nothing to segment, or several images for one file.
    StorageError
        The output's folder cannot be made.
    """
    sources = [image for given in inputs for image in _images(given)]
    sources = list({image.absolute(): image for image in sources}.values())
    if len(sources) == 1:
        existing_path(sources[0])  # before any folder is made
    if output.suffix.lower() in LABELS:
        if len(sources) > 1:
            raise InputError(
                f"{len(sources)} images cannot go into one file {output.name!r}: name a folder."
            )
        make_folder(output.parent)
        task = Task(title(sources[0]), sources[0], output)
        return Plan((task,), output.with_name(f"{title(output)}.csv"), single=True)
    if output.is_file():
        raise InputError(
            f"{output} is a file and no folder: end its name in .tif or .ome.zarr to write labels."
        )
    make_folder(output)
    tasks = tuple(
        Task(name, source, output / f"{name}{ENDING}")
        for name, source in zip(_names(sources), sources, strict=True)
    )
    return Plan(tasks, output / "table.csv", single=False)


def _images(given: Path) -> list[Path]:
    """Return the images that an argument means; one that is missing fails when its turn comes."""
    if not given.is_dir() or _is_store(given):
        return [given]
    try:
        found = sorted(
            path
            for path in given.iterdir()
            if path.suffix.lower() in IMAGES
            and not path.name.startswith(".")
            and not path.name.endswith(ENDING)
        )
    except OSError as error:
        raise InputError(f"folder {str(given)!r} cannot be read ({error.strerror}).") from error
    if not found:
        raise InputError(
            f"folder {str(given)!r} holds no image: pass TIFF, OME-Zarr or .npy files."
        )
    return found


def _is_store(folder: Path) -> bool:
    markers = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
    return folder.suffix.lower() == ".zarr" or any((folder / one).exists() for one in markers)


def _names(sources: list[Path]) -> list[str]:
    """Titles, with the folder's name in front where two images share one."""
    names = [title(source) for source in sources]
    counts = Counter(names)
    names = [
        f"{source.absolute().parent.name}_{name}" if counts[name] > 1 else name
        for name, source in zip(names, sources, strict=True)
    ]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(
            f"Several images would be written as {repeated[0] + ENDING!r}: "
            "rename one or use two output folders."
        )
    return names


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; StorageError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"folder {str(folder)!r} cannot be made ({error.strerror or error})."
        ) from error
