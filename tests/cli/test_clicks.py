"""`napari-cellseg clicks` on synthetic cells, with a field and a predictor that cost nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from benchmarks.synthetic import field_of, touching_ellipsoids
from numpy.typing import NDArray

from napari_cellseg.cli import main
from napari_cellseg.cli.click_text import as_text
from napari_cellseg.cli.clicks import BOXES_ONLY
from napari_cellseg.evaluation import summarise_clicks
from napari_cellseg.flows import instances


class Pieces:
    """A predictor that answers with the connected piece of bright pixels under the first point."""

    def encode(self, plane: Any, limits: Any = None, *, cancel: Any = None) -> NDArray[Any]:
        return np.asarray(plane)

    def decode(self, embedding: NDArray[Any], prompt: Any, multimask: Any = None) -> Any:
        from skimage.measure import label

        pieces = label(embedding > 0, connectivity=1)
        row, col = prompt.points[0].astype(int)
        region = tuple(slice(0, n) for n in pieces.shape)
        return SimpleNamespace(region=lambda index: (region, pieces == pieces[row, col]))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the models that were loaded; the automatic run loses cell 2."""
    loaded: list[str] = []

    def load_network(name: str, checkpoint: Any, device: str) -> str:
        loaded.append(name)
        return name

    def load_predictor(name: str, checkpoint: Any, device: str, progress: Any) -> Pieces:
        loaded.append(name)
        return Pieces()

    def segment(volume: Any, model: Any, *rest: Any, **options: Any) -> Any:
        truth = np.asarray(volume.data).astype(np.uint32)
        field = field_of(truth, (1, 1, 1))
        found = instances(field)
        lost = found[tuple(np.argwhere(truth == 2).mean(0).round().astype(int))]
        return SimpleNamespace(field=field, labels=np.where(found == lost, 0, found))

    monkeypatch.setattr("napari_cellseg.networks.load_network", load_network)
    monkeypatch.setattr("napari_cellseg.prompts.load_predictor", load_predictor)
    monkeypatch.setattr("napari_cellseg.flows.segment", segment)
    return loaded


def write_pair(folder: Path, name: str = "a", seed: int = 1) -> list[str]:
    """An image whose values are the ids of its cells, and its truth."""
    truth = touching_ellipsoids((72, 72), seed=seed).astype(np.uint16)
    folder.mkdir(exist_ok=True)
    files = [folder / f"{name}_image.tif", folder / f"{name}_label.tif"]
    for file in files:
        tifffile.imwrite(file, truth)
    return [str(file) for file in files]


def test_the_basin_is_summarised_for_all_and_for_what_was_missed(
    loads: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, truth = write_pair(tmp_path)
    table = tmp_path / "new" / "clicks.csv"
    assert main(["clicks", image, truth, "-o", str(table), "--most", "3"]) == 0
    heard = capsys.readouterr()
    assert heard.err == ""
    written = pd.read_csv(table)
    assert written["id"].tolist() == list(range(1, tifffile.imread(truth).max() + 1))
    assert set(written["image"]) == {"a_image"}
    assert set(written["predictor"]) == {"basin"}
    lines = heard.out.splitlines()
    assert lines[0] == "basin, a_image, 3 clicks at most"
    assert "IoU 3" in lines[2]
    assert "IoU 5" not in lines[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:6]]
    missed = written[written["auto"] < 0.5]
    assert len(missed) >= 1
    assert [row[:2] for row in rows] == [
        ["all", str(len(written))],
        ["wrong or missed*", str(len(missed))],
    ]
    for row, group in zip(rows, (written, missed), strict=True):
        assert row[2] == f"{summarise_clicks(group)['iou_1']:.3f}"
        assert row[5] == f"{group['clicks_80'].mean():.2f}"
        assert row[6] == str((~group["reached_80"]).sum())
        assert row[-1] == f"{group['ms'].median() / 1000:.2g}"
    assert loads == ["builtin"]


