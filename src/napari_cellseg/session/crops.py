"""Images that are a part of another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from napari_cellseg.session.records import Region
    from napari_cellseg.volume import Volume


@dataclass(frozen=True, eq=False)
class Crop:
    """Where an image was cut out.

    Attributes
    ----------
    parent : Volume
        The whole image.
    box : tuple of slice
        Over the label axes of the parent.
    """

    parent: Volume
    box: Region


_crops: WeakKeyDictionary[Volume, Crop] = WeakKeyDictionary()


def cropped(parent: Volume, box: Region, seen_as: Volume | None = None) -> Volume:
    """Cut a box out of an image; nothing is read.

    Parameters
    ----------
    parent : Volume
    box : tuple of slice
        One per label axis, with plain bounds; every channel is kept.
    seen_as : Volume, optional
        The same image with the spacing that the user has stated.
    """
    of = dict(zip(parent.label_axes, box, strict=True))
    part = tuple(of.get(axis, slice(None)) for axis in parent.axes)
    whole = parent if seen_as is None else seen_as
    name = f"{parent.name} [{', '.join(f'{one.start}:{one.stop}' for one in box)}]"
    volume = replace(whole, data=whole.data[part], name=name, notices=())
    _crops[volume] = Crop(parent, box)
    return volume


def crop_of(volume: Volume | None) -> Crop | None:
    """Return where an image was cut out; None where it is a whole one."""
    return None if volume is None else _crops.get(volume)
