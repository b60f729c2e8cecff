"""One door for every kind of label file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.labels.formats import (
    kind_of,
    read_label_file,
    restore_ids,
    write_label_file,
)

ENDINGS = [".tif", ".ome.zarr", "_seg.npy", ".zip", ".h5"]
LABELS = np.arange(60, dtype=np.uint32).reshape(3, 4, 5)


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    hnp.arrays(
        np.uint32,
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=5),
        elements=st.sampled_from([0, 1, 255, 70_000, 2**32 - 2]),
    ),
    st.sampled_from([".tif", ".ome.zarr"]),
)
def test_round_trip_of_images(tmp_path: Path, labels: np.ndarray, ending: str):
    path = write_label_file(
        tmp_path / f"a{ending}", labels, spacing=(2, 0.5, 0.25), metadata={"a": 1}, overwrite=True
    )
    file = read_label_file(path, labels.shape)
    assert np.array_equal(file.labels, labels)
    assert file.labels.flags.writeable
    assert file.axes == "tzyx"[-labels.ndim :]
    assert file.spacing == ((2.0 if labels.ndim > 2 else 1.0), 0.5, 0.25)
    assert file.metadata == {"a": 1}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path, ending: str):
    path = write_label_file(tmp_path / f"a{ending}", LABELS)
    with pytest.raises(StorageError, match="exists"):
        write_label_file(path, LABELS + 1)
    assert np.array_equal(read_label_file(path, LABELS.shape).labels, LABELS)
    write_label_file(path, LABELS + 1, overwrite=True)
    assert np.array_equal(read_label_file(path, LABELS.shape).labels, LABELS + 1)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_another_shape_is_told(tmp_path: Path, ending: str):
    path = write_label_file(tmp_path / f"a{ending}", LABELS)
    with pytest.raises(InputError, match="shape"):
        read_label_file(path, (2, 4, 5))


def test_masks_of_cellpose(tmp_path: Path):
    path = tmp_path / "a_cp_masks.tif"
    tifffile.imwrite(path, LABELS.astype(np.uint16), compression="zlib", photometric="minisblack")
    file = read_label_file(path)
    assert np.array_equal(file.labels, LABELS)
    assert file.spacing is None


@pytest.mark.parametrize("kind", ["f4", ">i4", "i8", "u1"])
def test_tiffs_of_other_types(tmp_path: Path, kind: str):
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(kind), photometric="minisblack")
    assert np.array_equal(read_label_file(tmp_path / "a.tif").labels, LABELS)


def test_ids_of_64_bits_are_kept_in_the_recipe(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([[0, 2**40], [7, 2**40]], np.uint64))
    file = read_label_file(tmp_path / "a.npy")
    assert file.labels.tolist() == [[0, 2], [1, 2]]
    path = write_label_file(tmp_path / "b.tif", file.labels, original_ids=file.original_ids)
    again = read_label_file(path)
    assert again.metadata == {"original_ids": [0, 7, 2**40]}
    assert again.original_ids is not None
    assert restore_ids(again.labels, again.original_ids).tolist() == [[0, 2**40], [7, 2**40]]


@pytest.mark.parametrize("kept", [None, [], "a", [0, -1], [0, 1.5], [0, True], {"a": 1}])
def test_odd_ids_in_a_recipe_are_passed_over(tmp_path: Path, kept: Any):
    path = write_label_file(tmp_path / "a.tif", LABELS, metadata={"original_ids": kept})
    assert read_label_file(path).original_ids is None


@pytest.mark.parametrize("name", ["a.png", "a", "a.npy", "a.txt"])
def test_unknown_endings(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="end the name in"):
        write_label_file(tmp_path / name, LABELS)


def test_kinds():
    assert [kind_of(f"A{ending}") for ending in ENDINGS] == [
        "tiff", "zarr", "seg.npy", "roi", "hdf5"
    ]  # fmt: skip
    assert kind_of("A.OME.TIFF") == "tiff"


@pytest.mark.parametrize("labels", [np.zeros((2, 2)), np.zeros(4, int), np.zeros((1,) * 5, int)])
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_no_label_array(tmp_path: Path, labels: np.ndarray, ending: str):
    with pytest.raises(InputError):
        write_label_file(tmp_path / f"a{ending}", labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["_seg.npy", ".zip", ".h5"])
def test_negative_labels_are_not_written(tmp_path: Path, ending: str):
    with pytest.raises(InputError, match="do not fit"):
        write_label_file(tmp_path / f"a{ending}", np.array([[0, -1]]))


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("missing.tif", {}, "no file"),
        ("empty.tif", {}, "empty"),
        ("text.txt", {}, "unknown kind"),
        ("good.tif", {"dataset": "label"}, "no HDF5"),
        ("good.tif", {"axes": "tcyx"}, "axes"),
        ("image.tif", {}, "fraction"),
        ("odd.npy", {}, "array"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, path: str, options: Any, words: str):
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "text.txt").write_text("no labels")
    (tmp_path / "odd.npy").write_bytes(b"\x93NUMPY\x01\x00\x04\x00{'a}")
    tifffile.imwrite(tmp_path / "good.tif", LABELS, photometric="minisblack")
    tifffile.imwrite(tmp_path / "image.tif", LABELS[0] / np.float32(7))
    with pytest.raises(InputError, match=words) as error:
        read_label_file(tmp_path / path, **options)
    assert "\n" not in str(error.value)


def test_nothing_is_left_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", full)
    with pytest.raises(StorageError, match="No space left"):
        write_label_file(tmp_path / "a_seg.npy", LABELS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_replaced_by_a_file(tmp_path: Path):
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(StorageError, match="folder"):
        write_label_file(tmp_path / "a.h5", LABELS, overwrite=True)
