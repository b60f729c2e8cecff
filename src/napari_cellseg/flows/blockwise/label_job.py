"""What the jobs of blockwise labelling are given, and where they keep voxels for later stages."""

import os
import secrets
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import StorageError
from napari_cellseg.flows.blockwise.executor import Executor, Result
from napari_cellseg.flows.blockwise.plan import Block
from napari_cellseg.flows.blockwise.stages import READING, run_stage
from napari_cellseg.flows.progress import Progress

Region = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Frame:
    """One frame of a field that is being labelled.

    Attributes
    ----------
    field, output, work : Path
        Field store; array of labels; folder of what is kept between stages.
    t : int or None
        Which frame; None if the field has no time.
    shape, block, halo : tuple of int
        Voxels (z, y, x) of the frame, of a block, and how many are read around one.
    spacing : tuple of float
        ``(z, y, x)`` in µm.
    planar : bool
        Whether it is a plane.
    split : bool
        Whether basins are judged plane by plane.
    floor, threshold : float
        Logits above which a voxel is covered, and foreground.
    min_size : int
        Voxels of the smallest instance.
    flow_error : float or None
        Largest flow error of an instance.
    """

    field: Path
    output: Path
    work: Path
    t: int | None
    shape: tuple[int, int, int]
    block: tuple[int, int, int]
    halo: tuple[int, int, int]
    spacing: tuple[float, float, float]
    planar: bool
    split: bool
    floor: float
    threshold: float
    min_size: int
    flow_error: float | None

    @property
    def limit(self) -> float:
        """Largest flow error of an instance, infinite where there is none."""
        return float("inf") if self.flow_error is None else self.flow_error

    @property
    def tables(self) -> Path:
        """Folder of what is kept of the frame as a whole."""
        return self.work / f"t{self.t or 0:05d}"

    def key(self, index: tuple[int, int, int]) -> str:
        """Name of a block of this frame, unique among all frames."""
        return "-".join(map(str, index if self.t is None else (self.t, *index)))

    def table(self, name: str) -> NDArray[Any]:
        """A table of the whole frame that `keep_table` wrote; it stays on disk until it is read."""
        file = self.tables / f"{name}.npy"
        with READING:
            array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        return array

    def place(self, region: Region) -> tuple[int | slice, ...]:
        """Index of a region of this frame in the array of labels."""
        part = region[1:] if self.planar else region
        return part if self.t is None else (self.t, *part)

    def keep_table(self, name: str, values: NDArray[Any]) -> None:
        """Write a table of the whole frame for jobs to look things up in."""
        with replaced(self.tables / f"{name}.npy") as part, part.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)


@dataclass(frozen=True)
class BlockJob:
    """One block in one stage.

    Attributes
    ----------
    frame : Frame
    block : Block
    number : int
        Place of the block in the plan.
    rows : tuple of int
        First and last + 1 of the rows of a table that are this job's.
    sources : tuple of str
        Keys of the jobs that found gaps in this block.
    parts : tuple of str
        Keys of the jobs that found parts of instances in this block.
    """

    frame: Frame
    block: Block
    number: int
    rows: tuple[int, int] = (0, 0)
    sources: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the block."""
        return self.frame.key(self.block.index)

    @property
    def origin(self) -> NDArray[np.int64]:
        """First voxel (z, y, x) of the block."""
        return np.array([part.start for part in self.block.core])

    def spread(self) -> Region:
        """The block and the next voxel after it along each axis."""
        z, y, x = (
            slice(part.start, min(part.stop + 1, n))
            for part, n in zip(self.block.core, self.frame.shape, strict=True)
        )
        return z, y, x


@dataclass(frozen=True)
class Stages:
    """Runs stages, each with the blocks of all frames at once.

    Parameters
    ----------
    executor : Executor
    work : Path
    progress : Progress
    """

    executor: Executor
    work: Path
    progress: Progress

    def __call__(
        self,
        name: str,
        function: Callable[[BlockJob], Result],
        jobs: Sequence[BlockJob],
        start: float,
        stop: float,
        message: str,
    ) -> None:
        """Do those jobs of a stage that are not done, from `start` to `stop` of the whole."""
        part = self.progress.part(start, stop)
        run_stage(self.executor, self.work, name, function, jobs, part, message)


class replaced:  # noqa: N801 - reads as a verb: with replaced(file) as part
    """A file to write that takes the place of `file` when it is whole, also on disk."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")

    def __enter__(self) -> Path:
        return self._part

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        try:
            if kind is None:
                with self._part.open("rb") as stream:
                    os.fsync(stream.fileno())
                os.replace(self._part, self._file)
        except OSError as problem:
            raise StorageError(
                f"{str(self._file)!r} cannot be written ({problem.strerror or problem}): free "
                "space and run the same again, which goes on where it stopped."
            ) from problem
        finally:
            self._part.unlink(missing_ok=True)


