"""`napari-cellseg convert`: every kind of label file to every other."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_cellseg.cli import main
from napari_cellseg.labels.formats import read_label_file, write_label_file
from napari_cellseg.volume import write_labels

ENDINGS = [".tif", ".ome.zarr", "_seg.npy", ".zip", ".h5"]
LABELS = np.zeros((3, 12, 14), np.uint32)
LABELS[:, 2:6, 2:6], LABELS[1:, 7:11, 3:12] = 4, 70_000


@pytest.fixture
def image(tmp_path: Path) -> str:
    """An image of the labels' shape, with two channels and a spacing."""
    path = tmp_path / "image.ome.tif"
    data = np.stack([LABELS % 256, LABELS % 7], 1).astype(np.uint8)
    tifffile.imwrite(
        path, data, ome=True, photometric="minisblack",
        metadata={"axes": "ZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2,
                  "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm", "PhysicalSizeZUnit": "µm"},
    )  # fmt: skip
    return str(path)


@pytest.mark.parametrize("before", ENDINGS)
@pytest.mark.parametrize("after", ENDINGS)
def test_every_kind_to_every_other(
    tmp_path: Path, image: str, before: str, after: str, capsys: pytest.CaptureFixture[str]
):
    source = write_label_file(tmp_path / f"in{before}", LABELS, spacing=(2, 0.5, 0.25))
    target = tmp_path / f"out{after}"
    assert main(["convert", str(source), str(target), "--shape-of", image, "--quiet"]) == 0
    heard = capsys.readouterr()
    assert heard.out == f"2 objects (3 × 12 × 14) written to {target}\n"
    assert heard.err == ""
    file = read_label_file(target, LABELS.shape)
    assert np.array_equal(file.labels, LABELS)
    if after in (".tif", ".ome.zarr", ".h5"):
        assert file.spacing == (2, 0.5, 0.25)


def test_what_is_lost_or_assumed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = write_label_file(tmp_path / "in.tif", LABELS, spacing=(2, 0.5, 0.25))
    assert main(["convert", str(source), str(tmp_path / "out.zip")]) == 0
    assert "does not keep the spacing" in capsys.readouterr().err
    bare = write_label_file(tmp_path / "bare.h5", LABELS)
    assert main(["convert", str(bare), str(tmp_path / "out.tif")]) == 0
    heard = capsys.readouterr().err
    assert "bare.h5: Spacing is not stated" in heard
    assert "--spacing Z Y X" in heard
    words = ["convert", str(bare), str(tmp_path / "b.tif"), "--spacing", "2", "1", "1"]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    assert read_label_file(tmp_path / "b.tif").spacing == (2, 1, 1)


def test_options_of_hdf5(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = LABELS + 1, LABELS % 100
    source, target = str(tmp_path / "a.h5"), tmp_path / "b.h5"
    words = ["convert", source, str(target), "--dataset", "two", "--axes", "tyx", "--bits", "8"]
    assert main(words) == 0
    file = read_label_file(target)
    assert np.array_equal(file.labels, LABELS % 100)
    assert file.axes == "tyx"
    with h5py.File(target) as written:
        assert written["label"].dtype == np.uint8


def test_axes_that_are_assumed_are_those_of_the_image(tmp_path: Path):
    movie = tmp_path / "movie.tif"
    tifffile.imwrite(movie, LABELS.astype(np.uint8), imagej=True, metadata={"axes": "TYX"})
    np.save(tmp_path / "a.npy", LABELS)
    for name, after in (("a.npy", "b.h5"), ("b.zip", "c.h5")):
        if name == "b.zip":
            write_label_file(tmp_path / name, LABELS, axes="tyx")
        words = ["convert", str(tmp_path / name), str(tmp_path / after), "--shape-of", str(movie)]
        assert main(words) == 0
        assert read_label_file(tmp_path / after).axes == "tyx"
        assert np.array_equal(read_label_file(tmp_path / after).labels, LABELS)


def test_labels_are_added_to_an_image_that_is_there(tmp_path: Path):
    source = write_label_file(tmp_path / "in.tif", LABELS)
    target = write_labels(tmp_path / "out.ome.zarr", LABELS + 1)
    assert main(["convert", str(source), str(target)]) == 2
    assert main(["convert", str(source), str(target), "--overwrite"]) == 0
    assert np.array_equal(read_label_file(target).labels, LABELS)


def test_nothing_is_replaced_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = write_label_file(tmp_path / "in.tif", LABELS)
    for name in ("out.h5", "out.ome.zarr"):
        target = write_label_file(tmp_path / name, LABELS + 1)
        capsys.readouterr()
        assert main(["convert", str(source), str(target)]) == 2
        heard = capsys.readouterr().err
        assert "--overwrite" in heard
        assert heard.count("\n") == 1
        assert np.array_equal(read_label_file(target).labels, LABELS + 1)
        assert main(["convert", str(source), str(target), "--overwrite"]) == 0
        assert np.array_equal(read_label_file(target).labels, LABELS)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("missing.tif", "out.tif", "there is no file"),
        ("in.tif", "out.png", "end the name in"),
        ("in.tif", "nowhere/out.tif", "Nothing can be written"),
        ("rois.zip", "out.tif", "pass the shape"),
        ("hostile_seg.npy", "out.tif", "could run code"),
        ("negative.tif", "out.tif", "negative"),
        ("text.zip", "out.tif", "pass the shape"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, source: str, target: str, words: str, capsys: pytest.CaptureFixture[str]
):
    write_label_file(tmp_path / "in.tif", LABELS)
    write_label_file(tmp_path / "rois.zip", LABELS)
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("a.txt", "no ROI")
    np.save(tmp_path / "hostile_seg.npy", {"masks": LABELS, "bad": main})  # type: ignore[arg-type]
    tifffile.imwrite(
        tmp_path / "negative.tif", LABELS.astype(np.int32) - 1, photometric="minisblack"
    )
    before = sorted(tmp_path.iterdir())
    assert main(["convert", str(tmp_path / source), str(tmp_path / target)]) == 2
    heard = capsys.readouterr()
    assert words in heard.err
    assert heard.err.count("\n") == 1
    assert heard.out == ""
    assert sorted(tmp_path.iterdir()) == before
