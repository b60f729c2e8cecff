"""OME-Zarr 0.4 and 0.5: multiscale images and the labels inside them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError
from napari_cellseg.volume.spacing import StatedSpacing
from napari_cellseg.volume.zarr_store import (
    attributes,
    children,
    is_array,
    is_zarr,
    open_array,
    zarr_format,
)

if TYPE_CHECKING:
    import dask.array as da

LABELS = "labels"
CELLS = "cells"
"""Labels are written to, and looked for first in, ``labels/cells``."""


@dataclass(frozen=True)
class OmeZarr:
    """One multiscale image.

    Attributes
    ----------
    group : Path
        Folder of the group that describes it.
    levels : tuple of Path
        Folders of its arrays, the finest first.
    axes : str
        One letter of ``tczyx?`` per dimension.
    spacing : StatedSpacing
        Voxel size of the finest level.
    channels : tuple of str
        Names of the channels, if stated.
    attributes : dict
        User attributes of the group.
    notices : tuple of str
        A sentence for each assumption.
    """

    group: Path
    levels: tuple[Path, ...]
    axes: str
    spacing: StatedSpacing
    channels: tuple[str, ...]
    attributes: dict[str, Any]
    notices: tuple[str, ...]

    @property
    def is_labels(self) -> bool:
        """Whether the metadata call it a label image."""
        return "image-label" in _ome(self.attributes) or self.holds_only_labels

    @property
    def holds_only_labels(self) -> bool:
        """Whether its arrays lie in its own labels group, as `write_labels` arranges them."""
        return all(self.group / LABELS in level.parents for level in self.levels)

    def arrays(self, where: str) -> list[da.Array]:
        """All levels as lazy arrays, the finest first."""
        arrays = [open_array(level, where) for level in self.levels]
        for array in arrays:
            if array.ndim != len(self.axes):
                raise InputError(
                    f"{where} states {len(self.axes)} axes but holds an array of shape "
                    f"{array.shape}: write the store again."
                )
        return arrays


def find_image(path: Path, where: str) -> OmeZarr | None:
    """The OME-Zarr image at `path`, or None if the group there has no OME metadata.

    Parameters
    ----------
    path : Path
        Folder of a zarr group.
    where : str
        Subject of messages.

    Raises
    ------
    InputError
        If the OME metadata cannot be used.
    """
    found = attributes(path)
    ome = _ome(found)
    if "multiscales" in ome:
        return _image(path, found, where)
    if "bioformats2raw.layout" in ome:
        series = [child for child in children(path) if "multiscales" in _ome(attributes(child))]
        if not series:
            raise InputError(f"{where} is an OME-Zarr collection without an image.")
        image = _image(series[0], attributes(series[0]), where)
        if len(series) == 1:
            return image
        text = f"The store holds {len(series)} images; the first, {series[0].name!r}, is used."
        return OmeZarr(**{**image.__dict__, "notices": (text, *image.notices)})
    if "plate" in ome or "well" in ome:
        raise InputError(
            f"{where} is an OME-Zarr plate or well: choose the folder of one of its images."
        )
    names = label_names(path) if path.name != LABELS else _listed(path)
    folder = path if path.name == LABELS else path / LABELS
    if names:
        return find_image(folder / (CELLS if CELLS in names else names[0]), where)
    return None


def label_names(path: Path) -> list[str]:
    """Names of the label images inside the image group `path`."""
    return _listed(path / LABELS) if is_zarr(path / LABELS) else []


def _listed(folder: Path) -> list[str]:
    stated = _ome(attributes(folder)).get("labels")
    names = [name for name in stated if isinstance(name, str)] if isinstance(stated, list) else []
    # An interrupted writer may have left labels that are not listed yet, or the reverse.
    names += [child.name for child in children(folder) if child.name not in names]
    inside = folder.resolve()
    return [
        name
        for name in names
        if is_zarr(folder / name) and inside in (folder / name).resolve().parents
    ]


def _ome(found: dict[str, Any]) -> dict[str, Any]:
    """OME metadata, which 0.5 keeps under a key of their own."""
    ome = found.get("ome", found)
    return ome if isinstance(ome, dict) else {}


def _image(group: Path, found: dict[str, Any], where: str) -> OmeZarr:
    multiscale = _validated(_ome(found).get("multiscales"), zarr_format(group), where)
    notices = []
    count = len(_ome(found)["multiscales"])
    if count > 1:
        notices.append(f"The group describes {count} images; the first is used.")
    axes = "".join(_letter(axis) for axis in multiscale.axes)
    inside = group.resolve()
    levels = tuple(group / dataset.path for dataset in multiscale.datasets)
    if any(inside not in level.resolve().parents for level in levels):
        raise InputError(f"{where} refers to an array outside its own folder.")
    if not is_zarr(levels[0]) or not is_array(levels[0]):
        raise InputError(f"{where} has no zarr array at {levels[0].name!r}: write the store again.")
    scale = [1.0] * len(axes)
    for transform in (
        *multiscale.datasets[0].coordinateTransformations,
        *(multiscale.coordinateTransformations or ()),
    ):
        if transform.type == "scale":
            scale = [a * b for a, b in zip(scale, transform.scale, strict=True)]
    sizes = {letter: float(s) for letter, s in zip(axes, scale, strict=True) if letter in "zyx"}
    units = {
        letter: axis.unit
        for letter, axis in zip(axes, multiscale.axes, strict=True)
        if letter in "zyx"
    }
    spacing = StatedSpacing(sizes, units)
    if set(sizes.values()) == {1.0} and not any(units.values()):
        spacing = StatedSpacing()
    readable = tuple(level for level in levels if is_zarr(level))
    return OmeZarr(group, readable, axes, spacing, _channels(found), found, tuple(notices))


def _validated(multiscales: Any, version: int, where: str) -> Any:
    """The first multiscale, validated against the model of its version."""
    import yaozarrs

    if not isinstance(multiscales, list) or not multiscales:
        raise InputError(f"{where} has OME-Zarr metadata without an image.")
    model = yaozarrs.v05.Multiscale if version == 3 else yaozarrs.v04.Multiscale
    stated = multiscales[0].get("version") if isinstance(multiscales[0], dict) else None
    if stated in ("0.1", "0.2", "0.3"):
        raise InputError(f"{where} is OME-Zarr {stated}: convert it to 0.4 or 0.5.")
    try:
        with warnings.catch_warnings():
            # Units outside the recommended list are handled when spacing is settled.
            warnings.simplefilter("ignore")
            return model.model_validate(multiscales[0])
    except ValueError as error:
        errors: Sequence[Any] = error.errors() if hasattr(error, "errors") else ()
        place = ".".join(str(part) for part in errors[0]["loc"]) if errors else ""
        text = str(errors[0]["msg"] if errors else error).splitlines()[0]
        raise InputError(
            f"{where} has OME-Zarr metadata that are not valid ({place}: {text})."
        ) from error


def _letter(axis: Any) -> str:
    kind = getattr(axis, "type", None)
    if kind == "time":
        return "t"
    if kind == "channel":
        return "c"
    name = str(axis.name).lower()
    return name if name in tuple("tczyx") else "?"


def _channels(found: dict[str, Any]) -> tuple[str, ...]:
    """Labels of the rendering hints; these are optional, and often not quite valid."""
    omero = _ome(found).get("omero")
    listed = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(listed, list):
        return ()
    names = [str(c.get("label") or "") if isinstance(c, dict) else "" for c in listed]
    return tuple(names) if all(names) else ()
