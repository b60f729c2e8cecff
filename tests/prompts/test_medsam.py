"""MedSAM returns what upstream returns, and each known mistake is noticed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.framing import Frame
from napari_cellseg.prompts.sam import channels_first
from napari_cellseg.prompts.sam_parts import normalised
from prompts.parity_check import TOLERANCE


@pytest.fixture(scope="module")
def medsam(parity: Callable[..., Any]) -> Any:
    return parity("medsam", "medsam_vit_b", "sam_vit_b")


def test_medsam(medsam: Any) -> None:
    image = medsam.embedding.features["image"].numpy()
    assert np.abs(image[::8, ::2, ::2] - medsam.expected["embedding_sub"]).max() < TOLERANCE
    proposal = medsam.predictor.decode(medsam.embedding, _prompt(medsam))
    assert np.abs(proposal.logits - medsam.expected["low_res"]).max() < TOLERANCE
    assert np.abs(proposal.scores - medsam.expected["iou"]).max() < TOLERANCE
    assert (proposal.masks[0] == medsam.bits("mask_bits")).mean() > 0.9999


def _prompt(medsam: Any) -> Any:
    from napari_cellseg.prompts import Prompt

    return Prompt(box=medsam.box)


def test_the_input_is_stretched_and_scaled_to_one(medsam: Any) -> None:
    pixels = medsam.inputs["image"]
    square = medsam.predictor.square(pixels, Frame(pixels.shape[:2], "stretch"))
    expected = medsam.expected["input_sub"]
    assert np.abs(square.numpy()[:, ::16, ::16] - expected).max() < 1e-6
    assert square.aminmax() == (0, 1)
    wrong = normalised(255 * square)
    assert np.abs(wrong.numpy()[:, ::16, ::16] - expected).max() > 0.5
    assert channels_first(pixels).shape == (3, 300, 400)


def test_the_box_is_scaled_per_axis(medsam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    corners = medsam.box.reshape(2, 2)
    scaled = Frame((300, 400), "stretch").xy(corners).reshape(1, 4)
    assert np.abs(scaled - medsam.expected["box_1024"]).max() < 1e-4
    right = Frame.xy
    padded = Frame((300, 400), "pad")
    monkeypatch.setattr(Frame, "xy", lambda self, places: right(padded, places))
    wrong = medsam.predictor.decode(medsam.embedding, _prompt(medsam))
    assert np.abs(wrong.logits - medsam.expected["low_res"]).max() > 0.1


def test_probabilities_are_blended_not_logits(medsam: Any) -> None:
    proposal = medsam.predictor.decode(medsam.embedding, _prompt(medsam))
    wrong = replace(proposal, blends="logits", _regions={})
    assert (wrong.masks[0] != medsam.bits("mask_bits")).sum() > 500


def test_medsam_takes_boxes_only(medsam: Any) -> None:
    with pytest.raises(InputError, match="MedSAM cannot do points: it takes a box"):
        medsam.decode(False, points=[(10, 10)])
    with pytest.raises(InputError, match="several masks"):
        medsam.decode(True, box=medsam.box)
