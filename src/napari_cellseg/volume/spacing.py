"""Voxel spacing: what a user gave, what a file states, and what is used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_cellseg.errors import InputError

Spacing = tuple[float, float, float]
"""(z, y, x) in µm per voxel."""

PREFIX = "Spacing "
"""Every notice about spacing starts with this word, so that a given spacing can retire it."""

_MICROMETRES = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "inch": 25400.0,
    "angstrom": 1e-4,
}  # fmt: skip
_ALIASES = {
    "µm": "um", "μm": "um", "\\u00b5m": "um", "micron": "um", "microns": "um",
    "micrometer": "um", "micrometre": "um", "micrometers": "um", "micrometres": "um",
    "nanometer": "nm", "nanometre": "nm", "millimeter": "mm", "millimetre": "mm",
    "centimeter": "cm", "centimetre": "cm", "meter": "m", "metre": "m", "picometer": "pm",
    "å": "angstrom", "Å": "angstrom", "in": "inch", "inches": "inch", "micrometer(um)": "um",
}  # fmt: skip
_NOT_PHYSICAL = {"pixel", "pixels", "px", "voxel", "voxels", "reference frame", "referenceframe"}


def micrometres(unit: str) -> float | None:
    """Micrometres in one `unit` of length, or None if the unit is not known."""
    name = unit.strip().strip("\x00")
    name = _ALIASES.get(name, _ALIASES.get(name.lower(), name.lower()))
    return _MICROMETRES.get(name)


def check_spacing(spacing: object, is_3d: bool = True) -> Spacing:
    """Check a spacing that a user gave.

    Parameters
    ----------
    spacing : sequence of float
        (z, y, x) in µm, or (y, x) for a 2D image.
    is_3d : bool
        Whether the image has z.

    Returns
    -------
    tuple of float
        (z, y, x) in µm; z is 1.0 where a 2D image was given two numbers.

    Raises
    ------
    InputError
        If there are not two or three finite, strictly positive numbers.
    """
    wanted = "three numbers (z, y, x)" if is_3d else "two or three numbers (y, x) or (z, y, x)"
    fault = InputError(
        f"spacing={_short(spacing)} is not usable: pass {wanted} in µm, finite and larger than 0."
    )
    if isinstance(spacing, str | bytes | Mapping) or not hasattr(spacing, "__len__"):
        raise fault
    try:
        values = [_number(value) for value in spacing]  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        raise fault from None
    if len(values) not in ((3,) if is_3d else (2, 3)) or not all(map(_usable, values)):
        raise fault
    return (values[0] if len(values) == 3 else 1.0, values[-2], values[-1])


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _number(value: Any) -> float:
    if isinstance(value, str | bytes | bool | complex):
        raise TypeError
    return float(value)


def _usable(value: float) -> bool:
    # The bounds keep products and ratios of spacings inside the range of float32.
    return math.isfinite(value) and 1e-9 <= value <= 1e9


@dataclass(frozen=True)
class StatedSpacing:
    """What a file says about its spacing, as it says it.

    Attributes
    ----------
    sizes : mapping of str to float
        Length of a voxel along z, y, x, where stated.
    units : mapping of str to str or None
        Unit of each stated size; None where the file names no unit.
    z_default : float or None
        What z means where the format defines it although the file is silent.
    """

    sizes: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str | None] = field(default_factory=dict)
    z_default: float | None = None


def settle_spacing(
    stated: StatedSpacing, given: Sequence[float] | None, is_3d: bool
) -> tuple[Spacing, bool, tuple[str, ...]]:
    """Decide the spacing from what the file states and what the user gave.

    An incomplete or unusable statement counts as unknown. Sizes in pixels still give the ratio of
    z to y, which is kept with y = 1.

    Returns
    -------
    spacing : tuple of float
        (z, y, x) in µm; 1.0 where unknown.
    known : bool
        False if the spacing is a default.
    notices : tuple of str
        A sentence for each assumption.

    Raises
    ------
    InputError
        If `given` is unusable.
    """
    if given is not None:
        return check_spacing(given, is_3d), True, ()
    axes = "zyx" if is_3d else "yx"
    call = "pass spacing=(z, y, x) in µm" if is_3d else "pass spacing=(y, x) in µm"
    unknown: Spacing = (1.0, 1.0, 1.0)
    sizes = {axis: stated.sizes[axis] for axis in axes if axis in stated.sizes}
    for axis, size in sizes.items():
        if not math.isfinite(size) or size <= 0:
            return unknown, False, (
                f"{PREFIX}along {axis} is stated as {size:g}, which cannot be, and is ignored: "
                f"{call}.",
            )  # fmt: skip
    if not sizes:
        return unknown, False, (f"{PREFIX}is not stated; voxels are taken as cubes: {call}.",)
    units = {axis: stated.units.get(axis) for axis in sizes}
    nameless = all(unit is None for unit in units.values())
    pixels = any(
        unit is not None and unit.strip().lower() in _NOT_PHYSICAL for unit in units.values()
    )
    if pixels or (nameless and all(sizes.get(axis, 1.0) == 1.0 for axis in "yx")):
        ratio = sizes.get("z", 1.0) / sizes.get("y", 1.0), sizes.get("x", 1.0) / sizes.get("y", 1.0)
        text = f"{PREFIX}is not stated in a unit of length; voxels of " + (
            f"{ratio[0]:.4g} : 1 : {ratio[1]:.4g} are used: {call}."
        )
        return (ratio[0], 1.0, ratio[1]), False, (text,)
    notices: list[str] = []
    scaled: dict[str, float] = {}
    for axis, size in sizes.items():
        factor = 1.0 if units[axis] is None else micrometres(str(units[axis]))
        if factor is None or not _usable(size * factor):
            return unknown, False, (
                f"{PREFIX}along {axis} is stated as {size:g} {units[axis]}, "
                f"which is not understood, and is ignored: {call}.",
            )  # fmt: skip
        scaled[axis] = size * factor
        if axis == "y" and stated.z_default is not None:
            scaled.setdefault("z", stated.z_default * factor)
    if is_3d and "z" not in sizes and "z" in scaled:
        # Some writers leave z out although it is not 1: believe the default only if it is likely.
        if 0.5 <= scaled["z"] / scaled["y"] <= 20:
            notices.append(
                f"{PREFIX}along z is not stated; "
                f"the format's default of {scaled['z']:g} µm is used."
            )
        else:
            del scaled["z"]
    missing = [axis for axis in axes if axis not in scaled]
    if missing:
        have = ", ".join(f"{axis} {scaled[axis]:g} µm" for axis in axes if axis in scaled)
        return unknown, False, (
            f"{PREFIX}along {' and '.join(missing)} is not stated (but {have}); "
            f"voxels are taken as cubes: {call}.",
        )  # fmt: skip
    if any(units[axis] is None for axis in sizes):
        notices.append(f"{PREFIX}has no unit in the file; µm is assumed.")
    return (scaled.get("z", 1.0) if is_3d else 1.0, scaled["y"], scaled["x"]), True, tuple(notices)
