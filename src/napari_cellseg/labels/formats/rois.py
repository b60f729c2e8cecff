"""ImageJ's ROI files (.roi, and .zip of them): area selections become objects.

The format is that of ``ij/io/RoiDecoder.java`` in ImageJ; roifile takes the bytes apart.
"""

from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats.label_file import LabelFile
from napari_cellseg.labels.formats.roi_shapes import pixels_of
from napari_cellseg.volume.axes import DEFAULTS, parse_axes
from napari_cellseg.volume.memory import check_memory

if TYPE_CHECKING:
    from roifile import ImagejRoi

_OURS = re.compile(r"cell-(\d+)(?:-t\d+)?(?:-z\d+)?")
_NUMBER = re.compile(r"[1-9]\d{0,8}")
_STACK_NAME = re.compile(r"(\d{4,})-\d{4,}-\d{4,}")
"""ImageJ's default name of a selection in a stack: position in the stack, y, x."""
_MOST_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class _Roi:
    name: str
    roi: ImagejRoi


def read_rois(path: Path, shape: tuple[int, ...] | None, axes: str | None = None) -> LabelFile:
    """Fill the selections of a ROI file, each by ImageJ's own rule.

    Polygons, freehand and traced selections, ellipses, rectangles and composites (holes, several
    parts) are filled; lines, points, angles and texts are left out with a notice. The plane is the
    position that the selection states, or the first number of a name such as
    ``0012-0034-0056``. Selections named ``cell-ID`` (by `write_rois`), or all by numbers,
    keep these as ids; otherwise each is one object, numbered in the order of the file.

    Parameters
    ----------
    path : Path
        ``.roi`` or ``.zip``.
    shape : tuple of int or None
        Of the labels; a ROI file does not say how large its image is.
    axes : str, optional
        Axes of `shape`; by default yx, zyx or tzyx.

    Raises
    ------
    InputError
        There is no shape, no area selection, one lies in a plane that `shape` lacks, or the file
        is damaged.
    """
    if shape is None:
        raise InputError(
            f"The ROIs in {path.name!r} do not say how large their image is: pass the shape of "
            "the image."
        )
    if len(shape) not in DEFAULTS or any(n < 1 for n in shape):
        raise InputError(f"ROIs cannot be filled into shape {shape}: pass that of the image.")
    letters = parse_axes(axes or DEFAULTS[len(shape)], len(shape), "the shape")
    if letters not in ("yx", "zyx", "tyx", "tzyx"):
        raise InputError(f"ROIs cannot be filled along axes {letters}: pass (t, z, y, x).")
    check_memory(4 * int(np.prod(shape)), f"Filling ROIs into shape {shape}")
    rois = _load(path)
    labels = np.zeros(shape, np.uint32)
    ids, notices = _ids([one.name for one in rois])
    sizes = dict(zip(letters, shape, strict=True))
    skipped = everywhere = overlapped = filled = 0
    for one, number in zip(rois, ids, strict=True):
        with _blamed(path, one.name):
            found = pixels_of(one.roi, (shape[-2], shape[-1]))
        if found is None:
            skipped += 1
            continue
        region, inside = found
        planes = _planes(one, sizes, path)
        everywhere += len(planes) > 1
        filled += 1
        for plane in planes:
            view = labels[plane][region]
            overlapped += int(np.count_nonzero(inside & (view > 0) & (view != number)))
            view[inside] = number
    if not filled:
        raise InputError(f"{path.name!r} holds no area selection: lines and points are no objects.")
    if skipped:
        notices.append(f"{skipped} lines, points or texts in {path.name!r} were left out.")
    if everywhere:
        notices.append(f"{everywhere} ROIs name no plane and were filled into all of them.")
    if overlapped:
        notices.append(
            f"ROIs overlap in {overlapped} voxels, which went to the later one in the file."
        )
    return LabelFile(labels, letters, None, tuple(notices))


class _blamed:  # noqa: N801 - reads as a clause
    """Turn what damaged bytes do to a decoder into one sentence."""

    def __init__(self, path: Path, name: str = "") -> None:
        self.what = f"ROI {name!r} in {path.name!r}" if name else f"{path.name!r}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, InputError):
            raise InputError(
                f"{self.what} is damaged or no ROI file of ImageJ ({type(error).__name__}): "
                "save it again."
            ) from error


def _load(path: Path) -> list[_Roi]:
    with _blamed(path):
        if not zipfile.is_zipfile(path):
            return [_Roi(path.stem, _decode(path.read_bytes(), path))]
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if one.filename.lower().endswith(".roi")]
            if sum(one.file_size for one in entries) > _MOST_BYTES:
                raise InputError(f"The ROIs in {path.name!r} would unpack to more than 1 GB.")
            return [
                _Roi(Path(one.filename).name[:-4], _decode(archive.read(one), path))
                for one in entries
            ]


