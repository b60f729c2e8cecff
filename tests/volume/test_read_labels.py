import numpy as np
import pytest
import tifffile
import zarr

from napari_cellseg import InputError
from napari_cellseg.volume import LabelFile, read_label_file, read_labels


def test_labels_of_other_programs_in_any_type(tmp_path):
    labels = np.random.default_rng(0).integers(0, 50, (3, 20, 31))
    for dtype in ("u1", "i2", "u4", "i8", "f4", "f8"):
        tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype), photometric="minisblack")
        np.save(tmp_path / "a.npy", labels.astype(dtype))
        zarr.create_array(tmp_path / f"{dtype}.zarr", data=labels.astype(dtype))
        for name in ("a.tif", "a.npy", f"{dtype}.zarr"):
            found, spacing = read_labels(tmp_path / name)
            assert found.dtype == np.uint32
            assert np.array_equal(found, labels)
            assert spacing == (1, 1, 1)
    file = read_label_file(tmp_path / "a.tif")
    assert isinstance(file, LabelFile)
    assert file.metadata == {}
    assert not file.spacing_known
    assert file.notices


def test_a_mask_is_one_instance(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[True, False], [False, True]]))
    assert np.array_equal(read_labels(tmp_path / "a.npy")[0], [[1, 0], [0, 1]])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((3, 4), 0.5), "fractions or NaN"), (np.full((3, 4), np.nan), "fractions or NaN"),
        (np.full((3, 4), np.inf), "fractions or NaN"), (np.full((3, 4), -1.0), "outside 0 to"),
        (np.full((3, 4), -1), "negative value -1"), (np.full((3, 4), 2**40), "more than 32 bits"),
        (np.full((3, 4), 1e12), "outside 0 to"),
    ],
)  # fmt: skip
def test_values_that_are_no_labels_are_refused(tmp_path, values, said):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=said):
        read_labels(tmp_path / "a.npy")


def test_colours_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="channels or colours"):
        read_labels(tmp_path / "a.tif")


def test_more_than_memory_holds_is_refused(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(10**5,) * 3, dtype="u1", chunks=(64, 256, 256))
    with pytest.raises(InputError, match="memory"):
        read_labels(tmp_path / "a.zarr")


def test_shared_labels_have_the_instances_that_they_should(shared_data):
    labels, spacing = read_labels(shared_data / "qcanet_mouse_embryo_3d/16_cell_stage_label.tif")
    assert labels.max() == 16
    assert spacing == (1.75, 0.8, 0.8)
