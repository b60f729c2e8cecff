"""The demo writes what it says; how good it is, is measured elsewhere."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fake_engine import FakeEngine
from napari_cellseg.cli import main
from napari_cellseg.cli.demo import run_demo
from napari_cellseg.volume import read_labels


def test_demo_writes_labels_and_table(engine: FakeEngine, tmp_path: Path) -> None:
    report = run_demo(tmp_path / "demo", device="cpu")
    tiff, spacing = read_labels(report.tiff)
    assert tiff.shape == report.shape == (51, 120, 122)
    assert spacing == (1.75, 0.8, 0.8)
    np.testing.assert_array_equal(tiff, read_labels(report.zarr)[0])
    assert len(pd.read_csv(report.table)) == report.count == tiff.max()
    assert report.scores["counts"]["truth"] == 16
    assert {"open", "segment", "write"} <= set(report.seconds)
    assert f"instances   {report.count}" in str(report)
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "cells.ome.zarr",
        "cells.tif",
        "table.csv",
    ]


def test_demo_can_be_run_again(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["demo", "-o", str(tmp_path), "--device", "cpu"]) == 0
        assert "AP@0.5" in capsys.readouterr().out


def test_demo_counts_in_one_word(engine: FakeEngine, tmp_path: Path) -> None:
    lines = str(run_demo(tmp_path, device="cpu")).splitlines()
    assert lines[0].startswith("instances ")
    assert lines[0].endswith(" found, 16 true")
    assert not any(line.startswith("cells") for line in lines)


def test_demo_leaves_a_table_of_the_user(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.csv").write_text("image,dose\n")
    assert main(["demo", "-o", str(tmp_path), "--device", "cpu"]) == 2
    assert "table.csv' is not a table that napari-cellseg wrote" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert engine.calls == []
