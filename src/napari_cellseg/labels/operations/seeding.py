"""Splitting an object by seeds: which part each of its voxels belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.edit import Edit, Labels, Slices
from napari_cellseg.labels.operations.distance import distance_to_outside
from napari_cellseg.labels.operations.geometry import Part, full_connectivity, lengths, take
from napari_cellseg.labels.operations.parts import edits_of_parts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_UNIT = 8  # the shortest step costs as much, so that lengths are right to a few per cent
_WALL = 2.0  # extents of the object that it costs to cross from one cell into another
_MOST = 16000.0  # the same, at most, in units of cost: buckets are scanned one by one
_STILL = 0.05  # length of the field below which it says nothing
_SAME = 0.25  # seeds that the field brings as much closer together lie in one cell


def split_seeds(
    labels: Labels,
    id: int,
    box: Slices,
    seeds: Sequence[ArrayLike],
    new_ids: Callable[[int], list[int]],
    spacing: Sequence[float],
    *,
    image: NDArray[Any] | None = None,
    flow: NDArray[np.floating[Any]] | None = None,
    bright: bool = True,
) -> list[Edit]:
    """Split an object into a part for each seed.

    Seeds grow along the cheapest way. A way costs its length in µm, and more where a field of
    directions towards the cells' centres parts, which it does where two cells touch. Crossing
    such a border costs more than the whole object is long, and a lone point first follows the
    field to its cell's middle, so that seeds may lie anywhere in their cells. The field is the
    gradient of the distance to the object's surface; that of the smoothed intensity if an image
    is given; or the flow. This is a watershed by shortest paths (Meyer, Signal Processing 38,
    1994); unlike flooding by height, it halves an object that has no waist.

    Parameters
    ----------
    labels : array of uint32, ([z,] y, x)
    id : int
    box : tuple of slice
        Where the object lies; an axis of length 1 is left out.
    seeds : sequence of array-like, each ([z,] y, x) or (n, ndim)
        Two or more, in voxels: a point, or the points of a scribble.
    new_ids : callable
        ``new_ids(n)`` gives n free ids.
    spacing : sequence of float
        (z, y, x) in µm.
    image : array, shape of `box`, optional
        Intensities there.
    flow : array of float, (ndim, *shape of `box`), optional
        Directions towards the centre in physical space, (dz, dy, dx) or (dy, dx).
    bright : bool
        Whether cells are brighter than what lies between them; False for stained membranes.

    Returns
    -------
    list of Edit
        One for each part but the largest, which keeps the id. Pieces of the object that no seed
        reaches go with the nearest seed.

    Raises
    ------
    InputError
        If there are fewer than two seeds, one lies outside the object, two share a voxel, or the
        image or flow does not fill the box.
    """
    part = take(labels, id, box, spacing)
    points = _points(part, id, seeds)
    if flow is not None:
        field = _given_flow(part, flow, labels.ndim)
    elif image is not None:
        field = _of_image(part, image, bright)
    else:
        field = _of_distance(part)
    owner = _grown(part, _followed(part, points, field), field)
    _leftovers(part, points, owner)
    return edits_of_parts(part, id, owner, len(points), new_ids, "split")


def compile_kernel() -> None:
    """Have the kernel compiled, which takes seconds once, before a user waits for it."""
    labels = np.ones((2, 2, 2), np.uint32)
    box = (slice(0, 2),) * 3
    split_seeds(labels, 1, box, [(0, 0, 0), (1, 1, 1)], lambda n: [2], (1.0, 1.0, 1.0))


def _points(part: Part, id: int, seeds: Sequence[ArrayLike]) -> list[NDArray[np.int64]]:
    """Return the voxels of each seed along the part's axes, checked."""
    if len(seeds) < 2:
        raise InputError("Splitting needs two or more seeds: place another one.")
    low = np.array([cut.start for cut in part.box])
    shape = np.array(lengths(part.box))
    out: list[NDArray[np.int64]] = []
    taken: set[tuple[int, ...]] = set()
    for number, seed in enumerate(seeds, 1):
        given = np.atleast_2d(np.asarray(seed, np.float64))
        fits = given.ndim == 2 and given.shape[1] == len(low) and len(given) > 0
        if not fits or not np.isfinite(given).all():
            raise InputError(
                f"Seed {number} must have {len(low)} finite coordinates, as the labels have axes."
            )
        at = np.floor(given + 0.5).astype(np.int64) - low
        inside = ((at >= 0) & (at < shape)).all(axis=1)
        at = at[:, list(part.axes)]
        inside[inside] = part.mask[tuple(at[inside].T)]
        if not inside.all():
            where = tuple(given[int(np.argmin(inside))].tolist())
            raise InputError(f"Seed {number} at {where} lies outside object {id}: move it into it.")
        voxels = set(map(tuple, at.tolist()))
        if voxels & taken:
            raise InputError(f"Seed {number} shares a voxel with another: place them apart.")
        taken |= voxels
        out.append(at)
    return out


