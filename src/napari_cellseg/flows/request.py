"""What a user asks of a segmentation, checked before any work starts."""

import math
import operator
from collections.abc import Sequence
from typing import Any

from napari_cellseg.errors import InputError
from napari_cellseg.volume import Volume

Region = tuple[slice, ...]

#: How the orientations of a volume become one field: see `napari_cellseg.segment`.
FUSIONS = ("mean", "weighted", "xy")


def check_probability(probability: float) -> float:
    """Return the probability as a float; it must lie between 0 and 1, both excluded."""
    value = _number(probability, "probability")
    if not 0 < value < 1:
        raise InputError(
            f"probability={probability!r} is out of range: give a number between 0 and 1."
        )
    return value


def check_min_size(min_size: int | None) -> int | None:
    """Return the size as an int of 0 or more, or None."""
    if min_size is None:
        return None
    try:
        value = operator.index(min_size)
    except TypeError as error:
        raise InputError(f"min_size={min_size!r} is not a whole number of voxels.") from error
    if value < 0:
        raise InputError(f"min_size={min_size!r} is negative: give a number of voxels, 0 or more.")
    return value


def check_flow_error(flow_error: float | None) -> float | None:
    """Return the flow error as a positive float, or None."""
    if flow_error is None:
        return None
    value = _number(flow_error, "flow_error")
    if not (value > 0 and math.isfinite(value)):
        raise InputError(
            f"flow_error={flow_error!r} is out of range: give a positive number or None."
        )
    return value


def check_fusion(fusion: str) -> str:
    """Return the name of a way of fusion; InputError if there is none of that name."""
    if fusion not in FUSIONS:
        raise InputError(f"fusion={fusion!r} is unknown: choose one of {', '.join(FUSIONS)}.")
    return fusion


def check_diameter(diameter: float | None, volume: Volume) -> float | None:
    """Return the diameter as a float that fits the voxels and the extent of the volume, or None.

    Raises
    ------
    InputError
        If it is not a positive number, less than two voxels, or larger than the image.
    """
    if diameter is None:
        return None
    value = _number(diameter, "diameter")
    unit = "µm" if volume.spacing_known else "voxels"
    if not (value > 0 and math.isfinite(value)):
        raise InputError(f"diameter={diameter!r} is not a positive number of {unit}.")
    finest = min(volume.spacing[1:])
    if value < 2 * finest:
        raise InputError(
            f"diameter={value:g} {unit} is less than two voxels of {volume.name!r} "
            f"({2 * finest:g} {unit}): check the unit of the diameter and the spacing."
        )
    sizes = volume.sizes
    extent = max(
        sizes[axis] * step
        for axis, step in zip("zyx", volume.spacing, strict=True)
        if axis in sizes
    )
    if value > 2 * extent:
        raise InputError(
            f"diameter={value:g} {unit} is far larger than {volume.name!r} ({extent:g} {unit}): "
            "check the unit of the diameter and the spacing."
        )
    return value


def check_region(region: Sequence[slice] | None, volume: Volume) -> Region:
    """Return a slice with start and stop for every label axis of the volume.

    Raises
    ------
    InputError
        If the region has another number of axes, a step, or no voxel.
    """
    shape = volume.label_shape
    if region is None:
        return tuple(slice(0, n) for n in shape)
    axes = volume.label_axes
    if not _is_region(region, len(shape)):
        raise InputError(
            f"region={region!r} does not fit {volume.name!r}: give one slice per axis of {axes!r}."
        )
    parts = []
    for part, n, axis in zip(region, shape, axes, strict=True):
        start, stop, step = part.indices(n)
        if step != 1:
            raise InputError(f"region={region!r} has a step along {axis}: give slices without one.")
        if stop <= start:
            raise InputError(
                f"region={region!r} is empty along {axis} of {volume.name!r} ({n} long): "
                "give a part that lies inside."
            )
        parts.append(slice(start, stop))
    return tuple(parts)


def _is_region(region: Any, ndim: int) -> bool:
    """Whether it is a sequence of that many slices of whole numbers."""
    if not isinstance(region, Sequence) or len(region) != ndim:
        return False
    try:
        for part in region:
            part.indices(1)
    except (AttributeError, TypeError, ValueError):  # no slice, fractions, a step of 0
        return False
    return True


def default_min_size(diameter: float, spacing: tuple[float, float, float], is_3d: bool) -> int:
    """Smallest instance in voxels: a cube (3D) or square (2D) of a fifth of the diameter."""
    edge = 0.2 * diameter
    voxel = math.prod(spacing) if is_3d else spacing[1] * spacing[2]
    return max(1, round(edge ** (3 if is_3d else 2) / voxel))


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}={value!r} is not a number.") from error
    if math.isnan(number):
        raise InputError(f"{name}={value!r} is not a number.")
    return number
