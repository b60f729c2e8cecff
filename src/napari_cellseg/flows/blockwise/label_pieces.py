"""Third stage: connected pieces of instances, block by block and then across blocks; their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.blockwise.label_job import BlockJob, Frame, keep, kept, raster
from napari_cellseg.flows.blockwise.stages import Result, load_result, results


class Run(NamedTuple):
    """Runs of a block's instances: row in the block, first and last x in it, piece in it."""

    row: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    piece: NDArray[np.int32]


@dataclass(frozen=True)
class Numbered:
    """Instances of a frame; row i is id i + 1. All of covered voxels, without filled holes.

    Attributes
    ----------
    voxels, first, sink : numpy.ndarray, int64, shape (n,)
        Size; raster index of the first voxel, and of the sink.
    logit, agreement : numpy.ndarray, float32, shape (n,)
        Means of logits and of flow lengths.
    flow_error : numpy.ndarray or None, float32, shape (n,)
        None as long as it is not measured.
    moment : numpy.ndarray, int64, shape (n, 3)
        Sums of z, y, x.
    box : numpy.ndarray, int64, shape (n, 6)
        ``(z0, y0, x0, z1, y1, x1)``, half open.
    rejected : tuple of (where, voxels, reason)
        Raster indices and sizes of what gave no instance.
    """

    voxels: NDArray[np.int64]
    first: NDArray[np.int64]
    sink: NDArray[np.int64]
    logit: NDArray[np.float32]
    agreement: NDArray[np.float32]
    flow_error: NDArray[np.float32] | None
    moment: NDArray[np.int64]
    box: NDArray[np.int64]
    rejected: tuple[tuple[NDArray[np.int64], NDArray[np.int64], int], ...]


