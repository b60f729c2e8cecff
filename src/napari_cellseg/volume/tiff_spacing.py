"""Spacing and channel names as TIFF dialects state them: OME, ImageJ, tifffile, plain tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_cellseg.volume.ome_xml import OmeImage, parse_ome
from napari_cellseg.volume.spacing import StatedSpacing, micrometres

_INCH, _CENTIMETRE = 2, 3
_COARSEST = 10.0  # µm: resolutions beyond this are those of screens and printers


def stated_spacing(file: Any) -> tuple[StatedSpacing, tuple[str, ...]]:
    """What an open TIFF says about spacing.

    Parameters
    ----------
    file : tifffile.TiffFile
        The open file.

    Returns
    -------
    StatedSpacing
        Sizes and units; empty where the file states none.
    tuple of str
        Names of the channels, if stated.
    """
    ome = ome_image(file)
    if ome is not None:
        return ome.spacing, ome.channels
    if file.is_imagej:
        return _imagej(file), _imagej_channels(file)
    shaped = file.shaped_metadata[0] if file.is_shaped and file.shaped_metadata else {}
    return _shaped(shaped, file), ()


def ome_image(file: Any) -> OmeImage | None:
    """The OME metadata of an open TIFF, or None if it has none that can be read."""
    if not file.is_ome or not file.ome_metadata:
        return None
    try:
        return parse_ome(file.ome_metadata)
    except ValueError:
        return None


def _pixel_sizes(file: Any) -> dict[str, float]:
    """1 / resolution by axis; in the unit that the file names elsewhere."""
    tags = file.pages[0].tags
    sizes = {}
    for axis, name in (("y", "YResolution"), ("x", "XResolution")):
        value = tags.valueof(name)
        if isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0:
            sizes[axis] = value[1] / value[0]
    return sizes


def _imagej(file: Any) -> StatedSpacing:
    metadata = file.imagej_metadata or {}
    sizes = _pixel_sizes(file)
    unit = _text(metadata.get("unit"))
    units = {
        "z": _text(metadata.get("zunit")) or unit,
        "y": _text(metadata.get("yunit")) or unit,
        "x": unit,
    }
    if unit is not None and micrometres(unit) == 25400.0 and _coarse(sizes, 25400.0):
        # ImageJ keeps the dots per inch of photographs; that is no measurement.
        sizes, units = {}, {}
    # ImageJ itself leaves z out of the file where it is 1.
    default = 1.0 if sizes and unit is not None and micrometres(unit) is not None else None
    if "spacing" in metadata:
        sizes["z"] = _number(metadata["spacing"])
    if sizes and set(sizes) <= {"x", "y"} and unit is None and set(sizes.values()) == {1.0}:
        sizes = {}
    return StatedSpacing(sizes, units, default)


def _imagej_channels(file: Any) -> tuple[str, ...]:
    metadata = file.imagej_metadata or {}
    count = metadata.get("channels", 1)
    labels = metadata.get("Labels")
    # Slice labels name channels only if there is exactly one slice per channel.
    if isinstance(labels, list) and count > 1 and len(labels) == count:
        return tuple(str(label) for label in labels)
    return ()


def _shaped(metadata: Mapping[str, Any], file: Any) -> StatedSpacing:
    voxel = metadata.get("voxel_size_um_zyx")
    if isinstance(voxel, list) and len(voxel) in (2, 3):
        axes = "zyx"[-len(voxel) :]
        values = {axis: _number(value) for axis, value in zip(axes, voxel, strict=True)}
        return StatedSpacing(values, dict.fromkeys(axes, "um"))
    physical = {
        axis: _number(metadata[f"PhysicalSize{axis.upper()}"])
        for axis in "zyx"
        if f"PhysicalSize{axis.upper()}" in metadata
    }
    if physical:
        units = {
            axis: _text(metadata.get(f"PhysicalSize{axis.upper()}Unit")) or "um"
            for axis in physical
        }
        return StatedSpacing(physical, units)
    sizes = _pixel_sizes(file)
    unit = _text(metadata.get("unit"))
    if unit is None:
        return _resolution_tags(sizes, file)
    if "spacing" in metadata:
        sizes["z"] = _number(metadata["spacing"])
    return StatedSpacing(sizes, dict.fromkeys("zyx", unit))


def _resolution_tags(sizes: dict[str, float], file: Any) -> StatedSpacing:
    tag = file.pages[0].tags.valueof("ResolutionUnit")
    factor = {_INCH: 25400.0, _CENTIMETRE: 1e4}.get(int(tag) if tag is not None else 0)
    if factor is None or len(sizes) < 2 or _coarse(sizes, factor):
        return StatedSpacing()
    return StatedSpacing(sizes, dict.fromkeys("yx", "inch" if factor > 1e4 else "cm"))


def _coarse(sizes: Mapping[str, float], factor: float) -> bool:
    return any(size * factor > _COARSEST for size in sizes.values())


def _text(value: object) -> str | None:
    text = str(value).strip().strip("\x00") if value is not None else ""
    return text or None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
