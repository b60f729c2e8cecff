"""From a flow field to trajectories: every foreground voxel's terminal voxel.

Instead of many small steps for every voxel (Cellpose takes 200), a few sub-voxel steps give each
foreground voxel a pointer to the voxel it reaches, and the pointers are followed to their end (see
`_terminals`). Only here are physical directions divided by the spacing.

Positions are displacements from the start voxel, in float32, from flows quantised to 8 bits: so the
result is the same bit for bit wherever the volume lies in a larger one, for any number of threads,
and with numba and torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_cellseg.flows.progress import Progress

#: Logit of p = 0.003, the loosest threshold that is useful: trajectories start above it.
LOOSEST = float(np.float32(np.log(0.003 / 0.997)))

_STEPS = 3  # unit steps of every voxel, at least
_REACH = 0.8  # and at least so many that they span this many voxels along the coarsest axis
_CROSS = 2.0  # a voxel that has not left its own goes on for as many as span this many voxels
_SLAB = 1 << 18  # voxels that are packed at once: their float32 flow is 3 MB
_PIECE = 1 << 16  # voxels that one call of a stepping kernel moves: short enough to cancel


@dataclass(frozen=True)
class Integration:
    """Trajectories of one frame over the loosest foreground; all thresholds start from here.

    Attributes
    ----------
    shape : tuple of int
        ``(z, y, x)``; planes have one z.
    planar : bool
        Whether it is of a 2D field.
    spacing : tuple of float
        ``(z, y, x)`` in µm.
    floor : float
        Voxels with a logit above it are covered.
    voxels : numpy.ndarray, int32 or int64, shape (n,)
        Raster index of each covered voxel, ascending.
    terminal : numpy.ndarray, int32, shape (n,)
        Where its trajectory ends, as an index into `voxels`: the lowest of the voxels among which
        it goes round at last, mostly one.
    logits : numpy.ndarray, float32, shape (n,)
        Logit of each covered voxel.
    words : numpy.ndarray, int32, shape (n,)
        Unit direction and confidence of each covered voxel, a byte each (see `_packing`).
    lengths : numpy.ndarray, uint8, shape (n,)
        Length of the flow of each covered voxel, in steps of 1/255; 255 is 1 and more.
    """

    shape: tuple[int, int, int]
    planar: bool
    spacing: tuple[float, float, float]
    floor: float
    voxels: NDArray[np.integer]
    terminal: NDArray[np.int32]
    logits: NDArray[np.float32]
    words: NDArray[np.int32]
    lengths: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """Bytes kept: 17 a covered voxel (21 in volumes of 2**31 voxels and more)."""
        arrays = (self.voxels, self.terminal, self.logits, self.words, self.lengths)
        return sum(array.nbytes for array in arrays)


def integrate(
    flow: NDArray[np.floating],
    logits: NDArray[np.floating],
    spacing: "Sequence[float]",
    *,
    floor: float = LOOSEST,
    threads: int | None = None,
    device: str = "cpu",
    progress: "Progress | None" = None,
) -> Integration:
    """Follow one frame's flow from every voxel with a logit above `floor`.

    Parameters
    ----------
    flow : array of float, shape (D, [z,] y, x)
        Physical directions.
    logits : array of float, shape ([z,] y, x)
        Cell probability.
    spacing : sequence of float
        ``(z, y, x)`` in µm.
    floor : float
        Logit of the loosest foreground.
    threads : int, optional
        Number of threads; by default one per core. The result does not depend on it.
    device : str
        ``"cpu"`` runs numba; ``"cuda"``, ``"mps"`` or ``"torch-cpu"`` runs torch, with the same
        result.
    progress : Progress, optional
        Checked between pieces of work.

    Returns
    -------
    Integration

    Raises
    ------
    InputError
        If the volume has more than 2**31 - 1 covered voxels (use the blockwise engine).
    Cancelled
        If the user has cancelled.
    """
    if device != "cpu":
        from napari_cellseg.flows.device_integration import integrate_with_torch

        name = device.removeprefix("torch-")
        return integrate_with_torch(
            flow, logits, spacing, floor=floor, device=name, progress=progress
        )
    from napari_cellseg.flows._terminals import terminals

    planar = logits.ndim == 2
    if planar:
        flow, logits = flow[:, None], logits[None]
    shape = (int(logits.shape[0]), int(logits.shape[1]), int(logits.shape[2]))
    steps = np.asarray(spacing, np.float64)
    volume, voxels, kept_logits, lengths = _pack(flow, logits, floor, threads, progress)
    if voxels.size >= 2**31 - 1:
        raise InputError(
            f"The foreground has {voxels.size} voxels, more than can be integrated at once."
        )
    ratio = voxel_ratio(steps, planar)
    pointers = _pointers(volume, voxels, ratio, threads, progress)
    _poll(progress)
    words = volume[volume != 0]  # in raster order, as the voxels; by their index it would be copied
    del volume  # what is not needed any more goes before the next array comes
    terminal = terminals(pointers, threads)
    del pointers
    return Integration(
        shape=shape,
        planar=planar,
        spacing=(float(steps[0]), float(steps[1]), float(steps[2])),
        floor=floor,
        voxels=voxels,
        terminal=terminal,
        logits=kept_logits,
        words=words,
        lengths=lengths,
    )


def voxel_ratio(spacing: NDArray[np.float64], planar: bool) -> NDArray[np.float32]:
    """Voxels per unit step along each axis: a step is as long as the finest in-plane spacing."""
    ratio = spacing[1:].min() / spacing
    if planar:
        ratio[0] = 0.0
    return np.asarray(ratio, np.float32)


def step_counts(ratio: NDArray[np.float32]) -> tuple[int, int]:
    """Steps of every voxel, and the most of one that has not left its own voxel by then."""
    slowest = float(ratio[ratio > 0].min())
    steps = max(_STEPS, int(np.ceil(min(_REACH / slowest, 32.0) - 1e-3)))
    return steps, max(steps, int(np.ceil(min(_CROSS / slowest, 64.0) - 1e-3)))


def reach(ratio: NDArray[np.float32]) -> tuple[int, int, int]:
    """Most voxels along each axis (z, y, x) between a voxel and any that its pointer depends on.

    A block of the volume with a halo as wide as this gives the voxels inside of it the pointers
    that the whole volume gives them, bit for bit.
    """
    steps, _ = step_counts(ratio)
    # steps beyond the first start within half a voxel; what is read reaches to the next whole voxel
    far = np.where(ratio > 0, np.maximum(steps * ratio, 0.5 + ratio) + 1e-3, -1.0)
    z, y, x = np.floor(far).astype(int) + 1
    return int(z), int(y), int(x)


def _pack(
    flow: NDArray[np.floating],
    logits: NDArray[np.floating],
    floor: float,
    threads: int | None,
    progress: "Progress | None",
) -> tuple[NDArray[np.int32], NDArray[np.integer], NDArray[np.float32], NDArray[np.uint8]]:
    """Words of the volume; raster index, logit and flow length of its foreground; by slabs."""
    from napari_cellseg.flows import _packing
    from napari_cellseg.flows._jit import run_chunks

    shape = logits.shape
    plane = shape[1] * shape[2]
    thickness = max(1, _SLAB // plane)
    starts = list(range(0, shape[0], thickness))
    limit = np.float32(floor)

    def count(start: int) -> int:
        _poll(progress)
        return int(np.count_nonzero(logits[start : start + thickness] > limit))

    counts = run_chunks(count, starts, threads)
    ends = np.cumsum(counts)
    total = int(ends[-1])
    volume: NDArray[np.int32] = np.zeros(shape, np.int32)
    voxels: NDArray[np.integer] = np.empty(total, np.int32 if logits.size < 2**31 else np.int64)
    kept = np.empty(total, np.float32)
    lengths = np.empty(total, np.uint8)

    def pack(job: tuple[int, int, int]) -> None:
        start, first, last = job
        _poll(progress)
        part = slice(start, start + thickness)
        _packing.pack(
            np.ascontiguousarray(flow[:, part], np.float32),
            np.ascontiguousarray(logits[part], np.float32),
            limit,
            start * plane,
            volume[part],
            voxels[first:last],
            kept[first:last],
            lengths[first:last],
        )

    run_chunks(pack, list(zip(starts, ends - counts, ends, strict=True)), threads)
    return volume, voxels, kept, lengths


def _pointers(
    volume: NDArray[np.int32],
    voxels: NDArray[np.integer],
    ratio: NDArray[np.float32],
    threads: int | None,
    progress: "Progress | None",
) -> NDArray[np.int32]:
    """Where each voxel is after its steps, as an index into `voxels`; with numba."""
    from napari_cellseg.flows import _steps
    from napari_cellseg.flows._jit import run_chunks

    steps, limit = step_counts(ratio)
    ranks = _steps.ranks(volume.reshape(-1))
    terminal = np.empty(voxels.size, np.int32)

    def move(start: int) -> None:
        _poll(progress)
        part = slice(start, start + _PIECE)
        _steps.move(volume, voxels[part], ratio, steps, limit, *ranks, terminal[part])

    run_chunks(move, list(range(0, voxels.size, _PIECE)), threads)
    return terminal


def _poll(progress: "Progress | None") -> None:
    if progress is not None:
        progress.check()
