"""Weights arrive whole or not at all, from a server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from napari_cellseg.errors import Cancelled, InputError, ModelError, StorageError
from napari_cellseg.prompts import available_predictors, download, load_predictor
from napari_cellseg.prompts.download import model_file, model_folder
from napari_cellseg.prompts.registry import PredictorInfo, predictor_info

CONTENT = bytes(range(256)) * 8000


class Server(ThreadingHTTPServer):
    """Sends `CONTENT`, or the first half of it and hangs up, or other bytes."""

    fault = ""
    asked = 0


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.fault == "404":
            self.send_error(404)
            return
        content = CONTENT[::-1] if self.server.fault == "other" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = self.server.fault == "half"
        self.wfile.write(content[: len(content) // (2 if half else 1)])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def info(server: Server) -> PredictorInfo:
    return replace(
        predictor_info("mobile-sam"),
        url=f"http://127.0.0.1:{server.server_port}/model.pt",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def test_a_model_is_downloaded_once(info: PredictorInfo, server: Server, tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []
    folder = tmp_path / "new" / "models"
    file = model_file(info, lambda *report: seen.append(report), folder=folder)
    assert file.read_bytes() == CONTENT
    fractions = [fraction for fraction, _ in seen]
    assert fractions[-1] == 1
    assert fractions == sorted(fractions)
    assert len(fractions) > 5
    assert seen[0][1] == "downloading MobileSAM"
    assert model_file(info, folder=folder) == file
    assert server.asked == 1


@pytest.mark.parametrize(("fault", "message"), [("half", "internet"), ("other", "SHA-256")])
def test_a_bad_download_leaves_nothing_and_the_next_begins_anew(
    fault: str, message: str, info: PredictorInfo, server: Server, tmp_path: Path
) -> None:
    server.fault = fault
    with pytest.raises(ModelError, match=message) as caught:
        model_file(info, folder=tmp_path)
    assert str(tmp_path / info.file) in str(caught.value)
    assert not list(tmp_path.iterdir())
    server.fault = ""
    assert model_file(info, folder=tmp_path).read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_again(info: PredictorInfo, tmp_path: Path) -> None:
    (tmp_path / info.file).write_bytes(CONTENT[::-1])
    assert model_file(info, folder=tmp_path).read_bytes() == CONTENT


def test_cancel(info: PredictorInfo, tmp_path: Path) -> None:
    cancel = threading.Event()

    def progress(fraction: float, message: str) -> None:
        if fraction > 0.3:
            cancel.set()

    with pytest.raises(Cancelled):
        model_file(info, progress, cancel, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_network(info: PredictorInfo, tmp_path: Path) -> None:
    offline = replace(info, url="http://127.0.0.1:9/model.pt")
    with pytest.raises(ModelError, match=r"put it at '.*mobile_sam\.pt', or pass its path"):
        model_file(offline, folder=tmp_path)


def test_a_file_put_there_by_hand_is_found(info: PredictorInfo, tmp_path: Path) -> None:
    (tmp_path / info.file).write_bytes(CONTENT)
    offline = replace(info, url="http://127.0.0.1:9/model.pt")
    assert model_file(offline, folder=tmp_path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made(info: PredictorInfo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        model_file(info, folder=tmp_path / "file" / "models")


def test_models_that_the_user_brings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "model_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"MedSAM cannot be downloaded.*medsam_vit_b\.pth"):
        load_predictor("medsam", device="cpu")
    assert model_folder().name == "models"


def test_what_there_is() -> None:
    infos = available_predictors()
    assert {"sam", "medsam", "mobile-sam", "pa-sam"} <= {info.name for info in infos}
    for info in infos:
        assert predictor_info(info.name) is info
        assert (info.url is None) == (info.sha256 is None) == (info.size is None)
        assert info.sha256 is None or len(info.sha256) == 64
        assert info.citation
        assert info.licence
        assert info.page.startswith("https://")
    with pytest.raises(InputError, match="mobile-sam, sam"):
        load_predictor("sam9")