def _of_distance(part: Part) -> NDArray[np.float32]:
    """Gradient of the distance to the surface, smoothed against the steps of the voxels."""
    inner = (slice(1, -1),) * part.mask.ndim
    distance = distance_to_outside(np.pad(part.mask, 1), part.steps)
    return _gradient(distance.astype(np.float32), part.steps)[(slice(None), *inner)]


def _of_image(part: Part, image: NDArray[Any], bright: bool) -> NDArray[np.float32]:
    """Gradient of the intensity, of length 1 where it is steep and below where it is not."""
    if image.shape != lengths(part.box):
        raise InputError(
            f"The image of shape {image.shape} must fill the object's box of shape "
            f"{lengths(part.box)}."
        )
    values = _evened(image.reshape(part.mask.shape))
    slope = _gradient(values if bright else -values, part.steps)
    steep = np.sqrt((slope**2).sum(axis=0))
    usual = float(np.median(steep[part.mask]))
    return np.asarray(slope / np.maximum(steep + usual, np.float32(1e-12)))


def _evened(image: NDArray[Any]) -> NDArray[np.float32]:
    """Intensities between 0 and 1; what is not finite is as dark as the darkest."""
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, np.float32)
    low, high = float(image[finite].min()), float(image[finite].max())
    out = np.where(finite, image, low).astype(np.float64) - low
    return np.asarray(out / (high - low) if high > low else out, np.float32)


def _gradient(values: NDArray[np.float32], steps: Sequence[float]) -> NDArray[np.float32]:
    """Gradient per µm, after smoothing by about the finest voxel size along every axis."""
    from scipy import ndimage

    finest = min(steps)
    smooth = ndimage.gaussian_filter(values, [finest / one for one in steps], truncate=2.0)
    out = np.zeros((values.ndim, *values.shape), np.float32)
    for axis, step in enumerate(steps):
        if values.shape[axis] > 1:
            out[axis] = np.gradient(smooth, step, axis=axis)
    return out


def _given_flow(part: Part, flow: NDArray[Any], ndim: int) -> NDArray[np.float32]:
    wanted = (ndim, *lengths(part.box))
    if flow.shape != wanted:
        raise InputError(f"The flow of shape {flow.shape} must be of shape {wanted}.")
    chosen = flow[list(part.axes)].reshape(len(part.axes), *part.mask.shape)
    known = np.nan_to_num(chosen.astype(np.float64), posinf=1.0, neginf=-1.0)
    return np.clip(known, -1, 1).astype(np.float32)  # a direction is not longer


