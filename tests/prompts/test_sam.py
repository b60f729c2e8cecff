"""SAM and MobileSAM return what upstream returns, and each known mistake is noticed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_cellseg.networks.tiny_vit import WindowAttention
from napari_cellseg.prompts.framing import Frame
from napari_cellseg.prompts.sam import padded_square
from napari_cellseg.prompts.sam_parts import MEAN, SPREAD
from prompts.parity_check import TOLERANCE, assert_close


@pytest.fixture(scope="module")
def sam(parity: Callable[..., Any]) -> Any:
    return parity("sam", "sam_vit_b", "sam_vit_b")


@pytest.fixture(scope="module")
def mobile(parity: Callable[..., Any]) -> Any:
    return parity("mobile-sam", "mobile_sam_vit_t", "mobile_sam_vit_t")


def cases(fixture: Any) -> dict[str, Any]:
    first = fixture.decode(True, points=fixture.points, labels=fixture.labels)
    return {
        "points": first,
        "one_point_single": fixture.decode(
            False, points=fixture.points[:1], labels=fixture.labels[:1]
        ),
        "box": fixture.decode(False, box=fixture.box),
        "box_points_multi": fixture.decode(
            True, points=fixture.points, labels=fixture.labels, box=fixture.box
        ),
        "refine": fixture.decode(
            False, points=fixture.points, labels=fixture.labels, mask=first.logits[0]
        ),
    }


def test_sam(sam: Any) -> None:
    image = sam.embedding.features["image"].numpy()
    assert np.abs(image[::8, ::2, ::2] - sam.expected["embedding_sub"]).max() < TOLERANCE
    for name, proposal in cases(sam).items():
        assert_close(sam, name, proposal)
    assert sam.predictor.title == "SAM (vit_b)"


def test_mobile_sam(mobile: Any) -> None:
    image = mobile.embedding.features["image"].numpy()
    assert np.abs(image[::8, ::2, ::2] - mobile.expected["embedding_sub"]).max() < TOLERANCE
    found = cases(mobile)
    for name in ("points", "box"):
        assert_close(mobile, name, found[name])


def moved(fixture: Any, proposal: Any) -> float:
    """How far the masks lie from the expected ones of the two points."""
    expected = fixture.expected["points.low_res"]
    order = np.argsort(-fixture.expected["points.iou"], kind="stable")
    return float(np.abs(proposal.logits - expected[order]).max())


def test_points_are_x_y(mobile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Frame.xy
    monkeypatch.setattr(Frame, "xy", lambda self, places: right(self, places)[:, ::-1])
    assert moved(mobile, cases(mobile)["points"]) > 0.5


def test_the_half_pixel_is_added_once(mobile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Frame((300, 400), "pad").xy(np.array([[80.0, 120.0]])).tolist() == [[307.2, 204.8]]
    right = Frame.xy
    monkeypatch.setattr(Frame, "xy", lambda self, places: right(self, places) + 0.5)
    assert moved(mobile, cases(mobile)["points"]) > 5 * TOLERANCE


def test_a_negative_point_is_not_positive(mobile: Any) -> None:
    wrong = mobile.decode(True, points=mobile.points, labels=[1, 1])
    assert moved(mobile, wrong) > 0.5


def test_points_alone_get_a_padding_token(mobile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    tokens = mobile.predictor._tokens
    right = tokens.decode

    def watched(ready: Any, sparse: Any, masks: slice) -> Any:
        counts.append(len(sparse))
        return right(ready, sparse, masks)

    monkeypatch.setattr(tokens, "decode", watched)
    cases(mobile)
    assert counts == [3, 2, 2, 4, 3]
    monkeypatch.setattr(tokens, "decode", lambda r, sparse, masks: right(r, sparse[:-1], masks))
    assert moved(mobile, cases(mobile)["points"]) > 5 * TOLERANCE


def test_the_three_masks_are_not_the_single_one(mobile: Any) -> None:
    single = mobile.decode(False, points=mobile.points, labels=mobile.labels)
    several = mobile.decode(True, points=mobile.points, labels=mobile.labels)
    assert (len(single), len(several)) == (1, 3)
    assert np.abs(several.logits - single.logits).max((1, 2)).min() > 0.1
    assert (np.diff(several.scores) <= 0).all()


def test_a_mask_prompt_is_logits(mobile: Any) -> None:
    first = cases(mobile)["points"].logits[0]
    prompt = {"points": mobile.points, "labels": mobile.labels}
    right = mobile.decode(False, mask=first, **prompt).logits
    wrong = mobile.decode(False, mask=1 / (1 + np.exp(-first)), **prompt).logits
    assert np.abs(right - wrong).max() > 20 * TOLERANCE


def test_the_input_is_rgb_normalised_then_padded() -> None:
    red = np.zeros((30, 40, 3), np.uint8)
    red[..., 0] = 255
    square = padded_square(red, Frame((30, 40), "pad"))
    assert square.shape == (3, 1024, 1024)
    inside = [(255 * (i == 0) - MEAN[i]) / SPREAD[i] for i in range(3)]
    assert square[:, 100, 100].tolist() == pytest.approx(inside, abs=1e-5)
    # padded first, black would have become −mean/spread
    assert not square[:, 768:].any()


def test_a_padded_mask_is_cropped_before_it_is_resized(mobile: Any) -> None:
    proposal = cases(mobile)["box"]
    low = torch.from_numpy(proposal.logits)[None]

    def resized(values: Any) -> NDArray[np.bool_]:
        out = F.interpolate(values, (300, 400), mode="bilinear", align_corners=False)
        return np.asarray(out[0] > 0)

    large = F.interpolate(low, (1024, 1024), mode="bilinear", align_corners=False)
    assert (resized(large[..., :768, :]) != proposal.masks).sum() <= 12
    assert (resized(large) != proposal.masks).mean() > 0.01  # not cropped
    assert (resized(low[..., :192, :]) != proposal.masks).mean() > 1e-4  # in one step


def test_attention_biases_follow_the_weights() -> None:
    """Upstream copies them when the module is switched to evaluation, and keeps the old ones."""
    attention = WindowAttention(8, 2, 3).eval()
    before = attention(torch.ones(1, 9, 8))
    state = attention.state_dict()
    state["attention_biases"] = torch.randn(2, 9)
    attention.load_state_dict(state)
    attention.qkv.weight.data.normal_()
    x = torch.randn(1, 9, 8)
    late = attention(x)
    attention.attention_biases.data.zero_()
    assert not torch.allclose(late, attention(x))
    assert before.shape == late.shape
    # the bias of a pair depends on how far apart it is, along rows and columns
    attention.attention_biases.data = torch.arange(18.0).view(2, 9)
    assert attention.biases()[0, 0].tolist() == list(range(9))
    assert attention.biases()[0, 8].tolist() == list(range(8, -1, -1))
