import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.framing import Frame
from napari_cellseg.prompts.mask_prompt import mask_logits

sides = st.integers(1, 1200)


@given(sides, sides, st.sampled_from(["pad", "stretch"]), st.integers(0, 99))
def test_a_box_of_pixels_covers_its_share(rows: int, cols: int, framing: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = Frame((rows, cols), framing)
    mask = np.zeros((rows, cols), bool)
    r, c = sorted(rng.integers(0, rows, 2)), sorted(rng.integers(0, cols, 2))
    mask[r[0] : r[1] + 1, c[0] : c[1] + 1] = True
    logits = mask_logits(mask, frame)
    assert logits.shape == (256, 256)
    assert logits.dtype == np.float32
    share = 1 / (1 + np.exp(-logits.astype(np.float64)))
    area = mask.sum() * np.prod(np.array(frame.resized) / frame.shape) / 16
    assert abs(share.sum() - area) < 0.002 * 65536 + 0.01 * area


def test_covered_is_sure_and_the_rest_is_not() -> None:
    mask = np.zeros((512, 1024), bool)
    mask[100:200, 300:400] = True
    logits = mask_logits(mask, Frame(mask.shape, "pad"))
    inside = np.zeros((256, 256), bool)
    inside[25:50, 75:100] = True
    assert (logits[inside] > 6).all()
    assert (logits[~inside] < -6).all()


def test_logits_pass_through() -> None:
    logits = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    assert mask_logits(logits, Frame((9, 9), "pad")) is logits
    with pytest.raises(InputError, match=r"\(64, 64\)"):
        mask_logits(logits[:64, :64], Frame((9, 9), "pad"))
