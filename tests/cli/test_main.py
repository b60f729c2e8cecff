"""Exit statuses and what a user reads, in a process of their own."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from fake_engine import FakeEngine
from napari_cellseg.cli import main
from napari_cellseg.volume import write_labels

from .conftest import write_image

TESTS = Path(__file__).parents[1]


def call(*words: object, code: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import sys\n{code}\nfrom napari_cellseg.cli import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_is_light() -> None:
    loaded = textwrap.dedent(
        """
        import atexit
        def look():
            heavy = {"torch", "numba", "napari", "qtpy", "pandas", "skimage"} & set(sys.modules)
            print("heavy:", sorted(heavy))
        atexit.register(look)
        """
    )
    done = call("--help", code=loaded)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "heavy: []"
    for command in ("segment", "evaluate", "models", "demo"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["segment"], "requires an argument"),
        (["segment", "no such.tif", "-o", "out.tif"], "no file or folder"),
        (["fly"], "Unknown command"),
        (["evaluate", "a.tif", "b.tif"], "no file or folder 'a.tif'"),
        (["models", "download", "nothing"], "no model 'nothing'"),
    ],
)
def test_bad_input_is_two_and_one_sentence(words: list[str], message: str, tmp_path: Path) -> None:
    done = call(*words, code=f"import os; os.chdir({str(tmp_path)!r})")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where() -> None:
    done = call("segment", "no such.tif", "-o", "out.tif", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_bug_is_no_traceback_either(
    engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.fail = ZeroDivisionError("division by zero")
    source = write_image(tmp_path / "stack.tif", 1)
    words = ["segment", str(source), "-o", str(tmp_path / "cells.tif")]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "--debug" in said
    assert said.count("\n") == 1
    with pytest.raises(ZeroDivisionError):
        main([*words, "--debug"])


def test_interrupt_is_130_and_leaves_nothing(tmp_path: Path) -> None:
    source = write_image(tmp_path / "stack.tif", 2)
    slow = textwrap.dedent(
        f"""
        import signal, sys
        # a shell's background job, as this test may be run in, starts with Ctrl-C ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.path.insert(0, {str(TESTS)!r})
        from fake_engine import FakeEngine
        import napari_cellseg.flows, napari_cellseg.networks
        fake = FakeEngine()
        def segment(volume, progress=None, cancel=None, **rest):
            print("running", flush=True)
            while True:
                cancel.wait(0.01)
                progress(0.5, "xz 120/256")
        napari_cellseg.flows.segment = segment
        napari_cellseg.networks.load_network = fake.load_network
        from napari_cellseg.cli import main
        sys.exit(main(["segment", {str(source)!r}, "-o", {str(tmp_path / "out")!r}]))
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "running"
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.strip() == "Stopped; nothing is left half-written."
    assert list((tmp_path / "out").iterdir()) == []


def test_evaluate_for_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = np.zeros((4, 20, 20), np.uint32)
    truth[:, 2:8, 2:8], truth[:, 10:18, 10:18] = 1, 2
    predicted = np.where(truth == 2, 0, truth).astype(np.uint32)
    files = [
        str(write_labels(tmp_path / name, labels, spacing=(2.0, 0.5, 0.5)))
        for name, labels in (("predicted.tif", predicted), ("truth.ome.zarr", truth))
    ]
    assert main(["evaluate", *files]) == 0
    said = capsys.readouterr().out
    assert "1 found, 2 true" in said
    assert "AP@0.5" in said
    assert main(["evaluate", *files, "--json", "--thresholds", "0.5", "0.6"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["ap"] == {"0.5": 0.5, "0.6": 0.5}
    assert scores["surface"] == {"mean": 0.0, "p95": 0.0, "unit": "µm"}


def test_evaluate_of_other_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        str(write_labels(tmp_path / f"{n}.tif", np.ones((4, n, 5), np.uint32))) for n in (5, 6)
    ]
    assert main(["evaluate", *files]) == 2
    assert "not of the same image" in capsys.readouterr().err


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert main(["models", "list"]) == 0
    assert capsys.readouterr().out == listed
    for part in ("builtin", "nuclei · phase", "licence", "SHA-256"):
        assert part in listed
    assert main(["models", "download"]) == 0
    assert "nothing to download" in capsys.readouterr().out


@pytest.mark.parametrize(("sound", "status"), [(True, 0), (False, 2)])
def test_models_verify(
    sound: bool,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "napari_cellseg.networks.packaged_card", lambda: {"sha256": "0123abcd"}
    )
    monkeypatch.setattr("napari_cellseg.networks.verify_packaged_weights", lambda: sound)
    assert main(["models", "verify"]) == status
    heard = capsys.readouterr()
    assert "0123abcd" in (heard.out if sound else heard.err)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from napari_cellseg import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
