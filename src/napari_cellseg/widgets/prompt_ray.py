"""The voxel that a click in a 3D view means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.prompts.ray import contrast_threshold, first_voxel

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_cellseg.session import Session
    from napari_cellseg.widgets.prompt_mouse import Click


def voxel_on_ray(
    session: Session, image: Image, axes: str, click: Click, t: int
) -> tuple[float, ...] | None:
    """Return the first voxel along the line of sight that is labelled or bright enough.

    Parameters
    ----------
    session : Session
    image : napari Image layer
    axes : str
        Its axes, letters of "tczyx".
    click : Click
        In a 3D view.
    t : int
        Time point in view.

    Returns
    -------
    tuple of float or None
        Along the label axes; None where the line meets nothing.
    """
    volume = session.volume
    if volume is None or click.direction is None:
        return None
    start, end = image.get_ray_intersections(
        list(click.position), click.direction, list(click.displayed), world=True
    )
    if start is None or end is None:
        return None
    ends = [
        [float(at) for at, letter in zip(point, axes, strict=True) if letter in "zyx"]
        for point in (start, end)
    ]
    channel = min(session.prompts.settings.channels[0], volume.n_channels - 1)
    stack = volume.stack(channel, t)
    if volume.rgb:
        stack = np.asarray(stack).max(axis=-1)
    labels = session.labels
    if labels is not None and "t" in session.label_axes:
        labels = labels[t]
    found = first_voxel(
        ends[0], ends[1], stack, labels, threshold=contrast_threshold(image.contrast_limits)
    )
    if found is None:
        return None
    of = {"t": float(t), **dict(zip("zyx", map(float, found), strict=True))}
    return tuple(of[letter] for letter in session.label_axes)
