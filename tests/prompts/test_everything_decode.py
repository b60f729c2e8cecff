"""Many points on one embedding, on a SAM small enough to be quick."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_cellseg.errors import Cancelled, InputError, ModelError
from napari_cellseg.prompts import Embedding, Prompt, load_predictor
from napari_cellseg.prompts.everything import everything
from napari_cellseg.prompts.everything_decode import _at_once, decode_points
from napari_cellseg.prompts.framing import Frame
from napari_cellseg.prompts.registry import predictor_info
from napari_cellseg.prompts.sam_parts import SamParts, vit_encoder

POINTS = np.array([(3.0, 4.0), (60.0, 90.5), (119.4, 0.0), (-0.5, 179.0)])


def test_each_point_is_answered_as_a_click_is(small_sam: Any, small_embedding: Embedding) -> None:
    found = decode_points(small_sam, small_embedding, POINTS, -np.inf)
    assert found.logits.shape == (12, 256, 256)
    assert found.source.tolist() == np.repeat(np.arange(4), 3).tolist()
    for index, point in enumerate(POINTS):
        mine = np.flatnonzero(found.source == index)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")]
        click = small_sam.decode(small_embedding, Prompt(points=[point]))
        np.testing.assert_allclose(found.scores[mine], click.scores, atol=1e-6)
        np.testing.assert_allclose(found.logits[mine], click.logits, atol=1e-5)


def test_only_well_rated_masks_are_made(small_sam: Any, small_embedding: Embedding) -> None:
    every = decode_points(small_sam, small_embedding, POINTS, -np.inf)
    least = float(np.sort(every.scores)[-6:-4].mean())  # between two: rounding may not decide
    some = decode_points(small_sam, small_embedding, POINTS, least)
    good = every.scores >= least
    assert len(some.scores) == 5
    assert np.array_equal(some.source, every.source[good])
    np.testing.assert_allclose(some.logits, every.logits[good], atol=1e-5)
    none = decode_points(small_sam, small_embedding, POINTS, 1e6)
    assert none.logits.shape == (0, 256, 256)


@torch.inference_mode()
def test_a_batch_gives_the_same_as_one_by_one(small_sam: Any, small_embedding: Embedding) -> None:
    in_turn = decode_points(small_sam, small_embedding, POINTS, -np.inf)
    least = float(np.sort(in_turn.scores)[-6:-4].mean())  # between two: rounding may not decide
    xy = small_sam._xy(POINTS, Frame(small_embedding.shape, "pad"))[:, None]
    ones = torch.ones(len(POINTS), 1, dtype=torch.int64)
    sparse, _ = small_sam.parts.prompt_encoder(points=(xy, ones), boxes=None, masks=None)
    image = small_sam._ready(small_embedding).image
    for limit in (-np.inf, least, 1e6):
        found = _at_once(small_sam._tokens, image, sparse, slice(1, None), limit)
        good = in_turn.scores >= limit
        assert np.array_equal(found.source, in_turn.source[good])
        assert found.logits.shape == (np.count_nonzero(good), 256, 256)
        np.testing.assert_allclose(found.scores, in_turn.scores[good], atol=1e-5)
        np.testing.assert_allclose(found.logits, in_turn.logits[good], atol=1e-4)


def test_a_model_with_one_mask_per_point() -> None:
    from napari_cellseg.prompts.pa_sam import PaSamPredictor, pa_mask_decoder

    torch.manual_seed(0)
    encoder = vit_encoder({"img_size": 1024, "embed_dim": 16, "depth": 1, "num_heads": 1})
    parts = SamParts(encoder, pa_mask_decoder()).eval().requires_grad_(False)
    predictor = PaSamPredictor(predictor_info("pa-sam"), parts, "0", "stretch")
    features = {"image": torch.randn(256, 64, 64), "guiding": torch.randn(256, 64, 64)}
    embedding = Embedding("pa-sam", "0", (120, 180), "stretch", features)
    found = decode_points(predictor, embedding, POINTS[:2], -np.inf)
    assert found.source.tolist() == [0, 1]
    click = predictor.decode(embedding, Prompt(points=[POINTS[1]]))
    np.testing.assert_allclose(found.scores[1:], click.scores, atol=1e-5)
    np.testing.assert_allclose(found.logits[1:], click.logits, atol=1e-4)


def test_what_does_not_fit_is_refused(
    small_sam: Any, small_embedding: Embedding, small_file: Path
) -> None:
    with pytest.raises(InputError, match="outside"):
        decode_points(small_sam, small_embedding, np.array([(3.0, 3.0), (120.0, 3.0)]), 0)
    foreign = replace(small_embedding, fingerprint="other")
    with pytest.raises(InputError, match="another model"):
        decode_points(small_sam, foreign, POINTS, 0)
    medsam = load_predictor("medsam", small_file, "cpu")
    with pytest.raises(InputError, match="takes no points"):
        everything(medsam, replace(small_embedding, family="medsam", framing="stretch"))


def test_a_damaged_embedding_is_reported(small_sam: Any, small_embedding: Embedding) -> None:
    image = small_embedding.features["image"].clone()
    image[7, 3, 3] = torch.nan
    damaged = replace(small_embedding, features={"image": image})
    with pytest.raises(ModelError, match=r"answered NaN for the point \(3, 4\)"):
        decode_points(small_sam, damaged, POINTS, 0.88)


def test_cancel_is_polled_between_points(small_sam: Any, small_embedding: Embedding) -> None:
    cancel = threading.Event()

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.2:
            cancel.set()

    with pytest.raises(Cancelled):
        everything(
            small_sam, small_embedding, points_per_side=4, batch=1, progress=stop, cancel=cancel
        )


def test_the_whole_way(small_sam: Any, small_embedding: Embedding) -> None:
    taken = np.zeros((120, 180), bool)
    taken[30:60, 30:90] = True
    found = everything(
        small_sam, small_embedding, taken=taken, points_per_side=4, least_score=-9,
        least_stability=0, max_size=120 * 180,
    )  # fmt: skip
    assert found.labels.shape == (120, 180)
    assert not found.labels[taken].any()
    assert np.unique(found.labels).tolist() == list(range(len(found) + 1))
