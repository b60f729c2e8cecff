"""`napari-cellseg recover`: what documents there are, and their labels as files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_cellseg.cli import main
from napari_cellseg.cli.recover import provenance_path
from napari_cellseg.labels import Edit, LabelDocument
from napari_cellseg.labels.formats import read_label_file

SPACING = (2.0, 0.5, 0.5)


def start(folder: Path, labels: Any = None, edits: int = 3, **meta: Any) -> LabelDocument:
    """A document with so many new objects 11, 12, …, all of them saved."""
    if labels is None:
        labels = np.zeros((3, 12, 12), np.uint32)
        labels[:, 6:, 6:] = 2
    document = LabelDocument.create(folder, labels, SPACING, meta=meta)
    for k in range(edits):
        box = (slice(0, 1), slice(k, k + 1), slice(0, 4))
        document.apply(Edit(box, np.ones((1, 1, 4), bool), 11 + k, "new"))
    assert document.saved.wait(30)
    return document


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder with two documents, closed."""
    root = tmp_path / "documents"
    root.mkdir()
    start(root / "one", image="embryo").close()
    start(root / "two", edits=1, image="plate", source="model builtin").close()
    return root


def test_documents_are_listed(shelf: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["recover", str(shelf)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "last edit"
    text = {row.split()[2]: row for row in rows}
    assert "3 in no file" in text["embryo"]
    assert text["embryo"].endswith("one")
    assert "1 in no file" in text["plate"]


def test_one_that_is_open_is_told(shelf: Path, capsys: pytest.CaptureFixture[str]):
    document = LabelDocument.open(shelf / "one")
    try:
        assert main(["recover", str(shelf / "one")]) == 0
        assert "open elsewhere" in capsys.readouterr().out
    finally:
        document.close()


@pytest.mark.parametrize("ending", [".tif", ".ome.zarr", "_seg.npy", ".zip", ".h5"])
def test_labels_are_recovered(
    shelf: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
):
    target = tmp_path / f"cells{ending}"
    assert main(["recover", str(shelf / "one"), "-o", str(target)]) == 0
    heard = capsys.readouterr().out
    assert heard.startswith("3 edits of 'embryo' recovered (the last of 20")
    assert f"4 objects written to {target}" in heard
    document = LabelDocument.open(shelf / "one")
    file = read_label_file(target, document.labels.shape)
    assert np.array_equal(file.labels, document.labels)
    document.close()
    if ending in (".tif", ".ome.zarr", ".h5"):
        assert file.spacing == SPACING
        assert file.metadata["provenance"]["kinds"] == {"new": 3}
    assert main(["recover", str(shelf)]) == 0
    (row,) = [row for row in capsys.readouterr().out.splitlines() if "embryo" in row]
    assert "written to a file" in row


def test_labels_of_one_that_is_open_elsewhere(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    document = LabelDocument.open(shelf / "one")
    try:
        assert main(["recover", str(shelf / "one"), "-o", str(tmp_path / "a.tif")]) == 0
        heard = capsys.readouterr()
        assert "3 edits" in heard.out
        assert "open in another" in heard.err
        assert np.array_equal(read_label_file(tmp_path / "a.tif").labels, document.labels)
    finally:
        document.close()


def test_undone_edits_are_no_edits(shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    document = LabelDocument.open(shelf / "two")
    document.undo()
    document.close()
    assert main(["recover", str(shelf / "two"), "-o", str(tmp_path / "a.tif")]) == 0
    assert capsys.readouterr().out.startswith("0 edits of 'plate' recovered: 1 objects")


def test_provenance_lies_beside(shelf: Path, tmp_path: Path):
    target = tmp_path / "cells.ome.tif"
    words = ["recover", str(shelf / "two"), "-o", str(target), "--provenance"]
    assert main(words) == 0
    rows = pd.read_csv(tmp_path / "cells_provenance.csv", keep_default_na=False)
    assert rows.id.tolist() == [2, 11]
    assert rows.made.tolist() == ["start", "new"]
    assert rows.source.tolist() == ["model builtin", "user"]
    target.unlink()
    assert main(words) == 2  # the table is there
    assert not target.exists()
    assert main([*words, "--overwrite"]) == 0


def test_a_damaged_document_says_so(shelf: Path, capsys: pytest.CaptureFixture[str]):
    for path in (shelf / "one").glob("*.sqlite*"):
        path.write_bytes(b"damage" * 1000)
    assert main(["recover", str(shelf / "one")]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert main(["recover", str(shelf)]) == 0
    assert "plate" in capsys.readouterr().out


def test_names_of_tables():
    for name in ("a.tif", "a.ome.zarr", "a_seg.npy", "a.zip"):
        assert provenance_path(Path("x", name)) == Path("x", "a_provenance.csv")


def test_ids_of_64_bits_are_kept(tmp_path: Path):
    labels = np.zeros((1, 8, 8), np.uint64)
    labels[:, 6:, 6:] = 2**40
    start(tmp_path / "doc", labels, edits=0).close()
    assert main(["recover", str(tmp_path / "doc"), "-o", str(tmp_path / "a.tif")]) == 0
    assert read_label_file(tmp_path / "a.tif").metadata["original_ids"] == [0, 2**40]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing"], "there is no file or folder"),
        (["empty"], "There is no document"),
        (["documents", "-o", "a.tif"], "pass the folder of one"),
        (["documents/one", "-o", "a.png"], "end the name in"),
        (["documents/one", "-o", "there.tif"], "add --overwrite"),
        (["documents/one", "--provenance"], "add -o"),
    ],
)
def test_bad_input_is_one_sentence(
    shelf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.tif").write_text("mine")
    assert main(["recover", *words]) == 2
    heard = capsys.readouterr()
    assert sentence in heard.err
    assert heard.err.count("\n") == 1
    assert (tmp_path / "there.tif").read_text() == "mine"
    assert not (tmp_path / "a.tif").exists()
