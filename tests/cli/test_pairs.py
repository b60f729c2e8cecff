"""Which truth belongs to which image."""

from pathlib import Path

import pytest

from napari_cellseg.cli.pairs import find_pairs
from napari_cellseg.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def names(folder: Path, truth: Path) -> list[tuple[str, str]]:
    return [(pair.image.name, pair.truth.name) for pair in find_pairs(folder, truth)[0]]


def test_two_files_are_a_pair_whatever_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "x.tif", "other.npy")
    assert names(tmp_path / "x.tif", tmp_path / "other.npy") == [("x.tif", "other.npy")]


def test_one_folder_holds_both(tmp_path: Path) -> None:
    touch(tmp_path, "a_image.tif", "a_label.tif", "b.tif", "b_masks.tif", "notes.txt", ".c.tif")
    assert names(tmp_path, tmp_path) == [("a_image.tif", "a_label.tif"), ("b.tif", "b_masks.tif")]


def test_two_folders_and_images_without_a_truth(tmp_path: Path) -> None:
    images = touch(tmp_path / "images", "a.tif", "b_image.tif", "c.tif", "d_image.tif")
    truth = touch(tmp_path / "truth", "a.tif", "b_label.tif", "d_image.tif")
    assert names(images, truth) == [
        ("a.tif", "a.tif"),
        ("b_image.tif", "b_label.tif"),
        ("d_image.tif", "d_image.tif"),
    ]
    assert [path.name for path in find_pairs(images, truth)[1]] == ["c.tif"]


def test_images_that_differ_in_their_ending_alone_keep_it(tmp_path: Path) -> None:
    touch(tmp_path, "a.npy", "a.tif", "b.tif", "a_label.tif", "b_label.tif")
    assert [pair.name for pair in find_pairs(tmp_path, tmp_path)[0]] == ["a.npy", "a.tif", "b"]


def test_a_store_is_no_folder(tmp_path: Path) -> None:
    store = touch(tmp_path / "a.zarr", "zarr.json")
    touch(tmp_path, "a_label.tif")
    assert names(store, tmp_path / "a_label.tif") == [("a.zarr", "a_label.tif")]
    assert names(tmp_path, tmp_path) == [("a.zarr", "a_label.tif")]


def test_what_cannot_be_paired_is_said(tmp_path: Path) -> None:
    folder = touch(tmp_path / "f", "a_image.tif")
    with pytest.raises(InputError, match="no file or folder"):
        find_pairs(folder, tmp_path / "nothing")
    with pytest.raises(InputError, match=r"'.*f' is a folder and '.*a_image\.tif' is none"):
        find_pairs(folder, folder / "a_image.tif")
    with pytest.raises(InputError, match="No image in"):
        find_pairs(folder, folder)
    touch(folder, "a_label.tif", "a_mask.tif")
    with pytest.raises(InputError, match="could both be the truth of 'a'"):
        find_pairs(folder, folder)