def pieces(job: BlockJob) -> Result:
    """Find the connected pieces (full connectivity) of each instance within the block.

    Keeps the runs, and the voxels on the faces of the block, with their pieces. Gives, for each
    piece, its instance and what `Numbered` says of it.
    """
    from napari_cellseg.flows.blockwise._label_kernels import join_runs, number_roots

    names = ("rows", "left", "right", "length", "logit", "which", "numbers")
    rows, left, right, length, logit, which, numbers = kept(job.frame, "borders", job.key, *names)
    owners = job.frame.table("owners")[numbers]
    depth, height, width = job.block.shape
    _, label = np.unique(owners, return_inverse=True)
    label = label.astype(np.int32)[which]
    row = np.searchsorted(rows, np.arange(depth * height + 1)).astype(np.int32)
    piece, count = number_roots(join_runs(label, left, right, row, height))
    run = Run(rows, left, right, piece)
    first = np.unique(piece, return_index=True)[1]
    z, y = rows // height, rows % height
    size = (right - left + 1).astype(np.int64)

    def total(values: NDArray[np.integer]) -> NDArray[np.int64]:
        out = np.zeros(count, np.int64)
        np.add.at(out, piece, values)
        return out

    low, high = np.full((count, 3), 1 << 62), np.zeros((count, 3), np.int64)
    for axis, (begin, end) in enumerate(((z, z + 1), (y, y + 1), (left, right + 1))):
        np.minimum.at(low[:, axis], piece, begin)
        np.maximum.at(high[:, axis], piece, end)
    sums = (total(size * z), total(size * y), total((left + right) * size // 2))
    voxels = total(size)
    local = rows[first].astype(np.int64) * width + left[first]
    keep(job, "pieces", **run._asdict(), **_surface(job, run))
    return {
        "instance": owners[which[first]],
        "voxels": voxels,
        "first": raster(local, job.block.core, job.frame.shape),
        "length": total(length),
        "logit": total(logit),
        "moment": np.stack(sums, -1) + voxels[:, None] * job.origin,
        "box": np.concatenate([low + job.origin, high + job.origin], 1),
    }


def match(job: BlockJob) -> Result:
    """Find the pieces of this block that touch pieces of the blocks after it, of one instance.

    Gives rows (piece here, number of the other block, piece there).
    """
    from napari_cellseg.flows.blockwise._label_kernels import touching

    frame, core = job.frame, job.block.core
    around = tuple(slice(part.start - 1, part.stop + 1) for part in core)
    size = tuple(part.stop - part.start for part in around)
    canvas: NDArray[np.int32] = np.zeros(size, np.int32)
    own = load_result(frame.work, "pieces", job.key)["instance"]
    (voxel, piece) = kept(frame, "pieces", job.key, "surface", "surface_piece")
    _within(voxel, around, frame.shape, canvas, piece + 1)
    found = []
    for number, index in _after(frame, job.block.index):
        key = frame.key(index)
        instance = load_result(frame.work, "pieces", key)["instance"]
        voxel, piece = kept(frame, "pieces", key, "surface", "surface_piece")
        near, chosen = _within(voxel, around, frame.shape)
        piece = piece[chosen].astype(np.int64)
        pairs = touching(canvas, near, piece, instance[piece], own)
        pairs = np.unique(pairs, axis=0)
        found.append(np.insert(pairs, 1, number, 1))
    return {"pairs": np.concatenate(found) if found else np.zeros((0, 3), np.int64)}


def number_pieces(frame: Frame, jobs: Sequence[BlockJob]) -> Numbered:
    """Unite pieces across blocks, and choose which are instances; keep the id of each piece.

    The rows of the table ``ids`` are the pieces of all blocks, in the order of blocks; ``begins``
    has each block's first row.
    """
    from napari_cellseg.flows._runs import LOGIT_STEPS
    from napari_cellseg.flows.blockwise._label_kernels import united
    from napari_cellseg.flows.frame_labels import REASONS

    min_size = frame.min_size
    found = [result for _, result in results(frame.work, "pieces", jobs)]
    begins = np.cumsum([0] + [one["instance"].size for one in found])
    pairs = [
        np.stack([begins[job.number] + rows[:, 0], begins[rows[:, 1]] + rows[:, 2]], -1)
        for job, result in results(frame.work, "match", jobs)
        for rows in (result["pairs"],)
    ]
    root, group = np.unique(united(int(begins[-1]), np.concatenate(pairs)), return_inverse=True)
    columns = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    instance = columns["instance"][root]

    def total(name: str) -> NDArray[np.int64]:
        out = np.zeros((root.size, *columns[name].shape[1:]), np.int64)
        np.add.at(out, group, columns[name])
        return out

    voxels, first = total("voxels"), np.full(root.size, 1 << 62)
    np.minimum.at(first, group, columns["first"])
    low = np.full((root.size, 3), 1 << 62)
    high = np.zeros((root.size, 3), np.int64)
    np.minimum.at(low, group, columns["box"][:, :3])
    np.maximum.at(high, group, columns["box"][:, 3:])

    # of each instance the largest piece, ties by the first voxel
    order = np.lexsort((first, -voxels, instance))
    begin = np.flatnonzero(np.diff(instance[order], prepend=-1))
    largest = np.repeat(order[begin], np.diff(np.append(begin, order.size)))
    is_main = np.zeros(root.size, bool)
    is_main[order[begin]] = True
    half = np.zeros(root.size, bool)
    half[order] = 2 * voxels[order] >= voxels[largest]
    extra = ~is_main & half & (voxels >= max(1, min_size))
    by_first = np.argsort(first)
    stray = by_first[~(is_main | extra)[by_first]]
    # small ones are told of in this order
    chosen = np.concatenate([order[begin], by_first[extra[by_first]]])
    sink = np.where(is_main, frame.table("owner_sinks")[instance], first)
    small = chosen[voxels[chosen] < min_size]
    kept_ones = chosen[voxels[chosen] >= max(1, min_size)]
    kept_ones = kept_ones[np.argsort(first[kept_ones])]
    new = np.zeros(root.size, np.int64)
    new[kept_ones] = np.arange(1, kept_ones.size + 1)
    frame.keep_table("ids", new[group])
    frame.keep_table("begins", begins)
    return Numbered(
        voxels=voxels[kept_ones],
        first=first[kept_ones],
        sink=sink[kept_ones],
        logit=(total("logit") / LOGIT_STEPS / voxels).astype(np.float32)[kept_ones],
        agreement=(total("length") / 255.0 / voxels).astype(np.float32)[kept_ones],
        flow_error=None,
        moment=total("moment")[kept_ones],
        box=np.concatenate([low, high], 1)[kept_ones],
        rejected=(
            (first[stray], voxels[stray], REASONS.index("stray")),
            (sink[small], voxels[small], REASONS.index("small")),
        ),
    )


def runs_of(frame: Frame, key: str) -> Run:
    """Runs of a block with their pieces."""
    return Run(*kept(frame, "pieces", key, *Run._fields))


def _surface(job: BlockJob, run: Run) -> dict[str, NDArray[np.int64]]:
    """Voxels (raster indices in the frame) on those faces that other blocks touch; their pieces."""
    core, shape = job.block.core, job.frame.shape
    _, height, width = job.block.shape
    before = [part.start > 0 for part in core]
    after = [part.stop < n for part, n in zip(core, shape, strict=True)]
    whole = np.zeros(run.row.size, bool)
    for axis, at in ((0, run.row // height), (1, run.row % height)):
        whole |= (at == 0) & before[axis]
        whole |= (at == job.block.shape[axis] - 1) & after[axis]
    # runs in such a face with all their voxels, others with their ends
    size = np.where(whole, run.right - run.left + 1, 0).astype(np.int64)
    inner = np.repeat(np.arange(size.size), size)
    step = np.arange(inner.size) - np.repeat(np.cumsum(size) - size, size)
    first = np.flatnonzero(~whole & (run.left == 0) & before[2])
    last = np.flatnonzero(~whole & (run.right == width - 1) & after[2])
    which = np.concatenate([inner, first, last])
    x = np.concatenate([run.left[inner] + step, run.left[first], run.right[last]])
    voxel = raster(run.row[which].astype(np.int64) * width + x, core, shape)
    return {"surface": voxel, "surface_piece": run.piece[which].astype(np.int64)}


def _within(
    voxel: NDArray[np.int64],
    around: tuple[slice, ...],
    shape: tuple[int, int, int],
    canvas: NDArray[np.int32] | None = None,
    values: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels of the frame that lie in a region, as raster indices in it, and which they are.

    Writes their values into `canvas`, if one is given.
    """
    position = np.unravel_index(voxel, shape)
    size = tuple(part.stop - part.start for part in around)
    local = [at - part.start for at, part in zip(position, around, strict=True)]
    fits = np.ones(voxel.size, bool)
    for at, n in zip(local, size, strict=True):
        fits &= (at >= 0) & (at < n)
    chosen = np.flatnonzero(fits)
    near = np.ravel_multi_index(tuple(at[chosen] for at in local), size)
    if canvas is not None and values is not None:
        canvas.reshape(-1)[near] = values[chosen]
    return near, chosen


def _after(frame: Frame, index: tuple[int, int, int]) -> list[tuple[int, tuple[int, int, int]]]:
    """Number and index of the neighbours (26) of a block that come after it in the plan."""
    counts = tuple(-(-n // b) for n, b in zip(frame.shape, frame.block, strict=True))
    found = []
    for step in np.ndindex(3, 3, 3):
        if step <= (1, 1, 1):
            continue
        z, y, x = (int(a + b - 1) for a, b in zip(index, step, strict=True))
        if all(0 <= a < n for a, n in zip((z, y, x), counts, strict=True)):
            found.append(((z * counts[1] + y) * counts[2] + x, (z, y, x)))
    return found
