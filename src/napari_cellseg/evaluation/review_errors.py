"""Put errors into true labels: cells merged, split, missed, ragged, and things that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labels = NDArray[np.uint32]
    Box = tuple[slice, ...]

KINDS = ("merged", "split", "missed", "ragged", "extra")


def with_errors(truth: NDArray[np.integer], share: float, seed: int) -> Labels:
    """Labels with errors of every kind in a share of the cells.

    Parameters
    ----------
    truth : array of int, ([z,] y, x)
    share : float
        Share of the cells to which an error is given, at least one; kinds are drawn evenly.
    seed : int
        Of the random generator.

    Returns
    -------
    array of uint32
        Each cell takes part in one error at most; ids of untouched cells are kept.
    """
    from scipy import ndimage as ndi

    rng = np.random.default_rng(seed)
    labels: Labels = truth.astype(np.uint32)
    boxes = {n: box for n, box in enumerate(ndi.find_objects(labels.astype(np.int32)), 1) if box}
    if not boxes:
        return labels
    free = int(labels.max()) + 1
    order = rng.permutation(list(boxes)).tolist()
    wanted = max(1, round(share * len(order)))
    used: set[int] = set()
    for number in order[:wanted]:
        if number in used:
            continue
        used.add(number)
        kind = KINDS[rng.integers(len(KINDS))]
        box = _wide(boxes[number], labels.shape)
        part = labels[box]
        if kind == "merged":
            other = _neighbour(part, number, used)
            if other is None:
                kind = "split"
            else:
                used.add(other)
                labels[labels == other] = number
        if kind == "split":
            part[_half(part == number, rng)] = free
            free += 1
        elif kind == "missed":
            part[part == number] = 0
        elif kind == "ragged":
            _ragged(part, number, rng)
        elif kind == "extra":
            free += _extra(labels, truth[boxes[number]] == number, free, rng)
    return labels


def _wide(box: Box, shape: tuple[int, ...]) -> Box:
    """A margin of half its size around a box."""
    margins = [(part.stop - part.start) // 2 + 2 for part in box]
    return tuple(
        slice(max(0, part.start - margin), min(size, part.stop + margin))
        for part, margin, size in zip(box, margins, shape, strict=True)
    )


def _neighbour(part: Labels, number: int, used: set[int]) -> int | None:
    """The unused cell that touches most, or is next to, the cell."""
    from scipy import ndimage as ndi

    rim = ndi.binary_dilation(part == number, iterations=2) & (part != number) & (part > 0)
    ids, counts = np.unique(part[rim], return_counts=True)
    for index in np.argsort(-counts, kind="stable"):
        if int(ids[index]) not in used:
            return int(ids[index])
    return None


def _half(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """The part of a mask on one side of a plane near its middle."""
    points = np.argwhere(mask)
    normal = rng.normal(size=mask.ndim)
    along = points @ (normal / np.linalg.norm(normal))
    cut = np.quantile(along, rng.uniform(0.35, 0.65))
    out = np.zeros(mask.shape, bool)
    out[tuple(points[along > cut].T)] = True
    return out


def _ragged(part: Labels, number: int, rng: np.random.Generator) -> None:
    """Move the outline in and out by up to half the radius, over free ground only."""
    from scipy import ndimage as ndi

    own = part == number
    depth = ndi.distance_transform_edt(own) - ndi.distance_transform_edt(~own)
    radius = max(float(depth.max()), 1.0)
    waves = ndi.gaussian_filter(rng.normal(size=part.shape), max(0.3 * radius, 0.7))
    waves *= 0.6 * radius / max(float(np.abs(waves).max()), 1e-9)
    new = depth + waves + rng.choice([-0.35, 0.35]) * radius > 0
    part[own & ~new] = 0
    part[new & (part == 0)] = number


def _extra(
    labels: Labels, shape_of: NDArray[np.bool_], number: int, rng: np.random.Generator
) -> int:
    """Put the shape of a cell where none is; returns how many were put."""
    room = [n - s for n, s in zip(labels.shape, shape_of.shape, strict=True)]
    if min(room) < 0:
        return 0
    for _ in range(30):
        corner = [int(rng.integers(r + 1)) for r in room]
        part = labels[tuple(slice(c, c + s) for c, s in zip(corner, shape_of.shape, strict=True))]
        if (part[shape_of] == 0).mean() > 0.9:
            part[shape_of & (part == 0)] = number
            return 1
    return 0
