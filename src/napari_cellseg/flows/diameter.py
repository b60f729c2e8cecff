"""Estimate the diameter of the cells from the image itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_cellseg.flows.channels import Channel, Shown, check_channels
from napari_cellseg.flows.field import FlowField
from napari_cellseg.flows.label import Labelling, label_field
from napari_cellseg.flows.limits import Limits, ToGrey, intensity_limits, normalised
from napari_cellseg.flows.predict import predict_planes
from napari_cellseg.networks.protocol import FlowNetwork, diameters_of, intensities_of
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
    limits: Limits,
    to_grey: ToGrey | None = None,
    check: Callable[[], None] | None = None,
    *,
    sections: bool = True,
) -> float | None:
    """Median diameter of the cells, found by looking at a few planes at several sizes.

    Parameters
    ----------
    stack : array-like, (z, y, x) or (z, y, x, c)
    spacing : tuple of float, (z, y, x)
    network : FlowNetwork
    limits : tuple
        See `intensity_limits`.
    to_grey : callable, optional
        Makes grey of the channels.
    check : callable, optional
        Called between predictions; may raise to stop.
    sections : bool
        Whether the planes are sections of cells in 3D.

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

    A network that takes a range of diameters sees the planes once, as they are sampled.
    """
    planes = _planes(stack, limits, to_grey)
    aspect = spacing[2] / spacing[1]
    if takes_a_range(network):
        if check:
            check()
        found = _measure(planes, aspect, network.diameter, network, sections)
        return None if found is None else float(found[1] * spacing[1])
    best: tuple[float, float] | None = None
    for candidate in _CANDIDATES:
        if candidate > 2.5 * min(planes[0].shape[:2]):
            continue
        if check:
            check()
        found = _measure(planes, aspect, candidate, network, sections)
        if found and (best is None or found[0] > best[0]):
            best = found
    if best is None:
        return None
    diameter = best[1]
    for _ in range(_ROUNDS):
        if check:
            check()
        found = _measure(planes, aspect, diameter, network, sections)
        if found is None:
            break
        close = abs(np.log(found[1] / diameter)) < 0.08
        diameter = found[1]
        if close:
            break
    # what is smaller than a few voxels is noise, and enlarging it would only cost time
    return float(diameter * spacing[1]) if diameter >= _SMALLEST else None


def takes_a_range(network: FlowNetwork) -> bool:
    """Whether cells of several diameters are shown to the network as they are sampled."""
    low, high = diameters_of(network)
    return low < high


def typical_diameter(
    labelling: Labelling, spacing: tuple[float, float, float], planar: bool
) -> float | None:
    """Median diameter of instances, where each counts by its diameter: debris hardly counts.

    Parameters
    ----------
    labelling : Labelling
    spacing : tuple of float, (z, y, x)
    planar : bool
        Whether they are discs instead of balls.

    Returns
    -------
    float or None
        In the unit of ``spacing``; None without instances.
    """
    if len(labelling) == 0:
        return None
    if planar:
        each = np.sqrt(4 / np.pi * labelling.voxels * spacing[1] * spacing[2])
    else:
        each = np.cbrt(6 / np.pi * labelling.voxels * np.prod(spacing))
    each = np.sort(each)
    weight = np.cumsum(each)
    return float(each[np.searchsorted(weight, weight[-1] / 2)])


def measure_diameter(
    volume: Volume,
    network: FlowNetwork,
    channel: Channel = 0,
    check: Callable[[], None] | None = None,
) -> float | None:
    """Estimate the diameter of the cells of a volume, at its first time point.

    Parameters
    ----------
    volume : Volume
    network : FlowNetwork
    channel : int or str, or a sequence of them
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
    shown = Shown.to(network, volume, check_channels(channel, volume))
    stacks = [shown.stack(t) for t in range(volume.n_times)]
    limits = intensity_limits(
        stacks,
        intensities_of(network),
        repr(volume.name),
        shown.to_grey,
        channels=shown.several,
    )
    return estimate_diameter(
        stacks[0], volume.spacing, network, limits, shown.to_grey, check, sections=volume.is_3d
    )


