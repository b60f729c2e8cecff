"""Everything in planes that a model sees in tiles, or with other pixels."""

import numpy as np
import pytest

from napari_cellseg.prompts.embedding_cache import EmbeddingCache
from napari_cellseg.prompts.everything_plane import everything_in
from napari_cellseg.prompts.plane_prompter import PlanePrompter
from prompts.tiny_predictor import TinyPredictor

RULES = {"least_stability": 0.0, "least_score": 0.8}


def prompter_of(image, tmp_path, **more):
    return PlanePrompter(TinyPredictor(), EmbeddingCache(tmp_path), image, **more)


def discs(shape, places, radius):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape, np.uint8)
    for row, col in places:
        image[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = 200
    return image


def test_tiles_find_what_one_view_finds(tmp_path):
    places = [(30, 30), (60, 128), (128, 128), (200, 60), (220, 220), (128, 40)]
    image = discs((256, 256), places, 10)
    whole = everything_in(prompter_of(image, tmp_path), diameter=20, **RULES)
    tiled = prompter_of(image, tmp_path, largest=160, tile=128, halo=48)
    assert len(tiled.grid) > 1
    found = everything_in(tiled, diameter=20, **RULES)
    assert len(found) == len(whole) == len(places)
    both = (found.labels > 0) & (whole.labels > 0)
    assert both.sum() > 0.95 * (whole.labels > 0).sum()


def test_oblong_pixels(tmp_path):
    image = np.zeros((20, 100), np.uint8)
    image[4:8, 10:26] = 200  # round, where a row is four columns high
    image[12:16, 60:76] = 200
    prompter = prompter_of(image, tmp_path, pixel=(4.0, 1.0))
    found = everything_in(prompter, diameter=16, **RULES)
    assert found.labels.shape == image.shape
    assert len(found) == 2
    table = {tuple(np.rint([row["row0"], row["col0"]]).astype(int)) for row in found.table}
    assert all(min(abs(r - 4) + abs(c - 10), abs(r - 12) + abs(c - 60)) <= 2 for r, c in table)
    for row in found.table:
        assert row["size"] == np.count_nonzero(found.labels == row["id"])
    truth = image > 0
    assert ((found.labels > 0) & truth).sum() > 0.85 * ((found.labels > 0) | truth).sum()


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (3.0, 1.0)])
def test_taken_pixels_stay(tmp_path, pixel):
    image = discs((60, 120), [(30, 30), (30, 90)], 12)
    taken = np.zeros(image.shape, bool)
    taken[:, :60] = True
    found = everything_in(
        prompter_of(image, tmp_path, pixel=pixel), taken, points_per_side=16, **RULES
    )
    assert len(found) >= 1
    assert not found.labels[taken].any()


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (3.0, 1.0)])
def test_crops_of_the_plane_are_encoded_as_the_plane_is(tmp_path, pixel):
    image = discs((66, 130), [(20, 30), (40, 100)], 12)
    prompter = prompter_of(image, tmp_path, pixel=pixel)
    found = everything_in(prompter, points_per_side=12, crop_layers=1, **RULES)
    assert len(prompter.predictor.encoded) == 5
    assert len(found) == 2
    assert ((found.labels > 0) & (image > 0)).sum() > 0.85 * (image > 0).sum()
