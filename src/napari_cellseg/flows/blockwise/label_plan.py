"""What a run of blockwise labelling does: its frames and blocks, and where it writes."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.flows.blockwise.label_job import BlockJob, Frame, replaced
from napari_cellseg.flows.blockwise.plan import Block, check_block, default_block, plan_blocks
from napari_cellseg.flows.request import check_flow_error, check_min_size, check_probability

if TYPE_CHECKING:
    from napari_cellseg.flows.field_store import FieldStore

#: Voxels of the finest axis that are read around a block beyond what a step needs. Most chains end
#: within; those that go farther are followed by the blocks that they go to.
_HALO = 16
_RECIPE = "labels.json"
#: Stages that write or read the labels: they are done again if the array is gone.
_WRITING = ("write", "errors", "rewrite")
#: Ids from here on need uint64.
_LARGEST = 2**32


@dataclass(frozen=True)
class LabelPlan:
    """A run of blockwise labelling.

    Attributes
    ----------
    field : FieldStore
    output : Path
        Array of labels.
    work : Path
        Folder of what is kept between stages.
    frames : tuple of Frame
    blocks : tuple of Block
        Of each frame, in raster order.
    chunks : tuple of int
        ``([z,] y, x)`` of the labels.
    recipe : dict
        What the result and the files of the work folder depend on.
    """

    field: "FieldStore"
    output: Path
    work: Path
    frames: tuple[Frame, ...]
    blocks: tuple[Block, ...]
    chunks: tuple[int, ...]
    recipe: dict[str, Any]

    def jobs(self, frame: Frame) -> list[BlockJob]:
        """One job for each block of a frame, in raster order."""
        return [BlockJob(frame, block, number) for number, block in enumerate(self.blocks)]

    def begin(self) -> None:
        """Make the folders, or find those of an unfinished run of the same.

        Raises
        ------
        StorageError
            If the output exists already, or the folder is of something else.
        """
        file = self.work / _RECIPE
        text = json.dumps(self.recipe, indent=1)
        known = file.is_file()
        if known and file.read_text("utf-8") != text:
            raise StorageError(
                f"{str(self.work)!r} is of a run with another field or other settings: delete it, "
                "or choose another place."
            )
        if not known and self.output.exists():
            raise StorageError(f"{str(self.output)!r} exists: delete it, or choose another name.")
        try:
            for frame in self.frames:
                frame.tables.mkdir(parents=True, exist_ok=True)
            if not known:
                with replaced(file) as part:
                    part.write_text(text, "utf-8")
        except OSError as error:
            raise StorageError(
                f"{str(self.work)!r} cannot be written ({error.strerror or error}): free space or "
                "choose another place."
            ) from error

    def make_output(self, highest: int) -> None:
        """Create the array of labels up to `highest`, if it is not there."""
        import zarr

        if self.output.exists():
            return
        for stage in _WRITING:  # then nothing of it has been written
            shutil.rmtree(self.work / stage, ignore_errors=True)
        field = self.field
        part = self.output.with_name(f".{self.output.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        zarr.create_array(
            part,
            shape=field.shape,
            chunks=(*(1 for _ in range(field.has_time)), *self.chunks),
            dtype=np.uint32 if highest < _LARGEST else np.uint64,
            dimension_names=[*"t"[: field.has_time], *"zyx"[3 - field.ndim :]],
            zarr_format=3,
        )
        part.replace(self.output)


def plan_labels(
    field: "FieldStore",
    output: Path,
    work: Path,
    *,
    probability: float,
    min_size: int,
    flow_error: float | None,
    block: Sequence[int] | None,
    halo: int | Sequence[int] | None,
    chunks: Sequence[int] | None,
) -> LabelPlan:
    """Check what is asked of `label_store`, before anything is read or written.

    Raises
    ------
    InputError
        If a parameter is not usable.
    """
    from napari_cellseg.flows.frame_labels import split_by_plane
    from napari_cellseg.flows.integrate import LOOSEST, reach, voxel_ratio

    probability = check_probability(probability)
    least = check_min_size(min_size) or 0
    limit = 0.0 if flow_error == 0 else check_flow_error(flow_error)
    if field.stitched:
        raise InputError(
            "A field of xy planes that are to be stitched cannot be labelled block by block: "
            "predict it with another fusion, or label it in memory."
        )
    planar = field.ndim == 2
    shape = _volume(field.spatial_shape)
    pieces = _chunks(field.chunks if chunks is None else chunks, field)
    size = default_block(shape, _volume(pieces))
    if block is not None:
        wanted = (1, *block) if planar and len(block) == 2 else tuple(block)
        size = check_block(wanted, shape, _volume(pieces))
    ratio = voxel_ratio(np.asarray(field.spacing), planar)
    margin = _margin(halo, ratio, planar)
    # one more than a step needs: the layer after a block is followed with it
    z, y, x = (m + r + 1 for m, r in zip(margin, reach(ratio), strict=True))
    around = (0 if planar else z, y, x)
    if math.prod(b + 2 * h for b, h in zip(size, around, strict=True)) >= 2**31:
        raise InputError(f"A block of {size} voxels is too large: choose a smaller one.")
    threshold = float(np.float32(np.log(probability / (1 - probability))))
    frames = tuple(
        Frame(
            field=field.path,
            output=output,
            work=work,
            t=t if field.has_time else None,
            shape=shape,
            block=size,
            halo=around,
            spacing=field.spacing,
            planar=planar,
            split=split_by_plane(field.spacing, planar),
            floor=min(LOOSEST, threshold),
            threshold=threshold,
            min_size=least,
            flow_error=limit,
        )
        for t in range(field.n_times)
    )
    recipe = {
        "field": [str(field.path), list(field.shape), list(field.spacing), field.precision],
        "labels": [probability, least, limit],
        "blocks": [list(size), list(around), list(pieces)],
    }
    blocks = tuple(plan_blocks(shape, _volume(pieces), size))
    return LabelPlan(field, output, work, frames, blocks, pieces, recipe)


def _volume(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Sizes along (z, y, x); a plane is one thick."""
    z, y, x = sizes if len(sizes) == 3 else (1, *sizes)
    return int(z), int(y), int(x)


def _chunks(chunks: Sequence[int], field: "FieldStore") -> tuple[int, ...]:
    if len(chunks) != field.ndim or min(chunks) < 1:
        raise InputError(f"chunks={tuple(chunks)} do not fit a field of {field.ndim} axes.")
    return tuple(min(int(c), n) for c, n in zip(chunks, field.spatial_shape, strict=True))


def _margin(
    halo: int | Sequence[int] | None, ratio: NDArray[np.float32], planar: bool
) -> tuple[int, int, int]:
    """Voxels (z, y, x) that are read beyond what one step needs."""
    if halo is None:
        wanted = [math.ceil(_HALO * float(r)) for r in ratio]
    elif isinstance(halo, int):
        wanted = [halo] * 3
    else:
        wanted = [0, *halo] if planar and len(halo) == 2 else list(halo)
    if len(wanted) != 3 or min(wanted) < 0:
        raise InputError(f"halo={halo!r} must be a number of voxels, or one for each axis.")
    z, y, x = (int(w) for w in wanted)
    return z, y, x
