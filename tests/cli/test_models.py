"""`napari-cellseg models`, with files from a server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from napari_cellseg.cli import main
from napari_cellseg.networks import available_networks
from napari_cellseg.prompts import available_predictors
from napari_cellseg.prompts.registry import PredictorInfo

CONTENT = bytes(range(256)) * 4000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, empty at first."""
    place = tmp_path / "models"
    monkeypatch.setattr("napari_cellseg.prompts.download.model_folder", lambda: place)
    return place


@pytest.fixture
def info(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PredictorInfo]:
    """MobileSAM, its weights served from here and a megabyte large."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        mobile, *others = available_predictors()
        here = replace(
            mobile,
            url=f"http://127.0.0.1:{server.server_port}/model.pt",
            size=len(CONTENT),
            sha256=hashlib.sha256(CONTENT).hexdigest(),
        )
        monkeypatch.setattr(
            "napari_cellseg.cli.models.available_predictors", lambda: (here, *others)
        )
        yield here
        server.shutdown()
        thread.join()


def blocks(said: str) -> dict[str, str]:
    return {block.split("\n")[0]: block for block in said.strip().split("\n\n")}


def test_the_list_says_what_a_user_must_know(
    info: PredictorInfo, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "list"]) == 0
    listed = blocks(capsys.readouterr().out)
    known = [*available_networks(), *available_predictors()]
    assert list(listed) == [one.name for one in known]
    assert "part of the package" in listed["builtin"]
    for network in available_networks():
        said = listed[network.name]
        assert all(part in said for part in (network.title, network.licence, network.scale))
        assert network.packaged or f"napari-cellseg[{network.extra}]" in said
    for one in available_predictors():
        said = listed[one.name]
        assert all(part in said for part in (one.title, one.note, one.licence, one.citation))
        assert "not on this machine" in said
        assert f"put at   {folder / one.file}" in said
        assert ("models download" in said) == (one.url is not None)
    assert one.page in said
    folder.mkdir()
    (folder / info.file).write_bytes(CONTENT)
    (folder / "medsam_vit_b.pth").write_bytes(b"anything")
    (folder / "sam_vit_b_01ec64.pth").write_bytes(b"too short")
    main(["models"])
    listed = blocks(capsys.readouterr().out)
    for name in ("mobile-sam", "medsam"):
        assert "weights  on this machine" in listed[name]
        assert "get it" not in listed[name]
    assert "its size differs" in listed["sam"]


def test_a_download_is_whole(
    info: PredictorInfo, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "download", "mobile-sam"]) == 0
    assert capsys.readouterr().out == f"mobile-sam: {folder / info.file}\n"
    assert (folder / info.file).read_bytes() == CONTENT


def test_a_download_that_is_stopped_leaves_nothing(
    info: PredictorInfo,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[float] = []

    @contextmanager
    def impatient(name: str, quiet: bool) -> Iterator[Any]:
        def report(fraction: float, message: str) -> None:
            seen.append(fraction)
            if fraction > 0.3:
                raise KeyboardInterrupt

        yield report

    monkeypatch.setattr("napari_cellseg.cli.models.report_bar", impatient)
    assert main(["models", "download", "mobile-sam"]) == 130
    assert capsys.readouterr().err.endswith("Stopped; nothing is left half-written.\n")
    assert 0.3 < seen[-1] < 1
    assert list(folder.iterdir()) == []


def test_no_network_is_one_sentence(
    info: PredictorInfo,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offline = replace(info, url="http://127.0.0.1:9/model.pt")
    monkeypatch.setattr("napari_cellseg.cli.models.available_predictors", lambda: (offline,))
    assert main(["models", "download", "mobile-sam"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "connect to the internet, or get it from" in said
    assert str(folder / info.file) in said


@pytest.mark.parametrize(
    ("name", "part"), [("medsam", "bowang-lab/MedSAM"), ("pa-sam", "--checkpoint")]
)
def test_files_that_only_their_authors_give(
    name: str, part: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "download", name]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be downloaded by napari-cellseg: get" in said
    assert part in said
    assert str(folder) in said


def test_verify_looks_at_the_files_that_are_there(
    info: PredictorInfo, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    (folder / info.file).write_bytes(CONTENT)
    (folder / "medsam_vit_b.pth").write_bytes(b"anything")
    assert main(["models", "verify"]) == 0
    said = capsys.readouterr().out
    assert f"mobile-sam: sound (SHA-256 {info.sha256})" in said
    assert (
        f"no checksum to compare with (SHA-256 {hashlib.sha256(b'anything').hexdigest()})" in said
    )
    assert "sam-h: not on this machine" in said
    (folder / info.file).write_bytes(CONTENT[::-1])
    assert main(["models", "verify"]) == 2
    heard = capsys.readouterr()
    assert "mobile_sam.pt' is not the published file of MobileSAM" in heard.err
    assert "medsam: " in heard.out  # the others are still told