def test_folders_share_one_model_and_one_failure_stops_nothing(
    loads: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    for seed, name in enumerate("abc", start=1):
        write_pair(folder, name, seed)
    tifffile.imwrite(folder / "b_label.tif", np.ones((9, 9), np.uint16))
    tifffile.imwrite(folder / "d_image.tif", np.ones((9, 9), np.uint16))
    table = tmp_path / "clicks.csv"
    words = ["clicks", str(folder), str(folder), "-o", str(table), "--most", "1", "--limit", "2"]
    assert main(words) == 2
    heard = capsys.readouterr()
    assert "1 skipped without a truth: d_image.tif" in heard.err
    assert "b_image.tif has shape (72, 72) and" in heard.err
    assert "basin, 2 images, 1 click at most" in heard.out
    assert loads == ["builtin"]
    written = pd.read_csv(table)
    assert written["image"].value_counts().to_dict() == {"a_image": 2, "c_image": 2}
    last = {name: int(tifffile.imread(folder / f"{name}_label.tif").max()) for name in "ac"}
    assert written["id"].tolist() == [1, last["a"], 1, last["c"]]


def test_a_predictor_sees_the_plane_in_which_each_cell_is_largest(
    loads: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = np.zeros((4, 30, 30), np.uint16)
    truth[1, 2:9, 2:9], truth[2, 3:8, 3:8], truth[2:4, 15:25, 15:25] = 3, 3, 8
    files = [str(tmp_path / f"{name}.tif") for name in ("image", "truth")]
    for file in files:
        tifffile.imwrite(file, truth, imagej=True, metadata={"axes": "ZYX"})
    table = tmp_path / "clicks.csv"
    words = ["clicks", *files, "--predictor", "mobile-sam", "-o", str(table)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "largest" in said
    assert "missed" not in said
    written = pd.read_csv(table)
    assert written["z"].tolist() == [1, 2]
    assert (written["iou_1"] == 1).all()
    assert loads == ["mobile-sam"]


def test_a_table_is_replaced_only_when_asked(
    loads: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_pair(tmp_path)
    table = tmp_path / "clicks.csv"
    table.write_text("mine")
    words = ["clicks", *files, "-o", str(table), "--most", "1", "--limit", "1"]
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert table.read_text() == "mine"
    assert loads == []
    assert main([*words, "--overwrite"]) == 0
    assert len(pd.read_csv(table)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a_image.tif",
        "a_label.tif",
        "clicks.csv",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predictor", "fly"], "no predictor 'fly': choose one of basin, mobile-sam, sam,"),
        (["--predictor", "medsam"], "MedSAM takes boxes and no points"),
        (["--predictor", "sam", "--diameter", "3"], "--diameter is for the basin only"),
        (["--checkpoint", "a.pt", "b.pt"], "given 2 model files"),
        (["--most", "-1"], "--most must be 1 or more, not -1"),
        (["--most", "1000"], "--most must be 100 or fewer"),
        (["--limit", "0"], "--limit must be 1 or more, not 0"),
        (["--channel", "2"], "--channel 2 of image 'a_image' does not exist"),
        (["--probability", "2"], "between 0 and 1"),
        (["--spacing", "1", "1", "0"], "three positive lengths"),
        (["-o", f"{__file__}/clicks.csv"], "Nothing can be written into"),
        (["-o", "cells.tif"], "end the name 'cells.tif' in .csv"),
    ],
)
def test_bad_options_are_told_before_any_work(
    options: list[str],
    message: str,
    loads: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["clicks", *write_pair(tmp_path), *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert loads == []


def test_a_truth_without_objects_and_a_time_series(
    loads: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, _ = write_pair(tmp_path)
    empty, series = tmp_path / "empty.tif", tmp_path / "series.tif"
    tifffile.imwrite(empty, np.zeros((72, 72), np.uint16))
    assert main(["clicks", image, str(empty)]) == 2
    assert "holds no object" in capsys.readouterr().err
    tifffile.imwrite(
        series, np.ones((2, 3, 9, 9), np.uint16), imagej=True, metadata={"axes": "TZYX"}
    )
    assert main(["clicks", str(series), str(series)]) == 2
    assert "time axis (tzyx)" in capsys.readouterr().err


def test_a_truth_that_is_an_image_is_doubted(
    loads: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, _ = write_pair(tmp_path)
    noise = tmp_path / "noise.tif"
    tifffile.imwrite(noise, np.random.default_rng(0).integers(1, 200, (72, 72)).astype(np.uint16))
    words = ["clicks", image, str(noise), "--limit", "1", "--predictor", "sam"]
    assert main([*words, "--most", "1"]) == 0
    assert "looks like an image rather than labels" in capsys.readouterr().err


def test_stopping_is_130_and_writes_nothing(
    loads: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_cellseg.flows.segment", stop)
    table = tmp_path / "new" / "clicks.csv"
    assert main(["clicks", *write_pair(tmp_path), "-o", str(table)]) == 130
    assert capsys.readouterr().err == "Stopped; nothing is left half-written.\n"
    assert not table.parent.exists()


def test_an_empty_group_is_shown_as_such() -> None:
    clicks = pd.DataFrame(
        {
            "iou_1": [0.9],
            "clicks_80": [1],
            "reached_80": [True],
            "clicks_90": [1],
            "reached_90": [True],
            "ms": [2.0],
            "auto": [0.9],
        }
    )
    lines = as_text(clicks, "basin", ["a"]).splitlines()
    assert [cell.strip() for cell in lines[5].split("|")[2:-1]] == ["0", *["–"] * 6]


def test_families_without_points_are_those_whose_predictor_takes_none() -> None:
    from napari_cellseg.prompts import available_predictors
    from napari_cellseg.prompts.medsam import MedSamPredictor
    from napari_cellseg.prompts.pa_sam import PaSamPredictor
    from napari_cellseg.prompts.sam import MobileSamPredictor, SamPredictor

    classes = {
        "sam": SamPredictor,
        "mobile-sam": MobileSamPredictor,
        "medsam": MedSamPredictor,
        "pa-sam": PaSamPredictor,
    }
    assert {info.family for info in available_predictors()} == set(classes)
    without = {name for name, one in classes.items() if not one.capabilities.points}
    assert without == set(BOXES_ONLY)
