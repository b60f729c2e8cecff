"""One table for many images, whatever happens in between."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cellseg.cli.table import CellTable
from napari_cellseg.errors import InputError, StorageError


def cells(n: int, **columns: float) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([[0], range(1, n + 1)], names=["t", "id"])
    return pd.DataFrame({"voxels": range(10, 10 + n), **columns}, index=index)


def test_images_are_appended(tmp_path: Path) -> None:
    table = CellTable(tmp_path / "table.csv", unfinished=set())
    table.put("a, with comma", cells(2))
    table.put("001", cells(1))
    table.put("empty", cells(0))
    read = pd.read_csv(tmp_path / "table.csv", dtype={"image": str})
    assert read["image"].tolist() == ["a, with comma", "a, with comma", "001"]
    assert read.columns.tolist() == ["image", "t", "id", "voxels"]


def test_other_columns_are_joined(tmp_path: Path) -> None:
    table = CellTable(tmp_path / "table.csv", unfinished=set())
    table.put("flat", cells(1, area_um2=2.5))
    table.put("deep", cells(1, volume_um3=7.5))
    read = pd.read_csv(tmp_path / "table.csv")
    assert read["area_um2"].tolist()[0] == 2.5
    assert read["volume_um3"].tolist()[1] == 7.5
    again = CellTable(tmp_path / "table.csv", unfinished=set())
    again.put("more", cells(2, volume_um3=1.0))
    assert len(pd.read_csv(tmp_path / "table.csv")) == 4


def test_put_again_replaces(tmp_path: Path) -> None:
    table = CellTable(tmp_path / "table.csv", unfinished=set())
    table.put("a", cells(2))
    table.put("b", cells(1))
    table.put("a", cells(3))
    assert pd.read_csv(tmp_path / "table.csv").groupby("image").size().to_dict() == {"a": 3, "b": 1}
    table.drop("a")
    table.drop("never there")
    assert pd.read_csv(tmp_path / "table.csv")["image"].tolist() == ["b"]


def test_rows_of_unfinished_images_are_dropped_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    table = CellTable(path, unfinished=set())
    table.put("done", cells(2))
    table.put("killed", cells(2))
    path.write_text(path.read_text()[:-3])  # torn in its last line
    CellTable(path, unfinished={"killed"})
    assert pd.read_csv(path)["image"].tolist() == ["done", "done"]


@pytest.mark.parametrize(
    "content",
    [
        b"name,price\nbread,2\n",
        b"image,t,id,voxels,comment\na,0,1,20,mine\n",
        b"image,id,t,voxels\na,1,0,20\n",
        b"image\na\n",
        b"image;t;id;voxels\na;0;1;20\n",
        b"\xff\xfe\x00broken",
        b"",
    ],
)
def test_a_foreign_file_is_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"table\.csv' is not a table that napari-cellseg wrote"):
        CellTable(path, unfinished={"a"})
    assert path.read_bytes() == content


def test_real_table_is_recognised(tmp_path: Path) -> None:
    from napari_cellseg.flows.field import FlowField
    from napari_cellseg.flows.label import Labelling, Rejected
    from napari_cellseg.flows.table import instance_table

    for shape, known in [((4, 6), True), ((4, 6), False), ((3, 4, 6), True), ((3, 4, 6), False)]:
        field = FlowField(
            np.zeros((len(shape), *shape), np.float16), np.zeros(shape, np.float16), (1.0, 1.0, 1.0)
        )
        one, none = np.ones(1, np.int64), np.zeros(0, np.int64)
        labelling = Labelling(
            labels=np.ones(shape, np.uint32),
            t=one * 0,
            id=one,
            voxels=one * int(np.prod(shape)),
            logit=np.zeros(1, np.float32),
            agreement=np.ones(1, np.float32),
            flow_error=np.zeros(1, np.float32),
            rejected=Rejected(none, np.zeros((0, 3), np.int64), none, none.astype(np.int8)),
        )
        path = tmp_path / f"{len(shape)}{known}.csv"
        CellTable(path).put("a", instance_table(labelling, field, known))
        CellTable(path).put("b", cells(1))
        assert pd.read_csv(path)["image"].tolist() == ["a", "b"]


def test_rows_of_other_images_stay_digit_by_digit(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "image,t,id,voxels,probability\n001,0,1,20,0.1000000000000000055\nb,0,1,3,0.5\n"
    )
    CellTable(path, unfinished={"b"}).put("c", cells(1, probability=0.25))
    assert path.read_text().splitlines() == [
        "image,t,id,voxels,probability",
        "001,0,1,20,0.1000000000000000055",
        "c,0,1,10,0.25",
    ]


def test_a_table_made_for_one_image_goes_with_it(tmp_path: Path) -> None:
    table = CellTable(tmp_path / "table.csv")
    table.put("a", cells(1))
    table.drop("a")
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    table = CellTable(path, unfinished=set())
    table.put("a", cells(2))
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match="No space left"):
        table.put("a", cells(3))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["table.csv"]
