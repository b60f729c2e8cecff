"""A user's own model files: which model they are for."""

from pathlib import Path

import pytest

from napari_cellseg.errors import ModelError
from napari_cellseg.widgets.prompt_files import choose

A, B = Path("a.pth"), Path("b.pth")


@pytest.mark.parametrize(
    ("families", "present", "base", "model", "checkpoint"),
    [
        ({A: "mobile-sam"}, "sam", None, "mobile-sam", A),
        ({A: "sam"}, "mobile-sam", None, "sam", A),
        ({A: "sam"}, "medsam", None, "medsam", A),
        ({A: "sam"}, "sam-l", None, "sam-l", A),
        ({A: "pa-sam"}, "sam", None, "pa-sam", A),
        ({A: "pa-sam-decoder", B: "sam"}, "sam", None, "pa-sam", (B, A)),
        ({A: "pa-sam-decoder"}, "sam", B, "pa-sam", (B, A)),
    ],
)
def test_the_model_follows_from_the_files(families, present, base, model, checkpoint):
    chosen = choose(families, present, base)
    assert (chosen.model, chosen.checkpoint) == (model, checkpoint)


def test_a_file_of_sam_may_be_medsams_and_that_is_said():
    for present in ("mobile-sam", "sam", "medsam"):
        assert "MedSAM" in choose({A: "sam"}, present, None).note


@pytest.mark.parametrize(
    ("families", "hint"),
    [
        ({A: "sam2"}, "SAM 2"),
        ({A: "unknown"}, "unknown kind"),
        ({A: "pa-sam-decoder"}, "together with it"),
        ({A: "sam", B: "mobile-sam"}, "one model file"),
    ],
)
def test_others_are_refused_with_a_sentence(families, hint):
    with pytest.raises(ModelError, match=hint):
        choose(families, "sam", None)
