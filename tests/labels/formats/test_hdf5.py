"""HDF5: which dataset is read, with which axes and voxel size, and what is refused."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats import read_label_file, write_label_file

LABELS = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def save(path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name.replace("__", "/")] = data
    return path


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hnp.arrays(
        np.uint32,
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=5),
        elements=st.sampled_from([0, 1, 255, 70_000, 2**32 - 2]),
    ),
    st.sampled_from([None, (2.0, 0.5, 0.25)]),
)
def test_round_trip(tmp_path: Path, labels: np.ndarray, spacing: Any):
    metadata = {"model": "builtin", "parameters": {"diameter": 11.5}}
    path = write_label_file(
        tmp_path / "a.h5", labels, spacing=spacing, metadata=metadata, overwrite=True
    )
    file = read_label_file(path)
    assert np.array_equal(file.labels, labels)
    assert file.axes == "tzyx"[-labels.ndim :]
    if labels.ndim > 2:
        assert file.spacing == spacing
    elif spacing is not None:
        assert file.spacing == (1.0, *spacing[1:])
    assert file.metadata == metadata


def test_axes_are_kept(tmp_path: Path):
    path = write_label_file(tmp_path / "a.h5", LABELS, axes="tyx")
    assert read_label_file(path).axes == "tyx"


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_bits(tmp_path: Path, bits: int):
    path = write_label_file(tmp_path / "a.h5", LABELS, bits=bits)
    with h5py.File(path) as file:
        assert file["label"].dtype.itemsize * 8 == bits
        assert file["label"].compression == "gzip"
    assert np.array_equal(read_label_file(path).labels, LABELS)
    with pytest.raises(InputError, match="do not fit"):
        write_label_file(tmp_path / "b.h5", LABELS.astype(np.int64) + 2**32, bits=bits)


def test_ids_of_64_bits_go_back_into_the_file(tmp_path: Path):
    large = np.where(LABELS > 3, LABELS.astype(np.uint64) + 2**40, 0)
    file = read_label_file(save(tmp_path / "a.h5", label=large))
    assert file.original_ids is not None
    assert file.labels.max() == 20
    path = write_label_file(
        tmp_path / "b.h5", file.labels, axes=file.axes, original_ids=file.original_ids
    )
    with h5py.File(path) as written:
        assert np.array_equal(written["label"][()], large)


def test_the_only_dataset_of_whole_numbers_is_read(tmp_path: Path):
    path = save(tmp_path / "a.h5", raw=LABELS / 7, deep__inside=LABELS, list=np.arange(3))
    assert np.array_equal(read_label_file(path).labels, LABELS)


@pytest.mark.parametrize("usual", ["label", "labels", "segmentation", "exported_data"])
def test_usual_names_come_first(tmp_path: Path, usual: str):
    path = save(tmp_path / "a.h5", raw=LABELS + 1, **{usual: LABELS})
    file = read_label_file(path)
    assert np.array_equal(file.labels, LABELS)
    assert any(repr(usual) in text for text in file.notices)


def test_a_dataset_can_be_named(tmp_path: Path):
    path = save(tmp_path / "a.h5", one=LABELS, two=LABELS + 1)
    with pytest.raises(InputError, match=r"2 datasets of whole numbers \('one', 'two'\)"):
        read_label_file(path)
    assert read_label_file(path, dataset="/two").labels.min() == 1
    with pytest.raises(InputError, match="no dataset 'three': choose one of 'one', 'two'"):
        read_label_file(path, dataset="three")


def test_axistags_of_ilastik(tmp_path: Path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("exported_data", data=LABELS.transpose(2, 1, 0)[..., None])
        made.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "xyzc"]})
        made.attrs["element_size_um"] = [2.0, 0.5, 0.25]
    file = read_label_file(path)
    assert np.array_equal(file.labels, LABELS)
    assert (file.axes, file.spacing) == ("zyx", (2.0, 0.5, 0.25))


@pytest.mark.parametrize("tags", ["{", "[]", '{"axes": [{"key": "q"}]}', 7, b"\xff"])
def test_odd_axistags_are_passed_over(tmp_path: Path, tags: Any):
    path = save(tmp_path / "a.h5", label=LABELS)
    with h5py.File(path, "a") as file:
        file["label"].attrs["axistags"] = tags
    assert read_label_file(path).axes == "zyx"


@pytest.mark.parametrize("size", ["text", [1.0], [0.0, 1.0, 1.0], [np.nan] * 3])
def test_an_odd_voxel_size_is_passed_over(tmp_path: Path, size: Any):
    path = save(tmp_path / "a.h5", label=LABELS)
    with h5py.File(path, "a") as file:
        file["label"].attrs["element_size_um"] = size
    assert read_label_file(path).spacing is None


def test_channels_are_refused(tmp_path: Path):
    path = save(tmp_path / "a.h5", label=LABELS)
    with pytest.raises(InputError, match="2 channels"):
        read_label_file(path, axes="cyx")


@pytest.mark.parametrize(
    "data", [np.array([[0, -1]]), np.array([[0.5]]), np.array([[b"a"]]), np.zeros((2, 0))]
)
def test_what_is_no_label_is_refused(tmp_path: Path, data: Any):
    with pytest.raises(InputError):
        read_label_file(save(tmp_path / "a.h5", label=data))


def test_another_file_is_never_read(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(16)))
    save(tmp_path / "other.h5", label=LABELS)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["linked"] = h5py.ExternalLink("other.h5", "label")
        file.create_dataset("raw", (4, 4), np.uint8, external=[(str(secret), 0, 16)])
        layout = h5py.VirtualLayout((2, 3, 4), np.uint16)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "label", (2, 3, 4))
        file.create_virtual_dataset("virtual", layout)
    for name in ("raw", "virtual"):
        with pytest.raises(InputError, match="lies in other files"):
            read_label_file(path, dataset=name)
    with pytest.raises(InputError, match="no dataset 'linked'"):
        read_label_file(path, dataset="linked")


def test_what_is_no_hdf5(tmp_path: Path):
    good = write_label_file(tmp_path / "good.h5", LABELS).read_bytes()
    for content in (b"", b"text", good[:100], good[: len(good) // 2]):
        (tmp_path / "a.h5").write_bytes(content)
        with pytest.raises(InputError, match="HDF5"):
            read_label_file(tmp_path / "a.h5")


def test_more_than_memory_holds_is_refused(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("label", (10**6, 10**6, 10), np.uint32, chunks=(10, 10, 10))
    with pytest.raises(InputError, match="memory"):
        read_label_file(tmp_path / "a.h5")