def _followed(
    part: Part, points: list[NDArray[np.int64]], field: NDArray[np.float32]
) -> list[NDArray[np.int64]]:
    """Lengthen seeds by their way along the field, except where they would come together."""
    ways = [_way(part, at[0], field) if len(at) == 1 else at for at in points]
    steps = np.array(part.steps)
    moved = [len(at) == 1 for at in points]
    taken = {tuple(voxel) for at in points for voxel in at.tolist()}
    for i, j in combinations(range(len(points)), 2):
        begun = np.linalg.norm((points[i][0] - points[j][0]) * steps)
        ended = np.linalg.norm((ways[i][-1] - ways[j][-1]) * steps)
        if ended < _SAME * begun:
            moved[i] = moved[j] = False
    out = []
    for at, way, follows in zip(points, ways, moved, strict=True):
        new = [one for one in way.tolist() if follows and tuple(one) not in taken]
        taken.update(map(tuple, new))
        out.append(np.concatenate([at, np.array(new, np.int64).reshape(-1, at.shape[1])]))
    return out


def _way(part: Part, start: NDArray[np.int64], field: NDArray[np.float32]) -> NDArray[np.int64]:
    """Voxels on the way from a voxel along the field, to where it ends or turns back."""
    pace = 0.5 * min(part.steps) / np.array(part.steps)
    position, here = start.astype(np.float64), tuple(start.tolist())
    way = [here]
    seen = {here}
    for _ in range(4 * sum(part.mask.shape)):
        direction = field[(slice(None), *here)].astype(np.float64)
        length = float(np.linalg.norm(direction))
        if length < _STILL:
            break
        position += pace * direction / length
        at = np.floor(position + 0.5).astype(np.int64)
        if (at < 0).any() or (at >= part.mask.shape).any() or not part.mask[tuple(at)]:
            break
        there = tuple(at.tolist())
        if there != here:
            if there in seen:
                break
            seen.add(there)
            way.append(there)
            here = there
    return np.array(way, np.int64)


def _grown(
    part: Part, points: list[NDArray[np.int64]], field: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Owner of every voxel of the box: 1 … n, 0 where no seed comes, -1 outside the object."""
    from napari_cellseg.labels.operations._growth_kernel import grow

    ndim = part.mask.ndim
    owner = np.pad(np.where(part.mask, 0, -1).astype(np.int32), 1, constant_values=-1)
    for number, at in enumerate(points, 1):
        places: tuple[NDArray[np.int64], ...] = tuple(at[:, axis] + 1 for axis in range(ndim))
        owner[places] = number
    inner = (slice(1, -1),) * ndim
    vectors = np.zeros((*owner.shape, 3), np.float32)
    for axis in range(ndim):
        vectors[..., axis][inner] = field[axis]
    moves = np.array([one for one in product((-1, 0, 1), repeat=ndim) if any(one)])
    strides = np.array(owner.strides) // owner.itemsize
    physical = moves * np.array(part.steps)
    far = np.sqrt((physical**2).sum(axis=1))
    unit = _UNIT / min(part.steps)
    directions = np.zeros((len(moves), 3), np.float32)
    directions[:, :ndim] = physical / far[:, None]
    extent = max(n * step for n, step in zip(part.mask.shape, part.steps, strict=True))
    grow(
        owner.reshape(-1),
        vectors.reshape(-1, 3),
        (moves @ strides).astype(np.int64),
        directions,
        np.maximum(1, np.round(far * unit)).astype(np.int32),
        float(min(_WALL * extent * unit, _MOST)),
    )
    return np.ascontiguousarray(owner[inner])


def _leftovers(part: Part, points: list[NDArray[np.int64]], owner: NDArray[np.int32]) -> None:
    """Give pieces that no seed reaches, whole, to the nearest seed, in place."""
    if (owner != 0).all():
        return
    from scipy import ndimage

    pieces, _ = ndimage.label(owner == 0, full_connectivity(owner.ndim))
    steps = np.array(part.steps)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        inside = pieces[box] == number
        low = np.array([cut.start for cut in box])
        voxels = (np.argwhere(inside) + low) * steps
        gaps = [
            min(float(((voxels - one) ** 2).sum(axis=1).min()) for one in at * steps)
            for at in points
        ]
        owner[box][inside] = int(np.argmin(gaps)) + 1
