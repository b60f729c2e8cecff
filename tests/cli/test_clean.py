"""`napari-cellseg clean`: what it says is done, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.cli import main
from napari_cellseg.labels.formats import read_label_file, write_label_file


def some() -> np.ndarray:
    labels = np.zeros((6, 30, 30), np.uint32)
    labels[1:5, 4:14, 4:14] = 7
    labels[2:4, 8:10, 8:10] = 0  # a hole
    labels[0:2, 25:30, 25:30] = 9  # at the border
    labels[2:4, 20:22, 5:7] = 30  # small
    labels[1:3, 4:8, 20:24] = 12
    labels[4, 15, 22] = 12  # a piece of it
    return labels


def run(tmp_path: Path, *options: str, labels: np.ndarray | None = None) -> np.ndarray:
    source = tmp_path / "in.tif"
    data = some() if labels is None else labels
    write_label_file(source, data, spacing=(1, 1, 1), overwrite=True)
    words = ["clean", str(source), "-o", str(tmp_path / "out.tif"), "--overwrite", *options]
    assert main(words) == 0
    return read_label_file(tmp_path / "out.tif").labels


def test_holes_are_filled(tmp_path: Path):
    labels = run(tmp_path, "--fill-holes")
    expected = some()
    expected[2:4, 8:10, 8:10] = 7
    assert np.array_equal(labels, expected)


def test_objects_go_by_size_and_border(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert sorted(np.unique(run(tmp_path, "--min-size", "9"))) == [0, 7, 9, 12]
    assert sorted(np.unique(run(tmp_path, "--max-size", "40"))) == [0, 12, 30]
    assert sorted(np.unique(run(tmp_path, "--no-border"))) == [0, 7, 12, 30]
    assert "4 objects became 3, in 1 step" in capsys.readouterr().out


def test_pieces(tmp_path: Path):
    labels = run(tmp_path, "--largest-piece")
    assert labels[4, 15, 22] == 0
    assert (labels == 12).sum() == 32
    labels = run(tmp_path, "--into-pieces")
    assert labels[4, 15, 22] == 31
    assert (labels == 12).sum() == 32


def test_numbering_and_smoothing(tmp_path: Path):
    assert sorted(np.unique(run(tmp_path, "--relabel"))) == [0, 1, 2, 3, 4]
    labels = run(tmp_path, "--smooth", "2", "--min-size", "100")
    assert 0 < (labels == 7).sum() == (some() == 7).sum()


def test_time_points_are_cleaned_each_for_itself(tmp_path: Path):
    both = np.stack([some(), np.where(some() == 7, 0, some())])
    labels = run(tmp_path, "--relabel", "--fill-holes", labels=both)
    assert sorted(np.unique(labels[0])) == [0, 1, 2, 3, 4]
    assert sorted(np.unique(labels[1])) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "said"),
    [((), "Nothing is to be done"), (("--largest-piece", "--into-pieces"), "exclude each other")],
)
def test_what_makes_no_sense_is_said(
    tmp_path: Path, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
):
    source = write_label_file(tmp_path / "in.tif", some())
    assert main(["clean", str(source), "-o", str(tmp_path / "out.tif"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()