def _decode(data: bytes, path: Path) -> ImagejRoi:
    from roifile import ImagejRoi

    # roifile trusts these numbers when it reserves memory
    if len(data) >= 64:
        shape_size = struct.unpack(">i", data[36:40])[0]
        if 4 * shape_size > len(data) or shape_size < 0:
            raise InputError(f"A ROI in {path.name!r} is cut off: save it again.")
    return ImagejRoi.frombytes(data)


def _ids(names: list[str]) -> tuple[list[int], list[str]]:
    for pattern in (_OURS, _NUMBER):
        found = [pattern.fullmatch(name) for name in names]
        if names and all(found):
            ids = [int(one[1] if pattern is _OURS else one[0]) for one in found if one]
            if all(0 < number < 2**32 - 1 for number in ids):
                return ids, []
    return list(range(1, len(names) + 1)), [
        f"Each of the {len(names)} ROIs is one object, numbered in the order of the file."
    ]


def _planes(one: _Roi, sizes: dict[str, int], path: Path) -> list[tuple[int, ...]]:
    """Indices of the planes that a ROI belongs to, over the axes before y."""
    leading = [axis for axis in sizes if axis not in "yx"]
    roi, count = one.roi, {axis: sizes[axis] for axis in leading}
    at: dict[str, int | None] = {"t": roi.t_position or None, "z": roi.z_position or None}
    named = _STACK_NAME.fullmatch(one.name)
    position = roi.position or (int(named[1]) if named else 0)
    if not any(at.values()) and position:
        # position in the stack, z first
        depth = count.get("z", 1) if "t" in leading else max(position, 1)
        if leading == ["t"]:
            at["t"] = position
        else:
            at["z"] = (position - 1) % depth + 1
            at["t"] = (position - 1) // depth + 1 if "t" in leading else None
    elif len(leading) == 1 and at[leading[0]] is None:
        # a stack whose only axis goes by the other name in ImageJ
        at = {leading[0]: at["z" if leading == ["t"] else "t"]}
    for axis in "tz":
        place = at.get(axis)
        if place is not None and not 1 <= place <= count.get(axis, 1):
            raise InputError(
                f"ROI {one.name!r} in {path.name!r} lies at {axis} = {place}, but there are "
                f"{count.get(axis, 1)}: pass the shape of its image."
            )
    choices = [
        range(count[axis]) if at.get(axis) is None else [int(at[axis] or 1) - 1] for axis in leading
    ]
    planes: list[tuple[int, ...]] = [()]
    for choice in choices:
        planes = [(*plane, k) for plane in planes for k in choice]
    return planes


def write_rois(path: Path, labels: NDArray[np.unsignedinteger[Any]], axes: str) -> int:
    """Write one selection per object and plane; filling them gives exactly the same voxels.

    Parameters
    ----------
    path : Path
        ``.zip``; the caller makes the write atomic.
    labels : ndarray of int
        ([t,] [z,] y, x).
    axes : str
        Their axes.

    Returns
    -------
    int
        How many selections were written. They are named ``cell-ID``, ``cell-ID-z…``, counted from
        1 as in ImageJ. An object with holes or in several parts is one composite selection.

    Raises
    ------
    InputError
        The plane is larger than a ROI can say.
    """
    from napari_cellseg.labels.formats.roi_shapes import MOST, roi_of

    if max(labels.shape[-2:]) > MOST:
        raise InputError(
            f"A plane of {labels.shape[-2:]} pixels is larger than ImageJ's ROIs can say ({MOST}): "
            "write TIFF or OME-Zarr."
        )
    leading = axes[:-2]
    written = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in np.ndindex(labels.shape[: len(leading)]):
            place = {axis: k + 1 for axis, k in zip(leading, index, strict=True)}
            suffix = "".join(f"-{axis}{place[axis]:04d}" for axis in leading)
            for number, corner, mask in _objects(labels[index]):
                name = f"cell-{number}{suffix}"
                roi = roi_of(mask, corner, name, place.get("z", 0), place.get("t", 0))
                archive.writestr(f"{name}.roi", roi.tobytes())
                written += 1
    return written


def _objects(
    plane: NDArray[np.unsignedinteger[Any]],
) -> list[tuple[int, tuple[int, int], NDArray[np.bool_]]]:
    """Id, upper left corner and mask of each object in a plane."""
    from scipy import ndimage as ndi

    ids = np.unique(plane)
    if not ids[-1]:
        return []
    ranks = np.searchsorted(ids, plane) + int(ids[0] != 0)
    found = []
    for number, box in zip(ids[ids > 0], ndi.find_objects(ranks), strict=True):
        corner = (int(box[0].start), int(box[1].start))
        found.append((int(number), corner, plane[box] == number))
    return found
