"""What every predictor of the family does at its boundary, on a SAM small enough to be quick."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import napari_cellseg as nc
from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.prompts import Embedding, Predictor, Prompt, load_predictor, sam_family
from prompts.conftest import small_state


def test_the_protocol(small_sam: Any, small_embedding: Embedding) -> None:
    assert isinstance(small_sam, Predictor)
    assert (small_sam.name, small_sam.framing) == ("sam", "pad")
    assert small_sam.title == "SAM (2 blocks of 16 channels)"
    assert small_sam.device == torch.device("cpu")
    assert small_sam.nbytes == sum(v.nbytes for v in small_state().values())
    assert small_embedding.shape == (120, 180)
    assert small_embedding.features["image"].shape == (256, 64, 64)
    assert nc.load_predictor is load_predictor


def test_masks_for_one_lone_point(small_sam: Any, small_embedding: Embedding) -> None:
    def count(multimask: bool | None = None, **prompt: Any) -> int:
        proposal = small_sam.decode(small_embedding, Prompt(**prompt), multimask)
        assert proposal.masks.shape == (len(proposal), 120, 180)
        assert proposal.logits.shape == (len(proposal), 256, 256)
        assert proposal.logits.dtype == proposal.scores.dtype == np.float32
        return len(proposal)

    box, point = (10, 10, 50, 60), (30, 40)
    assert count(points=[point]) == 3
    assert count(points=[point], multimask=False) == 1
    assert count(points=[point, (5, 5)], labels=[1, 0]) == 1
    assert count(box=box) == 1
    assert count(box=box, multimask=True) == 3
    assert count(points=[point], box=box) == 1
    drawn = np.zeros((120, 180), bool)
    drawn[20:40, 20:60] = True
    assert count(mask=drawn) == 1
    assert count(points=[point], mask=drawn) == 1
    assert count(points=np.random.default_rng(0).uniform(0, 100, (1000, 2))) == 1


@given(st.floats(-0.5, 119.5), st.floats(-0.5, 179.5))
@settings(deadline=None, max_examples=15)
def test_any_point_of_the_plane_is_answered(
    small_sam: Any, small_embedding: Embedding, row: float, col: float
) -> None:
    proposal = small_sam.decode(small_embedding, Prompt(points=[(row, col)]))
    assert (np.diff(proposal.scores) <= 0).all()
    assert np.isfinite(proposal.logits).all()


def test_what_lies_outside_is_refused(small_sam: Any, small_embedding: Embedding) -> None:
    for prompt in (
        Prompt(points=[(120, 3)]),
        Prompt(box=(200, 0, 300, 9)),
        Prompt(mask=np.ones((9, 9), bool)),
        Prompt(mask=np.ones((64, 64), np.float32)),
    ):
        with pytest.raises(InputError):
            small_sam.decode(small_embedding, prompt)


def test_another_models_embedding_is_refused(
    small_sam: Any, small_embedding: Embedding, tmp_path: Path
) -> None:
    torch.save(small_state(1), tmp_path / "other.pth")
    other = load_predictor("sam", tmp_path / "other.pth", "cpu")
    prompt = Prompt(points=[(3, 3)])
    with pytest.raises(InputError, match="another model"):
        other.decode(small_embedding, prompt)
    for change in ({"family": "medsam"}, {"framing": "stretch"}):
        with pytest.raises(InputError, match="encode the plane again"):
            small_sam.decode(replace(small_embedding, **change), prompt)


def test_grey_is_three_equal_channels_and_limits_are_8_bit(
    small_sam: Any, small_embedding: Embedding, plane: NDArray[np.uint8]
) -> None:
    expected = small_embedding.features["image"]
    rgb = small_sam.encode(np.stack([plane] * 3, axis=2)).features["image"]
    assert torch.equal(rgb, expected)
    wide = small_sam.encode(plane.astype(np.uint16) * 16, (0, 255 * 16)).features["image"]
    assert torch.equal(wide, expected)


@pytest.mark.parametrize("before", [0, 1])
def test_encoding_stops_between_blocks(
    before: int, small_sam: Any, plane: NDArray[np.uint8]
) -> None:
    cancel, ran = threading.Event(), []
    hooks = [
        block.register_forward_hook(lambda *_, i=i: (ran.append(i), cancel.set())[:0])
        for i, block in enumerate(small_sam.parts.image_encoder.blocks)
    ]
    try:
        if before == 0:
            cancel.set()
        with pytest.raises(Cancelled):
            small_sam.encode(plane, cancel=cancel)
    finally:
        for hook in hooks:
            hook.remove()
    assert ran == [0][:before]


def test_a_second_click_on_a_plane_does_nothing_twice(
    small_sam: Any, small_embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    right = small_sam.prepare
    monkeypatch.setattr(small_sam, "prepare", lambda *given: made.append(1) or right(*given))
    planes = [replace(small_embedding) for _ in range(sam_family._RECENT + 1)]
    prompt = Prompt(points=[(30, 30)])
    first = small_sam.decode(planes[0], prompt)
    second = small_sam.decode(planes[0], prompt)
    assert np.array_equal(first.logits, second.logits)
    assert len(made) == 1
    for each in planes:
        small_sam.decode(each, prompt)
    assert len(small_sam._recent) == sam_family._RECENT
    del planes, each
    assert not [key for key in small_sam._recent if key() is None]


def test_half_precision_embeddings_hardly_change_masks(
    small_sam: Any, small_embedding: Embedding
) -> None:
    prompt = Prompt(points=[(30, 30)])
    exact = small_sam.decode(small_embedding, prompt)
    half = small_sam.decode(small_embedding.to(dtype=torch.float16), prompt)
    assert (exact.masks == half.masks).mean() > 0.995


def test_threads_may_ask_at_the_same_time(small_sam: Any, small_embedding: Embedding) -> None:
    expected = small_sam.decode(small_embedding, Prompt(points=[(30, 30)])).logits
    found: list[Any] = []

    def ask() -> None:
        mine = replace(small_embedding)
        found.extend(small_sam.decode(mine, Prompt(points=[(30, 30)])).logits for _ in range(3))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 9
    assert all(np.abs(logits - expected).max() < 1e-5 for logits in found)


def test_framings_that_do_not_suit(small_file: Path) -> None:
    with pytest.raises(InputError, match="does not suit SAM"):
        load_predictor("sam", small_file, "cpu", framing="stretch")
    with pytest.raises(InputError, match="'round' is unknown"):
        load_predictor("sam", small_file, "cpu", framing="round")
    with pytest.raises(InputError, match="2 model files"):
        load_predictor("sam", (small_file, small_file), "cpu")
    with pytest.raises(InputError, match="device"):
        load_predictor("sam", small_file, "nowhere")
