"""Estimate the diameter of the cells from the image itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.label import label_field
from napari_cellseg.flows.limits import ToGrey, intensity_limits, luminance, normalised
from napari_cellseg.flows.predict import predict_planes
from napari_cellseg.networks.protocol import FlowNetwork
from napari_cellseg.volume import Volume

#: Diameters tried first, in voxels of y; neighbours differ by less than the network tolerates.
_CANDIDATES = (9.0, 16.0, 28.0, 50.0, 90.0)
_SMALLEST = 4.0
_WINDOW = 384
_LOOKED_AT = 9
_USED = 3
_ROUNDS = 3


def estimate_diameter(
    stack: Any,
    spacing: tuple[float, float, float],
    network: FlowNetwork,
    limits: tuple[float, float],
    to_grey: ToGrey | None = None,
    check: Callable[[], None] | None = None,
) -> float | None:
    """Median diameter of the cells, found by looking at a few planes at several sizes.

    Parameters
    ----------
    stack : array-like, (y, x) or (z, y, x), RGB last where ``to_grey`` is given
    spacing : tuple of float, (z, y, x)
    network : FlowNetwork
    limits : tuple of float
        See `intensity_limits`.
    to_grey : callable, optional
        Applied to each plane.
    check : callable, optional
        Called between predictions; may raise to stop.

    Returns
    -------
    float or None
        In the unit of ``spacing``; ``None`` if no cell is found at any size.

    Notes
    -----
    The planes are shown at sizes that would suit cells of each candidate diameter. The size at
    which the network is surest of cells of about that diameter wins; then the diameter that was
    measured is tried in turn until it agrees with itself. Sections of a 3D cell are smaller than
    the cell; the upper quartile of the sections makes up for most of that.
    """
    planes = _planes(stack, limits, to_grey)
    aspect = spacing[2] / spacing[1]
    three_dimensional = len(stack.shape) - (to_grey is not None) > 2
    best: tuple[float, float] | None = None
    for candidate in _CANDIDATES:
        if candidate > 2.5 * min(planes[0].shape):
            continue
        if check:
            check()
        found = _measure(planes, aspect, candidate, network, three_dimensional)
        if found and (best is None or found[0] > best[0]):
            best = found
    if best is None:
        return None
    diameter = best[1]
    for _ in range(_ROUNDS):
        if check:
            check()
        found = _measure(planes, aspect, diameter, network, three_dimensional)
        if found is None:
            break
        close = abs(np.log(found[1] / diameter)) < 0.08
        diameter = found[1]
        if close:
            break
    # what is smaller than a few voxels is noise, and enlarging it would only cost time
    return float(diameter * spacing[1]) if diameter >= _SMALLEST else None


def measure_diameter(
    volume: Volume,
    network: FlowNetwork,
    channel: int | str = 0,
    check: Callable[[], None] | None = None,
) -> float | None:
    """Estimate the diameter of the cells of a volume, at its first time point.

    Parameters
    ----------
    volume : Volume
    network : FlowNetwork
    channel : int or str
    check : callable, optional
        Called between predictions; may raise to stop.

    Returns
    -------
    float or None
        In µm where the spacing is known, else in voxels of y; None if no cell is found.

    Raises
    ------
    InputError
        If the image is constant, or there is no such channel.
    """
    grey = luminance if volume.rgb else None
    stacks = [volume.stack(channel, t) for t in range(volume.n_times)]
    limits = intensity_limits(stacks, network.percentiles, repr(volume.name), grey)
    return estimate_diameter(stacks[0], volume.spacing, network, limits, grey, check)


def show_planes(
    stack: Any,
    spacing: tuple[float, float, float],
    network: FlowNetwork,
    limits: tuple[float, float],
    to_grey: ToGrey | None,
    zoom: float,
) -> torch.Tensor:
    """Return a few telling planes as the network will see them, (n, rows, cols)."""
    planes = _planes(stack, limits, to_grey)
    side = round(_WINDOW / zoom)
    seen = [_seen(_window(p, side), zoom, spacing[2] / spacing[1], network) for p in planes]
    rows, cols = (min(s.shape[axis] for s in seen) for axis in (1, 2))
    cut = (rows // network.stride * network.stride, cols // network.stride * network.stride)
    if min(cut) == 0:
        padded = [
            torch.nn.functional.pad(
                s[:, None], (0, -cols % network.stride, 0, -rows % network.stride), mode="replicate"
            )[:, 0]
            for s in (whole[:, :rows, :cols] for whole in seen)
        ]
        return torch.cat(padded)
    return torch.cat([s[:, : cut[0], : cut[1]] for s in seen])


def _seen(
    plane: NDArray[np.float32], zoom: float, aspect: float, network: FlowNetwork
) -> torch.Tensor:
    rows, cols = plane.shape
    shape = (max(8, round(rows * zoom)), max(8, round(cols * aspect * zoom)))
    one = torch.from_numpy(np.ascontiguousarray(plane)).to(network.device)[None, None]
    return torch.nn.functional.interpolate(
        one, shape, mode="bilinear", align_corners=False, antialias=True
    )[:, 0]


def _planes(
    stack: Any,
    limits: tuple[float, float],
    to_grey: ToGrey | None,
) -> list[NDArray[np.float32]]:
    """Pick the planes with the most signal among a few that are spread evenly."""
    axes = len(stack.shape) - (to_grey is not None)
    if axes == 2:
        indices: list[Any] = [()]
    else:
        depth = stack.shape[0]
        spread = np.linspace(0, depth - 1, min(depth, _LOOKED_AT) + 2)[1:-1]
        indices = sorted({round(float(z)) for z in spread})
    planes = []
    for index in indices:
        raw = np.asarray(stack[index])
        planes.append(normalised(to_grey(raw) if to_grey else raw, limits))
    planes.sort(key=lambda p: -float(np.clip(p, 0, 1).std()))
    return planes[:_USED]


def _measure(
    planes: list[NDArray[np.float32]],
    aspect: float,
    diameter: float,
    network: FlowNetwork,
    three_dimensional: bool,
) -> tuple[float, float] | None:
    """Show the planes at the size that suits ``diameter``; return (sureness, diameter found)."""
    zoom = network.diameter / diameter
    measured: list[NDArray[np.float64]] = []
    sure = 0.0
    for whole in planes:
        plane = _window(whole, round(_WINDOW / zoom))
        seen = _seen(plane, zoom, aspect, network)
        out = predict_planes(network, seen, (seen.shape[1], seen.shape[2]))[0].cpu().numpy()
        field = FlowField(out[:2], out[2], (1.0, 1.0, 1.0))
        labels = label_field(field, min_size=12).labels
        sizes = np.bincount(labels.ravel())[1:]
        if not len(sizes):
            continue
        found = np.sqrt(4 / np.pi * sizes) / network.diameter
        length = np.linalg.norm(out[:2], axis=0)
        trust = np.tanh(np.abs(out[2]) / 2) * np.minimum(length, 1)
        per_cell = np.bincount(labels.ravel(), trust.ravel())[1:] / sizes
        fits = np.exp(-0.5 * (np.log(found) / 0.5) ** 2)
        sure += float((per_cell * fits * sizes).sum()) / labels.size
        measured.append(np.repeat(found, np.maximum(1, np.round(per_cell * 8)).astype(int)))
    if not measured:
        return None
    level = 75 if three_dimensional else 50
    return sure, float(np.percentile(np.concatenate(measured), level)) * diameter


def _window(plane: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Cut the window with the most contrast, so that large planes stay affordable."""
    rows, cols = plane.shape
    if rows <= side and cols <= side:
        return plane
    best, corner = -1.0, (0, 0)
    for r in range(0, max(1, rows - side + 1), max(1, side // 2)):
        for c in range(0, max(1, cols - side + 1), max(1, side // 2)):
            spread = float(plane[r : r + side : 4, c : c + side : 4].std())
            if spread > best:
                best, corner = spread, (r, c)
    return plane[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
