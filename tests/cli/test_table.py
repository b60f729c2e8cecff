"""One table for many images, whatever happens in between."""

from pathlib import Path

import pandas as pd
import pytest

from napari_cellseg.cli.table import CellTable
from napari_cellseg.errors import InputError, StorageError


def cells(n: int, **columns: float) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([[0], range(1, n + 1)], names=["t", "id"])
    return pd.DataFrame({"voxels": range(10, 10 + n), **columns}, index=index)


def test_images_are_appended(tmp_path: Path) -> None:
    table = CellTable(tmp_path / "table.csv", keep=set())
    table.put("a, with comma", cells(2))
    table.put("001", cells(1))
    table.put("empty", cells(0))
    read = pd.read_csv(tmp_path / "table.csv", dtype={"image": str})
    assert read["image"].tolist() == ["a, with comma", "a, with comma", "001"]
    assert read.columns.tolist() == ["image", "t", "id", "voxels"]


def test_other_columns_are_joined(tmp_path: Path) -> None:
    table = CellTable(tmp_path / "table.csv", keep=set())
    table.put("flat", cells(1, area=2.5))
    table.put("deep", cells(1, volume=7.5))
    read = pd.read_csv(tmp_path / "table.csv")
    assert read["area"].tolist()[0] == 2.5
    assert read["volume"].tolist()[1] == 7.5
    again = CellTable(tmp_path / "table.csv", keep={"flat", "deep"})
    again.put("more", cells(2, volume=1.0))
    assert len(pd.read_csv(tmp_path / "table.csv")) == 4


def test_put_again_replaces(tmp_path: Path) -> None:
    table = CellTable(tmp_path / "table.csv", keep=set())
    table.put("a", cells(2))
    table.put("b", cells(1))
    table.put("a", cells(3))
    assert pd.read_csv(tmp_path / "table.csv").groupby("image").size().to_dict() == {"a": 3, "b": 1}
    table.drop("a")
    table.drop("never there")
    assert pd.read_csv(tmp_path / "table.csv")["image"].tolist() == ["b"]


def test_rows_of_unfinished_images_are_dropped_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    table = CellTable(path, keep=set())
    table.put("done", cells(2))
    table.put("killed", cells(2))
    path.write_text(path.read_text()[:-3])  # torn in its last line
    CellTable(path, keep={"done"})
    assert pd.read_csv(path)["image"].tolist() == ["done", "done"]


def test_a_foreign_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("name,price\nbread,2\n")
    with pytest.raises(InputError, match="no column 'image'"):
        CellTable(path, keep=set())
    path.write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(InputError, match="no table"):
        CellTable(path, keep=set())
    assert path.read_bytes() == b"\xff\xfe\x00broken"


def test_a_table_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    table = CellTable(path, keep=set())
    table.put("a", cells(2))
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match="No space left"):
        table.put("a", cells(3))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]
