"""`napari-cellseg measure`: a CSV of all objects of any label file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_cellseg.cli import main
from napari_cellseg.labels.formats import write_label_file

LABELS = np.zeros((3, 12, 14), np.uint32)
LABELS[:, 2:6, 2:6], LABELS[1:, 6:10, 3:12] = 4, 900


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, (LABELS % 256).astype(np.uint8), photometric="minisblack")
    return str(path)


@pytest.mark.parametrize("ending", [".tif", ".ome.zarr", "_seg.npy", ".zip", ".h5"])
def test_a_table_of_any_label_file(
    tmp_path: Path, image: str, ending: str, capsys: pytest.CaptureFixture[str]
):
    labels = write_label_file(tmp_path / f"cells{ending}", LABELS)
    table = tmp_path / "table.csv"
    words = ["measure", str(labels), "--image", image, "--spacing", "2", "0.5", "0.5"]
    assert main([*words, "-o", str(table)]) == 0
    heard = capsys.readouterr()
    assert heard.out == f"2 objects measured: {table}\n"
    assert "Lengths are in voxels" not in heard.err
    rows = pd.read_csv(table, index_col=["t", "id"], dtype={"neighbour_ids": str})
    assert rows.index.tolist() == [(0, 4), (0, 900)]
    assert rows.volume_um3.tolist() == [48 * 0.5, 72 * 0.5]
    assert rows.intensity_mean.tolist() == [4, 900 % 256]
    assert rows.neighbour_ids.tolist() == ["900", "4"]


def test_spacing_of_the_file_and_of_the_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    labels = write_label_file(tmp_path / "cells.h5", LABELS, spacing=(2, 1, 1))
    assert main(["measure", str(labels), "-o", str(tmp_path / "a.csv")]) == 0
    assert pd.read_csv(tmp_path / "a.csv").volume_um3.tolist() == [96, 144]
    assert capsys.readouterr().err == ""
    bare = write_label_file(tmp_path / "bare.h5", LABELS)
    assert main(["measure", str(bare), "-o", str(tmp_path / "b.csv")]) == 0
    assert "volume_um3" not in pd.read_csv(tmp_path / "b.csv")
    assert "add --spacing Z Y X for µm" in capsys.readouterr().err


def test_the_gap_between_neighbours(tmp_path: Path):
    labels = np.zeros((5, 20), np.uint32)
    labels[1:4, 2:5], labels[1:4, 9:12] = 1, 2
    path = write_label_file(tmp_path / "cells.h5", labels, spacing=(1, 1))
    for gap, count in ((3.9, 0), (4, 1)):
        words = ["measure", str(path), "-o", str(tmp_path / "a.csv"), "--gap", str(gap)]
        assert main([*words, "--overwrite"]) == 0
        assert pd.read_csv(tmp_path / "a.csv").neighbours.tolist() == [count, count]


def test_ids_of_the_file_are_in_the_table(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([[0, 2**40], [7, 2**40]], np.uint64))
    assert main(["measure", str(tmp_path / "a.npy"), "-o", str(tmp_path / "a.csv"), "-q"]) == 0
    rows = pd.read_csv(tmp_path / "a.csv")
    assert rows.id.tolist() == [1, 2]
    assert rows.original_id.tolist() == [7, 2**40]


def test_an_image_in_place_of_labels_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    noise = np.random.default_rng(1).integers(0, 4000, (40, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "noise.tif", noise)
    assert main(["measure", str(tmp_path / "noise.tif"), "-o", str(tmp_path / "a.csv"), "-q"]) == 0
    assert "looks like an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "more", "words"),
    [
        ("missing.tif", [], "there is no file"),
        ("cells.h5", ["-o", "a.xlsx"], "end the name"),
        ("cells.h5", ["-o", "there.csv"], "add --overwrite"),
        ("cells.h5", ["-o", "nowhere/a.csv"], "Nothing can be written"),
        ("cells.h5", ["--image", "other.tif"], "not of the same image"),
        ("cells.h5", ["--gap", "-1"], "gap"),
        ("cells.h5", ["--spacing", "0", "1", "1"], "--spacing 0.0 1.0 1.0 is not usable"),
        ("cells.h5", ["--dataset", "other"], "no dataset 'other'"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    labels: str,
    more: list[str],
    words: str,
):
    monkeypatch.chdir(tmp_path)
    write_label_file(tmp_path / "cells.h5", LABELS, spacing=(1, 1, 1))
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "there.csv").write_text("mine")
    before = sorted(tmp_path.iterdir())
    output = [] if "-o" in more else ["-o", "a.csv"]
    assert main(["measure", labels, *more, *output]) == 2
    heard = capsys.readouterr()
    assert words in heard.err
    assert heard.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.csv").read_text() == "mine"
