"""Measure one object; what is found depends on its box with a margin, and its neighbour's, only.

That is what makes an update after an edit cheap and equal to measuring everything anew. Numbers
that compare an object with all others are made later (`doubt`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.labels.review.boxes import at_border, grown, meet, overlap, united, within
from napari_cellseg.labels.review.contact import Surface, mean, surface_of
from napari_cellseg.labels.review.evidence import QUALITY, Evidence, Frame
from napari_cellseg.labels.review.flow_numbers import flow_numbers
from napari_cellseg.labels.review.shape import (
    elongation,
    hull,
    neck,
    plane_numbers,
    stray_share,
    thinned,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels.review.item import Slices
    from napari_cellseg.labels.review.objects import Key, Objects

#: What is measured of every object; NaN where the evidence is not there.
RAW = (
    "log_size", "hull_area", "solidity", "roughness", "elongation", "neck", "stray", "area_jump",
    "gaps", "drift", "share", "union_solidity", "log_union", "log_voxels", "border", "logit",
    "chance", "agreement", "flow_error", "sinks", "leaves", "logit_between", "logit_inside",
    "logit_outside", "level", "level_between", "level_inside", "level_outside", "texture", "basin",
)  # fmt: skip


def measure(frame: Frame, objects: Objects, evidence: Evidence, key: Key) -> dict[str, float]:
    """Measure an object.

    Parameters
    ----------
    frame : Frame
        Of the object's time point.
    objects : Objects
    evidence : Evidence
    key : (t, id)

    Returns
    -------
    dict
        A number for every name of `RAW`.
    """
    t, number = key
    box = objects.box(number, t)
    own = np.asarray(frame.labels[box] == number)
    raw = dict.fromkeys(RAW, float("nan"))
    mask, spacing, _ = thinned(own, frame.spacing)
    volume, raw["hull_area"] = hull(mask, spacing)
    count = np.count_nonzero(own)
    raw["log_size"] = float(np.log(count * np.prod(frame.spacing)))
    raw["log_voxels"] = float(np.log(count))
    raw["solidity"] = float(np.count_nonzero(mask) * np.prod(spacing)) / volume
    raw["elongation"] = elongation(mask, spacing)
    raw["neck"] = neck(mask, spacing)
    raw["stray"] = stray_share(mask)
    raw["border"] = float(at_border(box, frame.shape))
    raw.update(plane_numbers(own, frame.spacing))
    if frame.field is not None:
        raw.update(flow_numbers(frame, number, box, own))
        if key in evidence.prompted:
            raw["basin"] = _basin_iou(frame, evidence, box, own)
    else:
        raw.update(_quality(evidence, key))
    if frame.has_image:
        pixels = frame.pixels(box)[own]
        raw["level"], raw["texture"] = mean(pixels), float(pixels.std())
    return {**raw, **measure_around(frame, objects, key, raw["hull_area"])}


def measure_around(frame: Frame, objects: Objects, key: Key, hull_area: float) -> dict[str, float]:
    """What neighbours and the surface say: all that changes when only a neighbour was edited.

    Parameters
    ----------
    frame, objects, key
        As in `measure`.
    hull_area : float
        Surface of the convex hull of the object.

    Returns
    -------
    dict
        Some of the names of `RAW`.
    """
    t, number = key
    wide = grown(objects.box(number, t), 1, frame.shape)
    values = []
    if frame.field is not None:
        values.append(np.asarray(frame.field.logits[wide], np.float32))
    if frame.has_image:
        values.append(frame.pixels(wide))
    surface = surface_of(np.asarray(frame.labels[wide]), number, frame.spacing, tuple(values))
    around = {
        "roughness": surface.area / hull_area,
        "share": surface.share,
        "union_solidity": float("nan"),
        "log_union": float("nan"),
    }
    if surface.neighbour:
        around.update(_union(frame, objects, t, number, surface))
    if frame.field is not None:
        around["logit_between"] = surface.between[0]
        around["logit_inside"], around["logit_outside"] = surface.inside[0], surface.outside[0]
    if frame.has_image:
        around["level_between"] = surface.between[-1]
        around["level_inside"], around["level_outside"] = surface.inside[-1], surface.outside[-1]
    return around


def _union(
    frame: Frame, objects: Objects, t: int, number: int, surface: Surface
) -> dict[str, float]:
    """How convex and how large an object would be together with the one that it touches most."""
    both = united(objects.box(number, t), objects.box(surface.neighbour, t))
    part = frame.labels[both]
    mask, spacing, _ = thinned((part == number) | (part == surface.neighbour), frame.spacing)
    volume, _ = hull(mask, spacing)
    size = float(np.count_nonzero(mask) * np.prod(spacing))
    return {
        "union_solidity": size / volume,
        "log_union": float(np.log(size)) if size else float("nan"),
    }


def _quality(evidence: Evidence, key: Key) -> dict[str, float]:
    known = evidence.quality.get(key)
    if known is None:
        return {}
    numbers = {name: float(known[name]) for name in QUALITY if name in known}
    if "probability" in numbers:
        chance = float(np.clip(numbers.pop("probability"), 1e-6, 1 - 1e-6))
        numbers["logit"] = float(np.log(chance / (1 - chance)))
    return numbers


def _basin_iou(frame: Frame, evidence: Evidence, box: Slices, own: NDArray[np.bool_]) -> float:
    """IoU of an object with the basin of its own innermost voxel."""
    from scipy import ndimage as ndi

    from napari_cellseg.flows.basin import basin_region

    assert frame.field is not None
    depth = ndi.distance_transform_edt(np.pad(own, 1), sampling=frame.spacing)
    deepest = np.unravel_index(int(depth.argmax()), depth.shape)
    point = [int(p) - 1 + part.start for p, part in zip(deepest, box, strict=True)]
    found = basin_region(frame.field, [point], probability=evidence.probability)
    shared = 0
    if meet(found.region, box):
        common = overlap(found.region, box)
        mine, its = within(common, box), within(common, found.region)
        shared = int((own[mine] & found.mask[its]).sum())
    return shared / (int(found.mask.sum()) + int(own.sum()) - shared)
