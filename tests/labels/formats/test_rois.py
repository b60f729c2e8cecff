"""ImageJ's ROIs: filled by ImageJ's rule, written so that filling them gives the labels back."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats import read_label_file, write_label_file
from napari_cellseg.labels.formats.roi_shapes import path_loops, pixels_of

SHAPE = (12, 14)


def save(path: Path, *rois: ImagejRoi) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for k, roi in enumerate(rois):
            archive.writestr(f"{roi.name or f'{k:04d}-0000'}.roi", roi.tobytes())
    return path


def polygon(corners: Any, **more: Any) -> ImagejRoi:
    """(y, x) corners."""
    roi = ImagejRoi.frompoints(np.asarray(corners)[:, ::-1], name=more.pop("name", ""))
    for name, value in more.items():
        setattr(roi, name, value)
    return roi


def box(kind: ROI_TYPE, top: int, left: int, bottom: int, right: int, **more: Any) -> ImagejRoi:
    return ImagejRoi(roitype=kind, top=top, left=left, bottom=bottom, right=right, **more)


def refusal(path: Path) -> str | None:
    """Why a file is refused; None of one that is read. Any other exception is a fault."""
    try:
        read_label_file(path, SHAPE)
    except InputError as error:
        return str(error)
    return None


def image_of(roi: ImagejRoi, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """After the bytes have been written and read."""
    found = pixels_of(ImagejRoi.frombytes(roi.tobytes()), shape)
    assert found is not None
    whole = np.zeros(shape, bool)
    whole[found[0]] = found[1]
    return whole


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(
        np.uint32,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=6).filter(lambda s: np.prod(s) < 150),
        elements=st.sampled_from([0, 0, 1, 2, 9, 2**32 - 2]),
    ).filter(np.any)
)
def test_round_trip(tmp_path: Path, labels: np.ndarray):
    path = write_label_file(tmp_path / "rois.zip", labels, overwrite=True)
    file = read_label_file(path, labels.shape)
    assert np.array_equal(file.labels, labels)
    assert file.notices == ()


def test_round_trip_of_round_cells_with_holes_and_parts(tmp_path: Path):
    z, y, x = np.indices((3, 60, 60))
    labels = np.zeros(z.shape, np.uint32)
    for number, (cy, cx) in enumerate([(15, 15), (15, 42), (40, 30)], start=1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 150 - 20 * z] = number
    labels[1, 14:17, 14:17] = 0  # a hole
    labels[2, 50:55, 5:9] = 1  # a second part
    path = write_label_file(tmp_path / "rois.zip", labels)
    assert np.array_equal(read_label_file(path, labels.shape).labels, labels)
    with zipfile.ZipFile(path) as archive:
        rois = {name: ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()}
    assert len(rois) == 9
    assert rois["cell-2-z0003.roi"].z_position == 3
    assert rois["cell-1-z0002.roi"].composite
    assert rois["cell-1-z0003.roi"].composite
    assert rois["cell-1-z0001.roi"].roitype == ROI_TYPE.TRACED


def test_time_and_depth_are_positions(tmp_path: Path):
    labels = np.zeros((2, 3, 4, 4), np.uint32)
    labels[1, 2, 1:3, 1:3] = 5
    path = write_label_file(tmp_path / "rois.zip", labels)
    with zipfile.ZipFile(path) as archive:
        roi = ImagejRoi.frombytes(archive.read("cell-5-t0002-z0003.roi"))
    assert (roi.t_position, roi.z_position) == (2, 3)


def test_a_rectangle_holds_its_pixels():
    inside = image_of(box(ROI_TYPE.RECT, 2, 3, 5, 9))
    assert inside[2:5, 3:9].all()
    assert inside.sum() == 18


def test_rounded_corners_are_cut():
    inside = image_of(box(ROI_TYPE.RECT, 0, 0, 10, 12, rounded_rect_arc_size=6))
    assert not inside[0, 0]
    assert inside[0, 3]
    assert inside[3, 0]
    assert 100 < inside.sum() < 120


def test_an_oval_holds_the_pixels_whose_centre_is_inside():
    inside = image_of(box(ROI_TYPE.OVAL, 1, 2, 9, 12))
    y, x = np.indices(SHAPE) + 0.5
    assert np.array_equal(inside, ((y - 5) / 4) ** 2 + ((x - 7) / 5) ** 2 <= 1)


def test_a_polygon_between_pixels():
    roi = polygon(np.array([[1.4, 1.4], [1.4, 5.6], [6.6, 5.6], [6.6, 1.4]], np.float32))
    assert roi.options & ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    inside = image_of(roi)
    assert inside[1:7, 1:6].all()
    assert inside.sum() == 30


def test_a_square_of_corners_holds_what_is_between_them():
    inside = image_of(polygon([[2, 2], [2, 6], [5, 6], [5, 2]]))
    assert inside[2:5, 2:6].all()
    assert inside.sum() == 12


def test_what_lies_outside_the_image_is_cut_off():
    inside = image_of(polygon([[-5, -5], [-5, 3], [4, 3], [4, -5]]))
    assert inside[:4, :3].all()
    assert inside.sum() == 12


def test_curves_of_a_composite_are_followed():
    # a quarter of an ellipse as a cubic, and a close
    k = 0.5523
    path = [0, 0, 0, 1, 8, 0, 3, 8, 8 * k, 8 * k, 8, 0, 8, 4, 0, 10, 10, 2, 12, 10, 12, 12, 4]
    quarter, second = path_loops(np.array(path, np.float32))
    radius = np.hypot(*quarter[2:].T)
    assert np.allclose(radius, 8, atol=0.05)
    assert len(second) == 17


@pytest.mark.parametrize("path", [[1, 2, 2], [0, 1], [7, 1, 1], [0, 1, 1, 1, np.nan]])
def test_a_path_that_is_none(path: list[float]):
    with pytest.raises(ValueError, match="path"):
        path_loops(np.array(path, np.float32))


def test_each_foreign_roi_is_an_object_in_the_order_of_the_file(tmp_path: Path):
    path = save(
        tmp_path / "a.zip",
        box(ROI_TYPE.RECT, 0, 0, 4, 4, name="0002-0002"),
        box(ROI_TYPE.LINE, 0, 0, 4, 4, name="a line"),
        box(ROI_TYPE.RECT, 2, 2, 6, 6, name="0004-0004"),
    )
    file = read_label_file(path, SHAPE)
    assert file.labels[0, 0] == 1
    assert file.labels[3, 3] == 3
    assert file.labels[5, 5] == 3
    assert [word in " ".join(file.notices) for word in ("numbered", "1 lines", "4 voxels")] == [
        True
    ] * 3


def test_numbers_as_names_are_ids(tmp_path: Path):
    path = save(
        tmp_path / "a.zip",
        box(ROI_TYPE.RECT, 0, 0, 2, 2, name="40"),
        box(ROI_TYPE.RECT, 4, 4, 6, 6, name="7"),
    )
    file = read_label_file(path, SHAPE)
    assert (file.labels[0, 0], file.labels[5, 5], file.notices) == (40, 7, ())


@pytest.mark.parametrize(
    ("more", "axes", "at"),
    [
        ({"z_position": 3}, "zyx", (2,)),
        ({"position": 3}, "zyx", (2,)),
        ({"name": "0003-0004-0005"}, "zyx", (2,)),
        ({"t_position": 3}, "zyx", (2,)),
        ({"z_position": 3}, "tyx", (2,)),
        ({"position": 3}, "tyx", (2,)),
        ({"t_position": 2, "z_position": 3}, "tzyx", (1, 2)),
        ({"position": 7}, "tzyx", (1, 2)),
        ({"name": "0007-0004-0005"}, "tzyx", (1, 2)),
        ({"z_position": 1, "t_position": 1, "position": 1}, "yx", ()),
    ],
)
def test_where_a_roi_lies(tmp_path: Path, more: Any, axes: str, at: tuple[int, ...]):
    shape = (*{"t": (2,), "tz": (2, 4), "z": (4,), "": ()}.get(axes[:-2], ()), *SHAPE)
    if axes == "tyx":
        shape = (3, *SHAPE)
    path = save(tmp_path / "a.zip", box(ROI_TYPE.RECT, 0, 0, 2, 2, **more))
    labels = read_label_file(path, shape, axes=axes).labels
    expected = np.zeros(shape, bool)
    expected[(*at, slice(0, 2), slice(0, 2))] = True
    assert np.array_equal(labels > 0, expected)


def test_a_roi_that_names_no_plane_fills_all_and_tells(tmp_path: Path):
    path = save(tmp_path / "a.zip", box(ROI_TYPE.RECT, 0, 0, 2, 2, name="cell"))
    file = read_label_file(path, (3, *SHAPE))
    assert file.labels[:, 0, 0].tolist() == [1, 1, 1]
    assert "1 ROIs name no plane" in " ".join(file.notices)


@pytest.mark.parametrize("more", [{"z_position": 9}, {"position": 9}, {"t_position": 9}])
def test_a_plane_that_is_not_there(tmp_path: Path, more: Any):
    path = save(tmp_path / "a.zip", box(ROI_TYPE.RECT, 0, 0, 2, 2, **more))
    for shape in (SHAPE, (3, *SHAPE), (2, 2, *SHAPE)):
        with pytest.raises(InputError, match="pass the shape of its image"):
            read_label_file(path, shape)


def test_a_single_roi(tmp_path: Path):
    path = tmp_path / "a.roi"
    path.write_bytes(box(ROI_TYPE.OVAL, 0, 0, 6, 6).tobytes())
    assert read_label_file(path, SHAPE).labels.max() == 1


def test_the_shape_is_needed(tmp_path: Path):
    path = save(tmp_path / "a.zip", box(ROI_TYPE.RECT, 0, 0, 2, 2))
    with pytest.raises(InputError, match="pass the shape"):
        read_label_file(path)
    with pytest.raises(InputError, match="shape"):
        read_label_file(path, (4,))


@pytest.mark.parametrize(
    "roi",
    [
        box(ROI_TYPE.LINE, 0, 0, 4, 4),
        box(ROI_TYPE.NOROI, 0, 0, 4, 4),
        box(ROI_TYPE.RECT, 0, 0, 4, 4, subtype=ROI_SUBTYPE.TEXT),
    ],
)
def test_no_area_no_object(tmp_path: Path, roi: ImagejRoi):
    with pytest.raises(InputError, match="no area selection"):
        read_label_file(save(tmp_path / "a.zip", roi), SHAPE)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damage_is_refused_or_cut_off(tmp_path_factory: Any, data: st.DataObject):
    good = polygon([[2, 2], [2, 6], [5, 6], [5, 2]], z_position=1).tobytes()
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.roi"
    path.write_bytes(bytes(bad[: data.draw(st.integers(1, len(bad)))]))
    found = refusal(path)
    assert found is None or "damaged.roi" in found


def test_no_zip_and_no_roi(tmp_path: Path):
    for name, content in (("a.zip", b"PK\x03\x04 cut off"), ("a.roi", b"Iout"), ("b.roi", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="damaged or no ROI"):
            read_label_file(tmp_path / name, SHAPE)


def test_a_plane_too_large_for_rois(tmp_path: Path):
    with pytest.raises(InputError, match="larger than"):
        write_label_file(tmp_path / "a.zip", np.ones((1, 40_000), np.uint32))
    assert list(tmp_path.iterdir()) == []


def test_an_outline_of_very_many_corners(tmp_path: Path):
    labels = np.zeros((402, 402), np.uint32)
    labels[::2, :] = 1
    labels[:, 0] = 1
    labels[1::2, 1:-1:2] = 1  # a comb with more corners than 16 bits count
    path = write_label_file(tmp_path / "a.zip", labels)
    assert np.array_equal(read_label_file(path, labels.shape).labels, labels)
