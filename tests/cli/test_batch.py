"""`segment` on one image and on many: one load, skipping, failures, one table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fake_engine import FakeEngine
from napari_cellseg.cli import main
from napari_cellseg.errors import ModelError
from napari_cellseg.volume import read_label_file, read_labels

from .conftest import write_image


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.mark.parametrize("name", ["cells.tif", "cells.ome.zarr"])
def test_one_image_to_a_file(
    engine: FakeEngine, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_image(tmp_path / "stack.tif", 3)
    target = tmp_path / "new" / "folder" / name
    assert run("segment", source, "-o", target, "--spacing", 2, 0.5, 0.4, "--probability", 0.4) == 0
    file = read_label_file(target)
    assert len(np.unique(file.labels)) == 4
    assert file.spacing == (2.0, 0.5, 0.4)
    assert file.metadata["result"]["probability"] == 0.4
    table = pd.read_csv(target.parent / "cells.csv")
    assert table.columns[:3].tolist() == ["image", "t", "id"]
    assert len(table) == 3
    assert "3 cells" in capsys.readouterr().out


def test_options_reach_the_engine(engine: FakeEngine, tmp_path: Path) -> None:
    source = write_image(tmp_path / "stack.tif", 1)
    words = ["--diameter", 7.5, "--min-size", 3, "--channel", 0, "--device", "cpu", "--workers", 1]
    assert run("segment", source, "-o", tmp_path / "out.tif", *words) == 0
    call = engine.calls[-1]
    assert (call["diameter"], call["min_size"], call["channel"]) == (7.5, 3, 0)


def test_folder_gives_one_table_with_one_load(
    engine: FakeEngine, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("segment", folder, "-o", out) == 0
    assert engine.loads == ["builtin"]
    assert sorted(path.name for path in out.iterdir()) == [
        "a_cells.tif",
        "b_cells.tif",
        "c_cells.tif",
        "table.csv",
    ]
    table = pd.read_csv(out / "table.csv")
    assert table.groupby("image").size().to_dict() == {"a": 1, "b": 2, "c": 3}
    assert "3 segmented, 0 done before, 0 failed" in capsys.readouterr().out


def test_done_ones_are_skipped_and_stay_in_the_table(
    engine: FakeEngine, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("segment", folder, "-o", out) == 0
    (out / "b_cells.tif").unlink()
    before = (out / "a_cells.tif").stat().st_mtime_ns
    assert run("segment", folder, "-o", out) == 0
    assert len(engine.calls) == 4
    assert (out / "a_cells.tif").stat().st_mtime_ns == before
    assert pd.read_csv(out / "table.csv").groupby("image").size().to_dict() == {
        "a": 1,
        "b": 2,
        "c": 3,
    }
    assert "1 segmented, 2 done before, 0 failed" in capsys.readouterr().out
    assert run("segment", folder, "-o", out, "--overwrite") == 0
    assert len(engine.calls) == 7
    assert len(pd.read_csv(out / "table.csv")) == 6


def test_failures_are_listed_at_the_end_and_do_not_stop_the_rest(
    engine: FakeEngine, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.tif").write_bytes(b"II*\0 cut short")
    out = tmp_path / "out"
    assert run("segment", folder, tmp_path / "missing.tif", "-o", out) == 2
    heard = capsys.readouterr()
    last = heard.err.strip().splitlines()[-2:]
    assert str(folder / "b.tif") in last[0]
    assert "missing.tif" in last[1]
    assert "2 segmented, 0 done before, 2 failed" in heard.out
    assert sorted(path.name for path in out.iterdir()) == [
        "a_cells.tif",
        "c_cells.tif",
        "table.csv",
    ]
    assert set(pd.read_csv(out / "table.csv")["image"]) == {"a", "c"}


def test_engine_that_fails_leaves_nothing(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.fail = ModelError("The checkpoint holds another model.")
    source = write_image(tmp_path / "stack.tif", 1)
    assert run("segment", source, "-o", tmp_path / "cells.tif") == 2
    assert capsys.readouterr().err == "The checkpoint holds another model.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["stack.tif"]


def test_output_that_is_there_is_not_replaced_silently(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_image(tmp_path / "stack.tif", 2)
    target = tmp_path / "cells.tif"
    assert run("segment", source, "-o", target) == 0
    before = target.read_bytes()
    assert run("segment", source, "-o", target) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert len(engine.calls) == 1
    assert run("segment", source, "-o", target, "--probability", "0.95", "--overwrite") == 0
    assert read_labels(target)[0].max() == 0
    assert len(pd.read_csv(tmp_path / "cells.csv")) == 0


def test_labels_that_cannot_be_saved_leave_no_rows(
    engine: FakeEngine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.errors import StorageError
    from napari_cellseg.volume import write_labels

    def full(path: Path, labels: object, **options: object) -> Path:
        if path.name.startswith("b"):
            raise StorageError("There is no space left.")
        return write_labels(path, labels, **options)

    monkeypatch.setattr("napari_cellseg.volume.write_labels", full)
    out = tmp_path / "out"
    assert run("segment", folder, "-o", out) == 2
    assert set(pd.read_csv(out / "table.csv")["image"]) == {"a", "c"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--probability", "0"], "between 0 and 1"),
        (["--spacing", "1", "0", "1"], "positive lengths"),
        (["--diameter", "-2"], "positive length"),
        (["--workers", "0"], "1 or more"),
        (["--channel", "5"], "channel"),
        (["--axes", "qq"], "axes"),
        (["--bogus"], "Unknown option"),
    ],
)
def test_bad_options_are_one_sentence(
    engine: FakeEngine,
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_image(tmp_path / "stack.tif", 1)
    assert run("segment", source, "-o", tmp_path / "cells.tif", *words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["stack.tif"]


def test_several_images_need_a_folder(
    engine: FakeEngine, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("segment", folder, "-o", tmp_path / "cells.tif") == 2
    assert "name a folder" in capsys.readouterr().err


def test_notices_are_passed_on(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.notices = ("This image looks unlike the training data.",)
    source = write_image(tmp_path / "stack.tif", 1)
    assert run("segment", source, "-o", tmp_path / "cells.tif") == 0
    assert "stack: This image looks unlike the training data." in capsys.readouterr().err
    assert run("segment", source, "-o", tmp_path / "cells.tif", "--overwrite", "-q") == 0
    assert capsys.readouterr().err == ""


def test_same_notice_is_said_once_and_in_options(
    engine: FakeEngine, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.notices = ("Spacing is not stated: pass spacing=(z, y, x) in µm.",)
    assert run("segment", folder, "-o", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert said.count("pass --spacing Z Y X in µm") == 2  # the engine's, and the reader's own
    assert "spacing=" not in said


def test_errors_name_options(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_image(tmp_path / "stack.tif", 1)
    assert run("segment", source, "-o", tmp_path / "cells.tif", "--axes", "qq") == 2
    said = capsys.readouterr().err
    assert "--axes qq" in said
    assert "axes=" not in said


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("output", ["sheet.tif", "out"])
def test_a_csv_of_the_user_stops_the_run_before_any_work(
    engine: FakeEngine,
    tmp_path: Path,
    output: str,
    overwrite: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_image(tmp_path / "a.tif", 1)
    (tmp_path / "out").mkdir()
    sheet = tmp_path / ("sheet.csv" if output == "sheet.tif" else "out/table.csv")
    sheet.write_text("image,dose\na,2.50\nb,3\n")
    assert run("segment", source, "-o", tmp_path / output, *overwrite) == 2
    said = capsys.readouterr().err
    assert str(sheet) in said
    assert said.count("\n") == 1
    assert sheet.read_text() == "image,dose\na,2.50\nb,3\n"
    assert engine.calls == []
    assert not (tmp_path / "sheet.tif").exists()


def test_rows_of_images_of_other_runs_stay(
    engine: FakeEngine, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("segment", folder / "a.tif", folder / "b.tif", "-o", out) == 0
    assert run("segment", folder / "b.tif", folder / "c.tif", "-o", out, "--overwrite") == 0
    table = pd.read_csv(out / "table.csv")
    assert table.groupby("image").size().to_dict() == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("words", [[], ["--overwrite"]])
def test_output_that_is_the_image_is_refused_before_the_run(
    engine: FakeEngine, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_image(tmp_path / "stack.tif", 1)
    before = source.read_bytes()
    assert run("segment", source, "-o", source, *words) == 2
    assert "never replaced" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert engine.calls == []
    assert [path.name for path in tmp_path.iterdir()] == ["stack.tif"]


def test_own_labels_among_the_images_are_named(
    engine: FakeEngine, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("segment", folder, "-o", folder) == 0
    assert "skipped as labels" not in capsys.readouterr().err
    assert run("segment", folder, "-o", folder) == 0
    said = capsys.readouterr().err
    assert "3 skipped as labels from napari-cellseg: a_cells.tif, b_cells.tif, c_cells.tif" in said
    assert len(engine.calls) == 3


def test_other_settings_of_done_images_are_told(
    engine: FakeEngine, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("segment", folder / "a.tif", "-o", out, "--diameter", 8) == 0
    assert run("segment", folder, "-o", out, "--diameter", 9, "--probability", 0.4) == 0
    said = capsys.readouterr().err
    assert (
        "1 of those done before were made with other settings (--diameter, --probability): "
        "add --overwrite to redo them."
    ) in said
    words = ["--diameter", 9, "--probability", 0.4]
    assert run("segment", folder / "b.tif", folder / "c.tif", "-o", out, *words) == 0
    assert "other settings" not in capsys.readouterr().err
    assert run("segment", folder, "-o", out, "--overwrite", "--diameter", 7) == 0
    assert "other settings" not in capsys.readouterr().err
