"""Operations of the prompt loop where a device or a model fails."""

import numpy as np
import pytest

from napari_cellseg.errors import ModelError
from napari_cellseg.prompts.clicker import PlanePrompts
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.volume import as_volume
from napari_cellseg.worker import InferenceWorker, Priority
from napari_cellseg.worker import prompting as operations
from napari_cellseg.worker.scene import Scene, clicker_of, embedding_cache, forget_scenes
from prompt_engine import cells, own_cache, prompt_worker, tiny

__all__ = ["own_cache", "prompt_worker", "tiny"]

PLANE = Plane("xy", 2)
SAID = PlanePrompts(((10.0, 12.0),), (1,))


@pytest.fixture
def scene():
    volume = as_volume(cells(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    yield Scene("test", 0, volume)
    forget_scenes("test")


def ask(worker: InferenceWorker, operation: str, notices=None, **arguments):
    return worker.submit(
        operation,
        arguments,
        lane="decode",
        priority=Priority.CLICK,
        on_notice=None if notices is None else notices.append,
    ).wait(20)


def test_a_prompt_never_encodes(prompt_worker, scene, tiny):
    assert ask(prompt_worker, "prompt", scene=scene, plane=PLANE, said=SAID) is None
    assert not tiny.encoded
    encoded = ask(prompt_worker, "encode plane", scene=scene, plane=PLANE)
    assert (encoded.plane, encoded.tiled, encoded.model.title) == (PLANE, False, tiny.title)
    answer = ask(prompt_worker, "prompt", scene=scene, plane=PLANE, said=SAID)
    assert answer.region()[1].sum() == 14 * 16
    assert len(tiny.encoded) == 1


@pytest.mark.parametrize(
    ("failure", "notice"),
    [
        (RuntimeError("CUDA error: an illegal memory access"), "stopped answering"),
        (RuntimeError("CUDA out of memory"), "too little memory"),
    ],
)
def test_a_device_that_fails_is_left_with_a_notice(
    prompt_worker, scene, tiny, monkeypatch, failure, notice
):
    class Broken(type(tiny)):
        def encode(self, *args, **kwargs):
            raise failure

    broken = Broken()
    kept = prompt_worker.models
    kept.clear()
    kept.get("prompt", "mobile-sam", None, "cuda", lambda: broken)
    kept.get("prompt", "mobile-sam", None, "cpu", lambda: tiny)
    notices: list[str] = []
    on_gpu = scene.on("cuda")
    encoded = ask(prompt_worker, "encode plane", notices, scene=on_gpu, plane=PLANE)
    assert encoded.plane == PLANE
    assert len(tiny.encoded) == 1
    assert any(notice in sentence for sentence in notices)


def test_an_error_of_the_model_itself_is_not_taken_for_a_lost_device(
    prompt_worker, scene, tiny, monkeypatch
):
    monkeypatch.setattr(
        type(tiny), "encode", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("shapes differ"))
    )
    with pytest.raises(RuntimeError, match="shapes differ"):
        ask(prompt_worker, "encode plane", scene=scene, plane=PLANE)


def test_weights_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr("napari_cellseg.prompts.download.model_folder", lambda: tmp_path)
    said = operations.weights_missing("mobile-sam", None)
    assert "download them, or" in said
    assert "mobile_sam.pt" in said
    assert "download them" not in operations.weights_missing("medsam", None)
    assert "two files" in operations.weights_missing("pa-sam", None)
    assert operations.weights_missing("mobile-sam", tmp_path / "mine.pt") == ""
    (tmp_path / "mobile_sam.pt").write_bytes(b"weights")
    assert "its size differs" in operations.weights_missing("mobile-sam", None)
    with (tmp_path / "mobile_sam.pt").open("wb") as file:
        file.truncate(40_728_226)
    assert operations.weights_missing("mobile-sam", None) == ""


def test_nothing_is_downloaded_by_a_click(prompt_worker, scene, monkeypatch, tmp_path):
    monkeypatch.setattr("napari_cellseg.prompts.download.model_folder", lambda: tmp_path)
    prompt_worker.models.clear()
    with pytest.raises(ModelError, match="not on this machine"):
        ask(prompt_worker, "encode plane", scene=scene, plane=PLANE)
    assert not list(tmp_path.iterdir())


def test_planes_of_one_owner_are_let_go(scene, tiny, own_cache):
    first = clicker_of(scene, PLANE, tiny)
    assert clicker_of(scene, PLANE, tiny) is first
    forget_scenes("test")
    assert clicker_of(scene, PLANE, tiny) is not first


def test_a_picture_is_what_the_model_sees(prompt_worker, scene):
    seen = ask(prompt_worker, "picture", scene=scene, plane=PLANE)
    assert seen.shape == (64, 80, 3)
    assert np.array_equal(seen[..., 1], cells()[2])


def test_a_cache_folder_that_cannot_be_written_costs_no_answer(
    prompt_worker, scene, tiny, own_cache
):
    own_cache.disk.folder.parent.mkdir(parents=True, exist_ok=True)
    own_cache.disk.folder.write_text("a file where the folder should be")
    ask(prompt_worker, "encode plane", scene=scene, plane=PLANE)
    answer = ask(prompt_worker, "prompt", scene=scene, plane=PLANE, said=SAID)
    assert answer.region()[1].sum() == 14 * 16
    assert len(embedding_cache().notices) == 1


def test_another_model_s_embedding_is_never_used(prompt_worker, scene, tiny):
    ask(prompt_worker, "encode plane", scene=scene, plane=PLANE)
    other = type(tiny)(fingerprint="8" * 64)
    prompt_worker.models.clear()
    prompt_worker.models.get("prompt", "mobile-sam", None, "auto", lambda: other)
    assert ask(prompt_worker, "prompt", scene=scene, plane=PLANE, said=SAID) is None