def keep(job: BlockJob, stage: str, **arrays: NDArray[Any]) -> None:
    """Write what a later stage needs of this block's voxels; only workers read it."""
    folder = job.frame.work / stage
    folder.mkdir(parents=True, exist_ok=True)
    with replaced(folder / f"{job.key}.voxels") as part, part.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def kept(frame: Frame, stage: str, key: str, *names: str) -> list[NDArray[Any]]:
    """The named arrays that `keep` wrote.

    Raises
    ------
    StorageError
        If they are not there, or damaged.
    """
    file = frame.work / stage / f"{key}.voxels"
    try:
        # opened here, because numpy leaves a damaged file open
        with READING, file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            return [found[name] for name in names]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{str(file)!r} is missing or damaged: delete the folder {frame.work.name!r} and run "
            "again."
        ) from error


def drop(work: Path, stage: str) -> None:
    """Remove what `keep` wrote in a stage, when no later one needs it; its markers stay."""
    for file in (work / stage).glob("*.voxels"):
        file.unlink(missing_ok=True)


def size_of(region: Region) -> tuple[int, int, int]:
    """Voxels (z, y, x) of a region."""
    z, y, x = (part.stop - part.start for part in region)
    return z, y, x


def raster(local: NDArray[np.integer], region: Region, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Raster indices in the whole volume of voxels given by raster indices in a region of it."""
    _, height, width = size_of(region)
    row = local.astype(np.int64) // width
    x = local - row * width + region[2].start
    z = row // height
    y = row - z * height + region[1].start
    return np.asarray(((z + region[0].start) * shape[1] + y) * shape[2] + x)


def located(voxels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Positions (n, 3) of raster indices."""
    return np.stack(np.unravel_index(voxels, shape), -1).astype(np.int64)


def inside(region: Region, part: Region) -> NDArray[np.bool_]:
    """Mask of a region (flat) that is true in a part of it."""
    mask = np.zeros(size_of(region), bool)
    mask[relative(part, region)] = True
    return mask.reshape(-1)


def relative(part: Region, region: Region) -> Region:
    """Slices of a part within a region."""
    z, y, x = (
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, region, strict=True)
    )
    return z, y, x


def block_numbers(frame: Frame, position: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place in the plan of the block that holds each position (n, 3)."""
    counts = [-(-n // b) for n, b in zip(frame.shape, frame.block, strict=True)]
    index = position // np.asarray(frame.block)
    return np.asarray((index[:, 0] * counts[1] + index[:, 1]) * counts[2] + index[:, 2])


def crossed(
    frame: Frame,
    z: NDArray[np.int64],
    y: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Places in the plan of the blocks that intervals along x lie in, each once."""
    # one may go on through several blocks
    count = right // frame.block[2] - left // frame.block[2] + 1
    number = np.repeat(block_numbers(frame, np.stack([z, y, left], -1)), count)
    step = np.arange(number.size) - np.repeat(np.cumsum(count) - count, count)
    return np.asarray(np.unique(number + step))
