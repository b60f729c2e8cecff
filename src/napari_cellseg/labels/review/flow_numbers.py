"""What a flow field says of one object: is it sure, has it one sink, does the mask explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.labels.review.contact import mean
from napari_cellseg.labels.review.shape import as_volume, thinned, three_steps

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
        "logit": mean(logits),
        "chance": mean(np.float32(1) / (np.float32(1) + np.exp(-logits))),
        "agreement": mean(np.sqrt(np.add.reduce(inside * inside))),
        "flow_error": _flow_error(flow, own, frame.spacing),
        "sinks": sinks,
        "leaves": leaves,
    }


def _flow_error(
    flow: NDArray[np.float32], own: NDArray[np.bool_], spacing: NDArray[np.float64]
) -> float:
    from napari_cellseg.labels.review._flow_kernels import misfits

    mask, steps, part = thinned(own, spacing, _FLOW_VOXELS)
    given = flow[(slice(None), *part)]
    if own.ndim == 2:
        steps = np.array([steps.min(), *steps])
        given = np.stack([np.zeros_like(given[0]), *given])[:, None]
    return mean(
        misfits(as_volume(mask), np.asarray(steps), own.ndim == 2, np.ascontiguousarray(given))
    )


def _sinks(frame: Frame, number: int, box: Slices, own: NDArray[np.bool_]) -> tuple[float, float]:
    """Share of the second sink among what ends inside, and share of what ends outside."""
    from napari_cellseg.labels.review._flow_kernels import ends, second_sink

    integration, missing = frame.integration, 3 - own.ndim
    shape = np.array([1] * missing + list(frame.shape))
    corner = np.array([0] * missing + [part.start for part in box])
    place, count = ends(as_volume(own), corner, shape, integration.voxels, integration.terminal)
    if not count.size:
        return 0.0, 0.0
    total = count.sum()
    home = frame.labels[np.unravel_index(place, frame.shape)] == number
    leaves = float(count[~home].sum() / total)
    place, count = place[home], count[home]
    if not count.size:
        return 0.0, leaves
    size = float(np.count_nonzero(own) * np.prod(frame.spacing))
    radius = np.sqrt(size / np.pi) if own.ndim == 2 else np.cbrt(size * 0.75 / np.pi)
    reach = max(_SINK * float(radius), 2 * float(frame.spacing.min()))
    second = second_sink(place, count, shape, three_steps(frame.spacing), reach)
    return float(second / count.sum()), leaves
