"""Which images are meant, and where their labels go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.volume.read import existing_path, title
from napari_cellseg.volume.tiff import recipe_of_tiff

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
    """All tasks and the table that they share.

    Attributes
    ----------
    tasks : tuple of Task
    table : Path
    single : bool
        Whether the output was named as a file.
    skipped : tuple of Path
        Files in the input folders that are labels from napari-cellseg rather than images.
    """

    tasks: tuple[Task, ...]
    table: Path
    single: bool
    skipped: tuple[Path, ...] = ()


def make_plan(inputs: Sequence[Path], output: Path) -> Plan:
    """Resolve inputs and output.

    Raises
    ------
    InputError
        Nothing to segment, several images for one file, an output that is one of the images, or
        one whose ending is unknown; no folder is made then.
    StorageError
        The output's folder cannot be made.
    """
    skipped: list[Path] = []
    sources = [image for given in inputs for image in _images(given, skipped)]
    sources = list({image.absolute(): image for image in sources}.values())
    if len(sources) == 1:
        existing_path(sources[0])  # before any folder is made
    named_folder = output.is_dir() and not _is_store(output)
    if output.suffix.lower() in LABELS and not named_folder:
        if len(sources) > 1:
            raise InputError(
                f"{len(sources)} images cannot go into one file {output.name!r}: name a folder."
            )
        task = Task(title(sources[0]), sources[0], output)
        _protect([task], sources)
        make_folder(output.parent)
        table = output.with_name(f"{title(output)}.csv")
        return Plan((task,), table, single=True, skipped=tuple(skipped))
    if output.is_file():
        raise InputError(
            f"{output} is a file and no folder: end its name in .tif or .ome.zarr to write labels."
        )
    ending = output.suffix
    # "plate1.2" is a folder's name; ".2" is no ending.
    if not named_folder and not ending[1:].isdigit() and ending:
        raise InputError(
            f"labels cannot be written as {ending!r} ({str(output)!r}): end the name in .tif or "
            ".ome.zarr, or name a folder."
        )
    tasks = tuple(
        Task(name, source, output / f"{name}{ENDING}")
        for name, source in zip(_names(sources), sources, strict=True)
    )
    _protect(tasks, sources)
    make_folder(output)
    return Plan(tasks, output / "table.csv", single=False, skipped=tuple(skipped))


def _protect(tasks: Sequence[Task], sources: Sequence[Path]) -> None:
    """Refuse to write labels over an image; into an OME-Zarr image they are added."""
    images = {image.resolve() for image in sources if not image.is_dir()}
    for task in tasks:
        if task.target.resolve() in images:
            raise InputError(
                f"{str(task.target)!r} is one of the images, which are never replaced: "
                "choose another output."
            )


def _images(given: Path, skipped: list[Path]) -> list[Path]:
    """Return the images that an argument means, and add our own labels among them to `skipped`.

    One that is missing fails when its turn comes.
    """
    if not given.is_dir() or _is_store(given):
        return [given]
    try:
        found = sorted(
            path
            for path in given.iterdir()
            if path.suffix.lower() in IMAGES and not path.name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"folder {str(given)!r} cannot be read ({error.strerror}).") from error
    labels = {path for path in found if _is_ours(path)}
    skipped.extend(sorted(labels))
    found = [path for path in found if path not in labels]
    if not found:
        raise InputError(
            f"folder {str(given)!r} holds no image"
            f"{' but labels from napari-cellseg' if labels else ''}: "
            "pass TIFF, OME-Zarr or .npy files."
        )
    return found


def _is_ours(path: Path) -> bool:
    """Whether it is a TIFF of labels that `napari_cellseg.write_labels` wrote."""
    return path.is_file() and recipe_of_tiff(path) is not None


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
