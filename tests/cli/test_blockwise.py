"""Volumes segmented block by block from the command line: stopped, killed, gone on with."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr

from fake_engine import FakeEngine
from fakes import blob_volume
from napari_cellseg.cli import blockwise as cli
from napari_cellseg.cli.main import main

BLOCKS = ["--block", "18", "24", "24", "--diameter", "14", "--device", "cpu"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image, _ = blob_volume((18, 48, 72))
    path = tmp_path_factory.mktemp("images") / "stack.tif"
    spacing = {"axes": "ZYX", "spacing": 1.0, "unit": "um"}
    tifffile.imwrite(path, image, imagej=True, resolution=(1, 1), metadata=spacing)
    return path


@pytest.fixture(scope="module")
def whole(stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nobody disturbs makes, with its field."""
    folder = tmp_path_factory.mktemp("whole")
    words = [*BLOCKS, "--field", str(folder / "field"), "--quiet"]
    assert main(["segment", str(stack), "-o", str(folder / "out.ome.zarr"), *words]) == 0
    return folder


def labels_of(store: Path) -> np.ndarray:
    return zarr.open_array(store / "labels" / "cells" / "0", mode="r")[:]


def started(stack: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a terminal starts it."""
    words = ["segment", str(stack), "-o", str(output), *BLOCKS, *more]
    code = (
        "import signal, sys; from napari_cellseg.cli import main; "
        # tests that run in the background are started with Ctrl-C ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_blocks(process: subprocess.Popen[str], output: Path, count: int) -> None:
    """Wait until that many blocks are predicted."""
    folder = Path(f"{output}.partial") / "predict"
    until = time.monotonic() + 200
    while time.monotonic() < until and process.poll() is None:
        if folder.is_dir() and len(list(folder.glob("*.npz"))) >= count:
            return
        time.sleep(0.02)
    pytest.fail(f"no {count} blocks were done: {process.communicate()}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "processes"])
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    stack: Path, whole: Path, tmp_path: Path, workers: tuple[str, ...]
) -> None:
    output = tmp_path / "out.ome.zarr"
    process = started(stack, output, *workers)
    wait_for_blocks(process, output, 1)
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130, (out, said)
    assert said.count("\n") == 1
    assert "run the same command again to go on" in said
    assert not output.exists()
    done = len(list((tmp_path / "out.ome.zarr.partial" / "predict").glob("*.npz")))
    assert 1 <= done < 6

    process = started(stack, output, *workers)
    out, said = process.communicate(timeout=250)
    assert process.returncode == 0, said
    np.testing.assert_array_equal(labels_of(output), labels_of(whole / "out.ome.zarr"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.ome.zarr"]
    table = pd.read_csv(tmp_path / "out.csv")
    assert (len(table), set(table["image"])) == (labels_of(output).max(), {"stack"})


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_run_goes_on(stack: Path, whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.ome.zarr"
    process = started(stack, output)
    wait_for_blocks(process, output, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not output.exists()
    assert main(["segment", str(stack), "-o", str(output), *BLOCKS, "--quiet"]) == 0
    np.testing.assert_array_equal(labels_of(output), labels_of(whole / "out.ome.zarr"))


def test_a_kept_field_is_labelled_again(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "again.ome.zarr"
    words = ["relabel", str(whole / "field"), "-o", str(output)]
    assert main([*words, "--probability", "0.9"]) == 0
    assert "cells → " in capsys.readouterr().out
    strict, loose = labels_of(output), labels_of(whole / "out.ome.zarr")
    assert 0 < (strict > 0).sum() < (loose > 0).sum()
    assert len(pd.read_csv(tmp_path / "again.csv")) == strict.max()
    assert main(words) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--quiet"]) == 0
    np.testing.assert_array_equal(labels_of(output), loose)
    assert main(["relabel", str(tmp_path), "-o", str(tmp_path / "b.ome.zarr")]) == 2
    assert "is no flow field" in capsys.readouterr().err


def test_settings_of_an_unfinished_run_are_told_as_options(
    stack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.flows.blockwise import predict_store

    def interrupted(job: object) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out.ome.zarr"
    words = ["segment", str(stack), "-o", str(output), *BLOCKS, "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(predict_store, "predict_block", interrupted)
        assert main(words) == 130
    assert "go on" in capsys.readouterr().err
    assert main([*words, "--probability", "0.25"]) == 2
    said = capsys.readouterr().err
    assert "--probability 0.5 instead of 0.25" in said
    assert "--overwrite" in said
    assert (tmp_path / "out.ome.zarr.partial").is_dir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "out.tif", "--block", "8", "8", "8"], "--block is for one image"),
        (["-o", "results", "--scheduler", "tcp://127.0.0.1:9"], "--scheduler is for one image"),
        (["-o", "out.ome.zarr", "--scheduler", "tcp://127.0.0.1:9"], "No dask scheduler answers"),
        (["-o", "out.ome.zarr", "--scheduler", "nonsense"], "No dask scheduler answers"),
        (["-o", "out.ome.zarr", "--scheduler", "a:1", "--workers", "2"], "exclude each other"),
        (["-o", "out.ome.zarr", "--workers", "0"], "1 or more"),
        (["-o", "out.ome.zarr", "--block", "8", "8", "0"], "--block 8 8 0 must be three"),
        (["-o", "out.ome.zarr", "--field", "nowhere/field"], "no such folder"),
        (["-o", "out.ome.zarr", "--block", "9", "9", "9", "--fusion", "xy"], "--fusion xy joins"),
        (["-o", "out.ome.zarr", "--workers", "1", "--fusion", "best"], "fusion"),
        (["-o", "taken.ome.zarr", "--workers", "1"], "in the way"),
    ],
)
def test_mistakes_are_one_sentence(
    stack: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.ome.zarr.partial").mkdir()
    (tmp_path / "taken.ome.zarr.partial" / "mine").touch()
    assert main(["segment", str(stack), *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("*.csv"))


def test_what_does_not_fit_into_memory_is_segmented_block_by_block(
    engine: FakeEngine, stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    monkeypatch.setattr(
        cli, "segment_blockwise", lambda source, *_, **__: taken.append(source) or 0
    )
    output = tmp_path / "out.ome.zarr"
    words = ["segment", str(stack), "-o", str(output)]
    assert main(words) == 0
    assert not taken
    shutil.rmtree(output)
    monkeypatch.setattr("napari_cellseg.volume.available_memory", lambda: 1 << 20)
    assert main(words) == 0
    assert taken == [stack]
    assert main(["segment", str(stack), "-o", str(tmp_path / "out.tif")]) in (0, 2)
    assert taken == [stack]
