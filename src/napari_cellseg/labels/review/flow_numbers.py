"""What a flow field says of one object: is it sure, has it one sink, does the mask explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.labels.review.shape import thinned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review.evidence import Frame
    from napari_cellseg.labels.review.item import Slices

_FLOW_VOXELS = 6_000  # of a box whose own flow is made: diffusion costs voxels times extent
_SINK = 0.35  # terminals within this share of the radius are one sink


def flow_numbers(
    frame: Frame, number: int, box: Slices, own: NDArray[np.bool_]
) -> dict[str, float]:
    """Measure an object against the field.

    Parameters
    ----------
    frame : Frame
        With a field.
    number : int
    box : tuple of slice
    own : array of bool
        The object in its box.

    Returns
    -------
    dict
        ``logit`` and ``chance`` (means of logit and probability), ``agreement`` (mean length of the
        flow), ``flow_error`` (mean squared difference to the flow of the mask itself, as
        `napari_cellseg.flows.flow_error`), ``sinks`` (share of the second sink), ``leaves``
        (share of the voxels that flow out of the object).
    """
    field = frame.field
    assert field is not None
    logits = np.asarray(field.logits[box], np.float32)[own]
    flow = np.asarray(field.flow[(slice(None), *box)], np.float32)
    inside = flow[:, own]
    sinks, leaves = _sinks(frame, number, box, own)
    return {
        "logit": float(logits.mean()),
        "chance": float((1 / (1 + np.exp(-logits))).mean()),
        "agreement": float(np.sqrt((inside**2).sum(0)).mean()),
        "flow_error": _flow_error(flow, own, frame.spacing),
        "sinks": sinks,
        "leaves": leaves,
    }


def _flow_error(
    flow: NDArray[np.float32], own: NDArray[np.bool_], spacing: NDArray[np.float64]
) -> float:
    from napari_cellseg.flows import fused_label_flows, label_flows

    mask, steps, part = thinned(own, spacing, _FLOW_VOXELS)
    make = label_flows if own.ndim == 2 else fused_label_flows
    wanted = make(mask.astype(np.int32), steps.tolist(), threads=1)
    given = flow[(slice(None), *part)]
    return float(((given - wanted)[:, mask] ** 2).sum(0).mean())


def _sinks(frame: Frame, number: int, box: Slices, own: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of the second sink among what ends inside, and share of what ends outside."""
    integration = frame.integration
    where = np.argwhere(own) + [part.start for part in box]
    flat = np.ravel_multi_index(tuple(where.T), frame.shape)
    at = np.searchsorted(integration.voxels, flat)
    at = at[np.take(integration.voxels, at, mode="clip") == flat]
    if not at.size:
        return 0.0, 0.0
    ends, count = np.unique(integration.voxels[integration.terminal[at]], return_counts=True)
    place = np.stack(np.unravel_index(ends, frame.shape), -1)
    home = frame.labels[tuple(place.T)] == number
    leaves = float(count[~home].sum() / count.sum())
    place, count = place[home] * frame.spacing, count[home]
    if not count.size:
        return 0.0, leaves
    size = float(own.sum() * np.prod(frame.spacing))
    radius = np.sqrt(size / np.pi) if own.ndim == 2 else np.cbrt(size * 0.75 / np.pi)
    reach = max(_SINK * radius, 2 * float(frame.spacing.min()))
    total = count.sum()
    far = ((place - place[count.argmax()]) ** 2).sum(1) > reach**2
    if not far.any():
        return 0.0, leaves
    place, count = place[far], count[far]
    second = count[((place - place[count.argmax()]) ** 2).sum(1) <= reach**2].sum()
    return float(second / total), leaves
