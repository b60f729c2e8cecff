"""Inputs and outputs, before anything is read."""

from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.cli.plan import make_plan
from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.volume import write_labels

from .conftest import write_image


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_stores_are_images_and_own_outputs_are_not(tmp_path: Path) -> None:
    (tmp_path / "in" / "one.ome.zarr").mkdir(parents=True)
    touch(tmp_path / "in" / "two.ome.tif")
    write_labels(tmp_path / "in" / "two_cells.tif", np.ones((4, 5), np.uint32))
    touch(tmp_path / "in" / ".hidden.tif", tmp_path / "in" / "table.csv")
    touch(tmp_path / "store" / "zarr.json")
    plan = make_plan([tmp_path / "in", tmp_path / "store"], tmp_path / "in")
    assert [task.name for task in plan.tasks] == ["one", "two", "store"]
    assert [task.done for task in plan.tasks] == [False, True, False]
    assert plan.table == tmp_path / "in" / "table.csv"
    assert plan.skipped == (tmp_path / "in" / "two_cells.tif",)


def test_an_image_may_be_named_like_labels(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_image(folder / "t_cells.tif", 1)
    plan = make_plan([folder], tmp_path / "out")
    assert [task.name for task in plan.tasks] == ["t_cells"]
    assert plan.skipped == ()
    write_image(folder / "t.tif", 1)
    with pytest.raises(InputError, match=r"t_cells\.tif' is one of the images"):
        make_plan([folder], folder)


def test_folder_of_our_labels_only(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.tif", np.ones((4, 5), np.uint32))
    with pytest.raises(InputError, match="no image but labels from napari-cellseg"):
        make_plan([tmp_path], tmp_path / "out")


def test_output_that_is_the_image(tmp_path: Path) -> None:
    touch(tmp_path / "a.tif")
    (tmp_path / "link.tif").symlink_to(tmp_path / "a.tif")
    for name in ("a.tif", "link.tif"):
        with pytest.raises(InputError, match="is one of the images"):
            make_plan([tmp_path / "a.tif"], tmp_path / name)
    (tmp_path / "store.zarr").mkdir()
    plan = make_plan([tmp_path / "store.zarr"], tmp_path / "store.zarr")
    assert plan.single  # labels are added to the image


@pytest.mark.parametrize("name", ["cells.png", "a.csv", "cells.npy"])
def test_unknown_endings_make_no_folder(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"end the name in \.tif or \.ome\.zarr, or name a folder"):
        make_plan([tmp_path / "a.tif"], tmp_path / name)
    assert not (tmp_path / name).exists()
    (tmp_path / name).mkdir()
    assert not make_plan([tmp_path / "a.tif"], tmp_path / name).single


@pytest.mark.parametrize("name", ["out", "plate1.2", ".hidden"])
def test_names_of_folders(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "a.tif")
    assert not make_plan([tmp_path / "a.tif"], tmp_path / name).single
    assert (tmp_path / name).is_dir()


def test_the_same_image_twice_is_one_task(tmp_path: Path) -> None:
    touch(tmp_path / "a.tif")
    assert len(make_plan([tmp_path / "a.tif", tmp_path], tmp_path / "out").tasks) == 1


def test_same_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    touch(tmp_path / "p" / "a.tif", tmp_path / "q" / "a.tif", tmp_path / "q" / "b.tif")
    plan = make_plan([tmp_path / "p", tmp_path / "q"], tmp_path / "out")
    assert [task.target.name for task in plan.tasks] == [
        "p_a_cells.tif",
        "q_a_cells.tif",
        "b_cells.tif",
    ]
    touch(tmp_path / "p" / "a.tiff")
    with pytest.raises(InputError, match="Several images would be written as 'p_a_cells"):
        make_plan([tmp_path / "p", tmp_path / "q"], tmp_path / "out")


def test_labels_inside_a_store_are_what_counts_as_done(tmp_path: Path) -> None:
    touch(tmp_path / "a.tif")
    target = tmp_path / "image.ome.zarr"
    target.mkdir()
    plan = make_plan([tmp_path / "a.tif"], target)
    assert plan.single
    assert not plan.tasks[0].done
    (target / "labels" / "cells").mkdir(parents=True)
    assert plan.tasks[0].done


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        make_plan([tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_image_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder"):
        make_plan([tmp_path / "no.tif"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_output_that_is_in_the_way(tmp_path: Path) -> None:
    touch(tmp_path / "a.tif", tmp_path / "out")
    with pytest.raises(InputError, match="no folder"):
        make_plan([tmp_path / "a.tif"], tmp_path / "out")
    with pytest.raises(StorageError, match="cannot be made"):
        make_plan([tmp_path / "a.tif"], tmp_path / "out" / "cells.tif")
