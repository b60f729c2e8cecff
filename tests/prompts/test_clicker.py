"""Everything said of an object gives one answer, whatever was shown in between."""

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.clicker import Clicker, PlanePrompts
from napari_cellseg.prompts.embedding_cache import EmbeddingCache
from napari_cellseg.prompts.plane_prompter import NotEncoded, PlanePrompter
from napari_cellseg.prompts.predictor import Capabilities
from prompts.tiny_predictor import TinyPredictor


def plane():
    image = np.zeros((60, 80), np.uint8)
    image[10:20, 10:30] = 200
    image[30:50, 40:60] = 200
    return image


@pytest.fixture
def predictor():
    return TinyPredictor()


def clicker_on(predictor, image, tmp_path, encoded=True):
    prompter = PlanePrompter(predictor, EmbeddingCache(tmp_path), image)
    if encoded:
        prompter.encode()
    return Clicker(prompter)


def test_the_first_prompt_is_asked_alone_and_its_choice_goes_along(predictor, tmp_path):
    clicker = clicker_on(predictor, plane(), tmp_path)
    first = clicker.answer(PlanePrompts(((15, 12),), (1,)))
    assert len(first) == 3
    said = PlanePrompts(((15, 12), (40, 45)), (1, 1), choice=2)
    second = clicker.answer(said)
    assert len(second) == 1
    assert np.array_equal(predictor.decoded[-1].mask, first.refine(2))
    assert second.region()[1].sum() == 200 + 400


def test_the_same_prompts_give_the_same_answer_whatever_came_before(predictor, tmp_path):
    said = PlanePrompts(((15, 12), (40, 45)), (1, 0))
    fresh = clicker_on(predictor, plane(), tmp_path).answer(said)
    used = clicker_on(predictor, plane(), tmp_path)
    used.answer(PlanePrompts(((40, 45),), (1,)))
    used.answer(PlanePrompts(((40, 45), (15, 12)), (1, 1), choice=1))
    again = used.answer(said)
    assert np.array_equal(fresh.region()[1], again.region()[1])
    assert np.array_equal(fresh.scores, again.scores)


def test_the_first_answer_is_asked_once(predictor, tmp_path):
    clicker = clicker_on(predictor, plane(), tmp_path)
    clicker.answer(PlanePrompts(((15, 12), (40, 45)), (1, 1)))
    before = len(predictor.decoded)
    clicker.answer(PlanePrompts(((15, 12), (40, 45), (0, 0)), (1, 1, 0)))
    assert len(predictor.decoded) == before + 1


def test_an_image_painted_on_in_between_is_not_answered_from_what_it_was(predictor, tmp_path):
    image = plane()
    clicker = clicker_on(predictor, image, tmp_path)
    clicker.answer(PlanePrompts(((15, 12), (40, 45)), (1, 1)))
    image[30:40] = 0
    with pytest.raises(NotEncoded):
        clicker.answer(PlanePrompts(((15, 12), (45, 45)), (1, 1)))
    clicker.prompter.encode()
    answer = clicker.answer(PlanePrompts(((15, 12), (45, 45)), (1, 1)))
    assert answer.region()[1].sum() == 200 + 200
    shown = predictor.decoded[-1].mask
    fresh = clicker_on(predictor, image, tmp_path / "other")
    fresh.answer(PlanePrompts(((15, 12), (45, 45)), (1, 1)))
    assert np.array_equal(shown, predictor.decoded[-1].mask)


def test_a_box_with_points_begins_with_the_box(predictor, tmp_path):
    clicker = clicker_on(predictor, plane(), tmp_path)
    answer = clicker.answer(PlanePrompts(((15, 12),), (0,), box=(5, 5, 55, 65)))
    assert answer.region()[1].sum() == 400
    assert predictor.decoded[-2].box is not None
    assert not len(predictor.decoded[-2].points)


def test_a_drawing_for_a_model_that_takes_boxes_only(predictor, tmp_path):
    predictor.capabilities = Capabilities(points=False, mask=False, multimask=False)
    clicker = clicker_on(predictor, plane(), tmp_path)
    drawn = np.zeros((60, 80), bool)
    drawn[12:18, 12:28] = True
    clicker.answer(PlanePrompts(mask=drawn))
    assert predictor.decoded[-1].box == (11.5, 11.5, 17.5, 27.5)
    assert predictor.decoded[-1].mask is None


def test_nothing_said(predictor, tmp_path):
    clicker = clicker_on(predictor, plane(), tmp_path)
    with pytest.raises(InputError, match="positive point or a box"):
        clicker.answer(PlanePrompts(((15, 12),), (0,)))


def test_a_plane_that_is_not_encoded(predictor, tmp_path):
    clicker = clicker_on(predictor, plane(), tmp_path, encoded=False)
    with pytest.raises(NotEncoded):
        clicker.answer(PlanePrompts(((15, 12), (40, 45)), (1, 1)))
    assert not predictor.encoded
