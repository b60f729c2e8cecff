"""Rating small masks, and enlarging those that pass."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from segment_anything.utils.amg import calculate_stability_score

from napari_cellseg.prompts import Proposal
from napari_cellseg.prompts.everything_decode import Decoded
from napari_cellseg.prompts.everything_rules import Rules
from napari_cellseg.prompts.everything_view import ViewMasks, stability
from napari_cellseg.prompts.framing import Frame

LOOSE = Rules(least_stability=0.0, duplicate=1.0, max_size=10**9)


@given(arrays(np.float32, (2, 6, 7), elements=st.floats(-3, 3, width=32)))
def test_stability_is_segment_anythings(logits: NDArray[np.float32]) -> None:
    theirs = calculate_stability_score(torch.from_numpy(logits), 0.0, 1.0)
    # where there is no mask at all theirs is NaN
    np.testing.assert_allclose(stability(logits, 1.0), torch.nan_to_num(theirs, 0.0).numpy())


def smooth(seed: int, reach: int) -> NDArray[np.float32]:
    """A few blobs on a negative ground."""
    rng = np.random.default_rng(seed)
    logits = np.full((256, 256), -2, np.float32)
    for row, col in rng.integers(0, 250, (4, 2)):
        size = rng.integers(1, reach)
        logits[row : row + size, col : col + size] += rng.uniform(1, 9)
    return logits


@given(st.integers(0, 999), st.sampled_from([3, 40]), st.sampled_from(["pad", "stretch"]))
@settings(deadline=None, max_examples=25)
def test_a_mask_is_enlarged_as_a_proposals_is(seed: int, reach: int, framing: str) -> None:
    shape, place = (90, 150), (slice(10, 100), slice(20, 170))
    logits = smooth(seed, reach)
    scores = np.ones(1, np.float32)
    masks = ViewMasks(place, (100, 170), framing, "logits", Rules(
        least_stability=0.0, duplicate=1.0, max_size=10**9
    ))  # fmt: skip
    masks.corner = (0, 0)  # else what reaches the border is cut
    masks.add(Decoded(logits[None], scores, np.zeros(1, np.int64)), np.array([(3.0, 4.0)]))
    found = np.zeros(shape, bool)
    for candidate in masks.best():
        found[candidate.piece.place] = candidate.piece.mask
        assert candidate.point == (3, 4)
    expected = Proposal(scores, logits[None], Frame(shape, framing)).masks[0]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ((slice(0, 64), slice(0, 64)), {"top", "left"}),
        ((slice(36, 100), slice(36, 100)), {"bottom", "right"}),
        ((slice(9, 73), slice(9, 73)), set()),
        ((slice(0, 64), slice(9, 73)), {"top"}),
    ],
)
def test_only_the_planes_own_borders_may_cut_a_mask(place: Any, kept: set[str]) -> None:
    touching = {
        "top": (slice(0, 40), slice(100, 140)),
        "left": (slice(100, 140), slice(0, 40)),
        "bottom": (slice(216, 256), slice(100, 140)),
        "right": (slice(100, 140), slice(216, 256)),
        "none": (slice(100, 140), slice(100, 140)),
    }
    logits = np.full((len(touching), 256, 256), -5, np.float32)
    for index, box in enumerate(touching.values()):
        logits[index][box] = 5
    count = len(touching)
    masks = ViewMasks(place, (100, 100), "pad", "logits", LOOSE)
    masks.add(
        Decoded(logits, np.linspace(1, 0.9, count, dtype=np.float32), np.arange(count)),
        np.arange(2.0 * count).reshape(-1, 2),
    )
    names = {
        list(touching)[int(candidate.point[0] - place[0].start) // 2] for candidate in masks.best()
    }
    assert names == kept | {"none"}
