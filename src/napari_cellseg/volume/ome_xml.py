"""The part of OME-XML that a Volume needs: spacing, channel names, our own annotation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from napari_cellseg.volume.spacing import StatedSpacing

NAMESPACE = "napari-cellseg"
"""Namespace of the map annotation in which labels keep their recipe."""


@dataclass(frozen=True)
class OmeImage:
    """What the first image of an OME-XML document states.

    Attributes
    ----------
    spacing : StatedSpacing
        Physical sizes.
    channels : tuple of str
        Names of the channels; empty if any has none.
    recipe : dict or None
        Content of the annotation that :func:`napari_cellseg.volume.write_labels` wrote.
    """

    spacing: StatedSpacing
    channels: tuple[str, ...]
    recipe: dict[str, Any] | None


def parse_ome(xml: str) -> OmeImage:
    """Read an OME-XML document.

    Parameters
    ----------
    xml : str
        The document, as found in the first ImageDescription of an OME-TIFF.

    Raises
    ------
    ValueError
        If it is not well-formed.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from error
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return OmeImage(StatedSpacing(), (), _recipe(root))
    sizes: dict[str, float] = {}
    units: dict[str, str | None] = {}
    for axis in "zyx":
        text = pixels.get(f"PhysicalSize{axis.upper()}")
        if text is not None:
            sizes[axis] = _number(text)
            # The schema's default unit is µm.
            units[axis] = pixels.get(f"PhysicalSize{axis.upper()}Unit", "µm")
    names = [channel.get("Name") or "" for channel in pixels.findall("{*}Channel")]
    return OmeImage(StatedSpacing(sizes, units), tuple(names) if all(names) else (), _recipe(root))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _recipe(root: ElementTree.Element) -> dict[str, Any] | None:
    for annotation in root.iterfind("{*}StructuredAnnotations/{*}MapAnnotation"):
        if annotation.get("Namespace") != NAMESPACE:
            continue
        for entry in annotation.iterfind("{*}Value/{*}M"):
            if entry.get("K") == "recipe":
                try:
                    recipe = json.loads(entry.text or "")
                except json.JSONDecodeError:
                    return {}
                return recipe if isinstance(recipe, dict) else {}
    return None
