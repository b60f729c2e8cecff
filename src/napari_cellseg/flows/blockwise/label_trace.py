"""First stage: where the flow takes each foreground voxel of a block.

A block is read with a halo. Chains of pointers are followed as far as pointers are the same as in
the whole volume, which is up to `integrate.reach` from the edge of what was read. A chain that goes
on from there has an exit: the voxel at which the block that holds it takes it up, in rounds, until
every chain has its terminal. So no trajectory is too long, and what is read stays bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows.blockwise.executor import job_threads
from napari_cellseg.flows.blockwise.label_job import (
    BlockJob,
    Frame,
    Region,
    Stages,
    block_numbers,
    inside,
    keep,
    located,
    raster,
    relative,
    size_of,
)
from napari_cellseg.flows.blockwise.stages import Result, results

_PIECE = 1 << 16  # voxels that one call of the stepping kernel moves


@dataclass(frozen=True)
class _Packed:
    """Covered voxels of a region; `voxels` are raster indices in it."""

    region: Region
    volume: NDArray[np.int32]
    voxels: NDArray[np.int32]
    logits: NDArray[np.float32]
    lengths: NDArray[np.uint8]


def trace(job: BlockJob) -> Result:
    """Find the terminal or exit of each foreground voxel of the block and of the layer after it.

    Keeps, of those voxels, their mask in the region (bits), words, flow lengths, logits, and which
    of the codes is theirs. Gives the codes: a terminal's raster index, or -1 - that of an exit.
    """
    frame = job.frame
    spread = job.spread()
    packed = _read(frame, job.block.with_halo(frame.halo, frame.shape))
    flat = packed.volume.reshape(-1)
    wanted = inside(packed.region, spread)[packed.voxels]
    starts = np.flatnonzero(wanted & (packed.logits > np.float32(frame.threshold)))
    _, ends = _followed(frame, packed, starts)
    ends = ends[starts]
    used = np.zeros(packed.voxels.size, bool)
    used[ends] = True
    chosen = np.flatnonzero(used)
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    mask = np.zeros(flat.size, bool)
    mask[packed.voxels[starts]] = True
    keep(
        job,
        "trace",
        mask=np.packbits(mask.reshape(packed.volume.shape)[relative(spread, packed.region)]),
        words=flat[packed.voxels[starts]],
        lengths=packed.lengths[starts],
        logits=packed.logits[starts].astype(np.float16),  # exact: see `_field_codes`
        code=number[ends],
    )
    return {"codes": _codes(frame, packed, chosen)}


def take_up(job: BlockJob) -> Result:
    """Follow the chains that enter this block at the voxels of its rows in the table of entries.

    Gives, for each entry, where its chain ends (a code as in `trace`), and the lowest raster index
    on the way, in case that it is part of a cycle that crosses blocks.
    """
    from napari_cellseg.flows.blockwise._label_kernels import lowest_on_way

    frame = job.frame
    packed = _read(frame, job.block.with_halo(frame.halo, frame.shape))
    entries = np.asarray(frame.table("entries")[slice(*job.rows)])
    position = located(entries, frame.shape) - [part.start for part in packed.region]
    local = np.ravel_multi_index(tuple(position.T), packed.volume.shape)
    starts = np.searchsorted(packed.voxels, local)
    pointers, ends = _followed(frame, packed, starts)
    ends = ends[starts]
    code = _codes(frame, packed, ends)
    lowest = np.full(starts.size, -1, np.int64)
    leaves = np.flatnonzero(code < 0)
    way = lowest_on_way(pointers, starts[leaves], ends[leaves])
    lowest[leaves] = raster(packed.voxels[way], packed.region, frame.shape)
    return {"entry": entries, "code": code, "lowest": lowest}


def settle_exits(frames: Sequence[Sequence[BlockJob]], stages: Stages) -> None:
    """Have every exit of every frame followed to its terminal, block by block.

    `frames` are the jobs of each. Keeps a table of exits and their terminals of each frame.
    """
    chains = [_Chains(jobs) for jobs in frames]
    turn = 0
    while asked := [job for one in chains for job in one.ask()]:
        name = f"exits{turn}"
        stages(name, take_up, asked, 0.5, 0.5, "following the flow")
        for one in chains:
            one.learn(name)
        turn += 1
    for one in chains:
        one.settle()


class _Chains:
    """Chains of one frame that go on in other blocks than they began in."""

    def __init__(self, jobs: Sequence[BlockJob]) -> None:
        self._frame, self._jobs = jobs[0].frame, jobs
        self._asked: list[BlockJob] = []
        found = [result["codes"] for _, result in results(self._frame.work, "trace", jobs)]
        self._pending = _exits(np.concatenate(found))
        # rows (entry, code of the end, lowest on the way)
        self._known = np.zeros((0, 3), np.int64)

    def ask(self) -> list[BlockJob]:
        """Jobs that follow what is not known yet, each with its rows of the table of entries."""
        pending = self._pending
        if not pending.size:
            self._asked = []
            return []
        owner = block_numbers(self._frame, located(pending, self._frame.shape))
        order = np.argsort(owner, kind="stable")
        self._frame.keep_table("entries", pending[order])
        numbers, first = np.unique(owner[order], return_index=True)
        last = np.append(first[1:], pending.size)
        self._asked = [
            replace(self._jobs[number], rows=(int(a), int(b)))
            for number, a, b in zip(numbers, first, last, strict=True)
        ]
        return self._asked

    def learn(self, stage: str) -> None:
        """Add what the jobs found; where chains go on, there is more to ask."""
        rows = [self._known]
        for _, found in results(self._frame.work, stage, self._asked):
            rows.append(np.stack([found["entry"], found["code"], found["lowest"]], -1))
        self._known = np.concatenate(rows)
        self._pending = np.setdiff1d(_exits(self._known[:, 1]), self._known[:, 0])

    def settle(self) -> None:
        """Keep the table of exits and terminals."""
        from napari_cellseg.flows._terminals import terminals

        entry, code, lowest = self._known[np.argsort(self._known[:, 0])].T
        leaves = code < 0
        onward = np.arange(entry.size, dtype=np.int32)
        onward[leaves] = np.searchsorted(entry, -1 - code[leaves])
        end = terminals(onward)
        terminal = code[end]
        for root in np.unique(end[terminal < 0]):  # a cycle through several blocks
            low, at = lowest[root], onward[root]
            while at != root:
                low, at = min(low, lowest[at]), onward[at]
            terminal[end == root] = low
        self._frame.keep_table("exits", np.stack([entry, terminal]))


def _exits(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.unique(-1 - codes[codes < 0]))


def _read(frame: Frame, region: Region) -> _Packed:
    """Pack a region, by layers of chunks, so that little of it is in memory unpacked."""
    from napari_cellseg.flows import _packing
    from napari_cellseg.flows.field_store import FieldStore

    store = FieldStore.open(frame.field)
    shape = size_of(region)
    volume: NDArray[np.int32] = np.zeros(shape, np.int32)
    limit = np.float32(frame.floor)
    parts = []
    thickness = 1 if frame.planar else store.chunks[0]
    top, bottom = region[0].start, region[0].stop
    edges = [top, *range((top // thickness + 1) * thickness, bottom, thickness), bottom]
    for start, stop in pairwise(edges):
        layer = (slice(start, stop), *region[1:])
        flow, logits = store.read(layer[1:] if frame.planar else layer, frame.t or 0)
        if frame.planar:
            flow, logits = flow[:, None], logits[None]
        count = np.count_nonzero(logits > limit)
        voxels = np.empty(count, np.int32)
        kept = np.empty(count, np.float32)
        lengths = np.empty(count, np.uint8)
        _packing.pack(
            np.ascontiguousarray(flow),
            np.ascontiguousarray(logits),
            limit,
            (start - top) * shape[1] * shape[2],
            volume[start - top : stop - top],
            voxels,
            kept,
            lengths,
        )
        parts.append((voxels, kept, lengths))
    voxels, kept, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Packed(region, volume, voxels, kept, lengths)


def _followed(
    frame: Frame, packed: _Packed, starts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pointers of `starts` and of whatever they lead to; and where chains end.

    Both by covered voxel. Voxels whose pointer the halo does not suffice for end where they are.
    """
    from napari_cellseg.flows import _steps
    from napari_cellseg.flows._jit import run_chunks
    from napari_cellseg.flows._terminals import terminals
    from napari_cellseg.flows.integrate import step_counts, voxel_ratio

    threads = job_threads()
    ratio = voxel_ratio(np.asarray(frame.spacing), frame.planar)
    steps, limit = step_counts(ratio)
    ranks = _steps.ranks(packed.volume.reshape(-1))
    pointers = np.full(packed.voxels.size, -1, np.int32)
    while starts.size:
        out = np.empty(starts.size, np.int32)
        voxels = packed.voxels[starts]

        def move(
            first: int, voxels: NDArray[np.int32] = voxels, out: NDArray[np.int32] = out
        ) -> None:
            part = slice(first, first + _PIECE)
            _steps.move(packed.volume, voxels[part], ratio, steps, limit, *ranks, out[part])

        run_chunks(move, list(range(0, starts.size, _PIECE)), threads)
        pointers[starts] = out
        new = np.unique(out[pointers[out] < 0]).astype(np.int64)
        exact = _exact(frame, packed, new)
        pointers[new[~exact]] = new[~exact]
        starts = new[exact]
    unknown = np.flatnonzero(pointers < 0)
    pointers[unknown] = unknown
    return pointers, terminals(pointers, threads)


def _exact(frame: Frame, packed: _Packed, which: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether the pointers of covered voxels do not depend on what was not read."""
    from napari_cellseg.flows.integrate import reach, voxel_ratio

    far = reach(voxel_ratio(np.asarray(frame.spacing), frame.planar))
    position = np.unravel_index(packed.voxels[which], packed.volume.shape)
    out = np.ones(which.size, bool)
    for at, part, more, n in zip(position, packed.region, far, frame.shape, strict=True):
        if part.start > 0:
            out &= at >= more
        if part.stop < n:
            out &= at < part.stop - part.start - more
    return out


def _codes(frame: Frame, packed: _Packed, ends: NDArray[np.integer]) -> NDArray[np.int64]:
    """Raster index in the frame of terminals; -1 - that of exits."""
    code = raster(packed.voxels[ends], packed.region, frame.shape)
    return np.where(_exact(frame, packed, ends), code, -1 - code)