def show_planes(
    stack: Any,
    spacing: tuple[float, float, float],
    network: FlowNetwork,
    limits: Limits,
    to_grey: ToGrey | None,
    zoom: float,
) -> torch.Tensor:
    """Return a few telling planes as the network will see them, (n, rows, cols), (n, c, rows…)."""
    planes = _planes(stack, limits, to_grey)
    side = round(_WINDOW / zoom)
    seen = [_seen(_window(p, side), zoom, spacing[2] / spacing[1], network) for p in planes]
    rows, cols = (min(s.shape[axis] for s in seen) for axis in (-2, -1))
    cut = (rows // network.stride * network.stride, cols // network.stride * network.stride)
    if min(cut) == 0:
        padded = [
            torch.nn.functional.pad(
                s if s.ndim == 4 else s[:, None],
                (0, -cols % network.stride, 0, -rows % network.stride),
                mode="replicate",
            ).reshape(*s.shape[:-2], rows + -rows % network.stride, cols + -cols % network.stride)
            for s in (whole[..., :rows, :cols] for whole in seen)
        ]
        return torch.cat(padded)
    return torch.cat([s[..., : cut[0], : cut[1]] for s in seen])


def _seen(
    plane: NDArray[np.float32], zoom: float, aspect: float, network: FlowNetwork
) -> torch.Tensor:
    """A plane as the network sees it, (1, rows, cols) or (1, c, rows, cols)."""
    rows, cols = plane.shape[:2]
    shape = (max(8, round(rows * zoom)), max(8, round(cols * aspect * zoom)))
    channels = plane[None] if plane.ndim == 2 else np.moveaxis(plane, -1, 0)
    one = torch.from_numpy(np.ascontiguousarray(channels)).to(network.device)[None]
    wide = torch.nn.functional.interpolate(
        one, shape, mode="bilinear", align_corners=False, antialias=True
    )
    return wide[:, 0] if plane.ndim == 2 else wide


def _planes(
    stack: Any,
    limits: Limits,
    to_grey: ToGrey | None,
) -> list[NDArray[np.float32]]:
    """Pick the planes with the most signal among a few that are spread evenly."""
    depth = int(stack.shape[0])
    spread = np.linspace(0, depth - 1, min(depth, _LOOKED_AT) + 2)[1:-1]
    planes = []
    for index in sorted({round(float(z)) for z in spread}):
        raw = np.asarray(stack[index])
        planes.append(normalised(to_grey(raw) if to_grey else raw, limits))
    planes.sort(key=lambda p: -float(np.clip(p, 0, 1).std()))
    return planes[:_USED]


def _measure(
    planes: list[NDArray[np.float32]],
    aspect: float,
    diameter: float,
    network: FlowNetwork,
    sections: bool,
) -> tuple[float, float] | None:
    """Show the planes at the size that suits ``diameter``; return (sureness, diameter found)."""
    zoom = network.diameter / diameter
    measured: list[NDArray[np.float64]] = []
    sure = 0.0
    for whole in planes:
        plane = _window(whole, round(_WINDOW / zoom))
        seen = _seen(plane, zoom, aspect, network)
        out = predict_planes(network, seen, (seen.shape[-2], seen.shape[-1]))[0].cpu().numpy()
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
    level = 75 if sections else 50
    return sure, float(np.percentile(np.concatenate(measured), level)) * diameter


def _window(plane: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Cut the window with the most contrast, so that large planes stay affordable."""
    rows, cols = plane.shape[:2]
    if rows <= side and cols <= side:
        return plane
    best, corner = -1.0, (0, 0)
    for r in range(0, max(1, rows - side + 1), max(1, side // 2)):
        for c in range(0, max(1, cols - side + 1), max(1, side // 2)):
            spread = float(plane[r : r + side : 4, c : c + side : 4].std())
            if spread > best:
                best, corner = spread, (r, c)
    return plane[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
