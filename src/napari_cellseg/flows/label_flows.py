"""Labels to flows: the field that a mask itself would give.

Heat enters every instance at its centre and is lost at its border; the flow is the direction in
which the heat grows (the representation of Cellpose: Stringer et al., Nature Methods 18, 100-106,
2021), here per instance in its own bounding box, in physical units, and blind to neighbours.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUNDS_2D = 4.0  # diffusion steps per voxel of width + height (+ depth) of an instance
_ROUNDS_3D = 4.0
_LONG = 48  # boxes longer than this (voxels) carry heat in float64: it decays exponentially
_SLAB_BYTES = 64 << 20


def label_flows(
    labels: ArrayLike, spacing: "Sequence[float]", *, threads: int | None = None
) -> NDArray[np.float32]:
    """Flow towards the centre of every instance, by heat diffusion within it.

    Parameters
    ----------
    labels : array of int or bool, shape (y, x) or (z, y, x)
        Instance ids; 0 is background. A connected piece of an instance has its own centre.
    spacing : sequence of float
        Spacing in µm, ``(z, y, x)``; for a plane ``(y, x)`` is accepted too.
    threads : int, optional
        Number of threads; by default one per core. The result does not depend on it.

    Returns
    -------
    numpy.ndarray, float32, shape (2, y, x) or (3, z, y, x)
        Components ``(dy, dx)`` or ``(dz, dy, dx)``, a direction in physical space: of unit length
        inside instances (0 at an exact centre of symmetry), 0 in the background.

    Raises
    ------
    InputError
        If the labels are not integers of two or three axes, or the spacing is not usable.
    """
    volume = label_volume(labels)
    planar = np.ndim(labels) == 2
    out = np.zeros((3, *volume.shape), np.float32)
    _diffuse(volume, planar, check_spacing(spacing), out, threads)
    return out[1:, 0] if planar else out


def fused_label_flows(
    labels: ArrayLike, spacing: "Sequence[float]", *, threads: int | None = None
) -> NDArray[np.float32]:
    """Flow of a mask as fused reslices give it: 2D flows of all three orientations, averaged.

    Each component is the mean over the two orientations that see it: ``dz`` of xz and yz, ``dy``
    of xy and yz, ``dx`` of xy and xz. Unlike a 3D flow it is not of unit length and not radial.
    Reslices are flowed in slabs, so the extra memory stays bounded.

    Parameters
    ----------
    labels : array of int, shape (z, y, x)
        Instance ids; 0 is background.
    spacing : sequence of float
        Spacing ``(z, y, x)`` in µm.
    threads : int, optional
        Number of threads; by default one per core. The result does not depend on it.

    Returns
    -------
    numpy.ndarray, float32, shape (3, z, y, x)
        Components ``(dz, dy, dx)``, length at most √1.5 inside instances, 0 in the background.

    Raises
    ------
    InputError
        If the labels are not integers of three axes, or the spacing is not usable.
    """
    if np.ndim(labels) != 3:
        raise InputError(
            f"The labels have {np.ndim(labels)} axes, but fused flows need three (z, y, x)."
        )
    volume = label_volume(labels)
    steps = check_spacing(spacing)
    out = np.zeros((3, *volume.shape), np.float32)
    for across in range(3):  # the axis along which planes are stacked: xy, xz, yz
        rows, columns = (axis for axis in range(3) if axis != across)
        order = (across, rows, columns)
        per_plane = volume.size // max(1, volume.shape[across]) * 16
        thickness = max(1, _SLAB_BYTES // max(1, per_plane))
        for start in range(0, volume.shape[across], thickness):
            part = [slice(None)] * 3
            part[across] = slice(start, start + thickness)
            slab = np.ascontiguousarray(volume[tuple(part)].transpose(order))
            flow = np.zeros((3, *slab.shape), np.float32)
            _diffuse(slab, True, steps[list(order)], flow, threads)
            back = np.argsort(order)
            for axis, component in ((rows, flow[1]), (columns, flow[2])):
                component *= np.float32(0.5)
                target = out[axis][tuple(part)]
                target += component.transpose(back)
    return out


def label_volume(labels: ArrayLike) -> NDArray[np.int32]:
    """Contiguous int32 ``(z, y, x)`` copy or view of 2D or 3D labels; ids beyond it are renumbered.

    Raises
    ------
    InputError
        If `labels` is not an integer or bool array of two or three axes, or has negative ids.
    """
    array = np.asarray(labels)
    if array.ndim not in (2, 3):
        raise InputError(f"The labels have {array.ndim} axes, but (y, x) or (z, y, x) are needed.")
    if array.dtype.kind not in "iub":
        raise InputError(f"The labels are of type {array.dtype}, but instance ids are integers.")
    if array.ndim == 2:
        array = array[None]
    if array.size:
        if array.dtype.kind == "i" and array.min() < 0:
            raise InputError("The labels hold negative ids, but instance ids start at 1.")
        if int(array.max()) > 4 * array.size + 64:
            array = np.unique(array, return_inverse=True)[1].reshape(array.shape) + (
                0 if (array == 0).any() else 1
            )
    return np.ascontiguousarray(array, np.int32)


def check_spacing(spacing: "Sequence[float]") -> NDArray[np.float64]:
    """Spacing as float64 ``(z, y, x)``; ``(y, x)`` gets the finer of the two as z.

    Raises
    ------
    InputError
        If there are not two or three numbers, or one is not finite and positive.
    """
    try:
        steps = np.asarray(spacing, np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"The spacing {spacing!r} is not a sequence of numbers (z, y, x)."
        ) from None
    if steps.shape not in ((2,), (3,)):
        raise InputError(f"The spacing {spacing!r} must be three numbers (z, y, x), or (y, x).")
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise InputError(f"The spacing {spacing!r} must be finite and greater than zero.")
    return steps if steps.size == 3 else np.array([steps.min(), *steps])


def _diffuse(
    volume: NDArray[np.int32],
    planar: bool,
    spacing: NDArray[np.float64],
    out: NDArray[np.float32],
    threads: int | None,
) -> None:
    """Fill `out` (3, z, y, x) with the flows of all instances; heat stays in planes if `planar`."""
    from napari_cellseg.flows import _diffusion
    from napari_cellseg.flows._jit import run_chunks, thread_count

    if volume.size == 0:
        return
    boxes = _diffusion.instance_boxes(volume, int(volume.max()), planar)
    if not len(boxes):
        return
    extent = boxes[:, 4:] - boxes[:, 1:4]
    long = extent.max(1) > _LONG
    rounds = _ROUNDS_2D if planar else _ROUNDS_3D
    jobs: list[tuple[NDArray[np.int32], NDArray[np.floating]]] = []
    for chosen, blank in ((~long, np.zeros(0, np.float32)), (long, np.zeros(0, np.float64))):
        rows = boxes[chosen]
        if not len(rows):
            continue
        # boxes are split by their work, so that threads end together
        work = np.cumsum(extent[chosen].prod(1).astype(np.float64) * extent[chosen].sum(1))
        parts = 4 * thread_count(threads) if thread_count(threads) > 1 else 1
        cuts = np.searchsorted(work, work[-1] * np.arange(1, parts) / parts)
        jobs += [(part, blank) for part in np.split(rows, cuts) if len(part)]

    def run(job: tuple[NDArray[np.int32], NDArray[np.floating]]) -> None:
        _diffusion.diffuse(volume, job[0], planar, spacing, rounds, job[1], out)

    run_chunks(run, jobs, threads)
