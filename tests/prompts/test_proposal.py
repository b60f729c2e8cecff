"""A mask in its region is what the whole plane's interpolation gives there, and nothing is lost."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_cellseg.prompts import Proposal
from napari_cellseg.prompts.framing import Frame

sides = st.integers(1, 1500)


def reference(logits: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """As upstream does it: the whole plane, through 1024² where it was padded."""
    values = torch.from_numpy(logits)[None]
    if frame.framing == "pad":
        values = F.interpolate(values, (1024, 1024), mode="bilinear", align_corners=False)
        values = values[..., : frame.resized[0], : frame.resized[1]]
    out = F.interpolate(values, frame.shape, mode="bilinear", align_corners=False)
    return np.asarray(out[0])


def blobs(seed: int, threshold: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(size=(1, 1, 9, 9)).astype(np.float32))
    smooth = F.interpolate(coarse, (256, 256), mode="bicubic", align_corners=False)
    return np.asarray(smooth[0]) - np.float32(threshold)


@given(sides, sides, st.sampled_from(["pad", "stretch"]), st.integers(0, 9), st.floats(-1, 3))
@settings(deadline=None, max_examples=40)
def test_masks_are_those_of_the_whole_plane(
    rows: int, cols: int, framing: str, seed: int, threshold: float
) -> None:
    frame = Frame((rows, cols), framing)
    logits = blobs(seed, threshold)
    proposal = Proposal(np.ones(1, np.float32), logits, frame)
    expected = reference(logits, frame)
    clear = np.abs(expected) > 1e-4
    assert proposal.masks.shape == (1, rows, cols)
    assert ((expected > 0) == proposal.masks)[clear].all()


def test_a_region_is_the_mask_and_its_bounding_box() -> None:
    frame = Frame((300, 400), "pad")
    logits = np.full((2, 256, 256), -4, np.float32)
    logits[0, 40:60, 100:130] = 4
    proposal = Proposal(np.array([0.9, 0.1], np.float32), logits, frame)
    (rows, cols), mask = proposal.region()
    assert mask.shape == (rows.stop - rows.start, cols.stop - cols.start)
    assert mask.any(0).all()
    assert mask.any(1).all()
    assert mask.sum() == proposal.masks[0].sum()
    assert (proposal.masks[0][rows, cols] == mask).all()
    assert rows == slice(63, 94)  # 62.5 … 93.75: 40 … 60 of 256 in a square of 400 rows
    place, nothing = proposal.region(-1)
    assert nothing.shape == (0, 0)
    assert proposal.masks[1][place].size == 0
    assert not proposal.masks[1].any()
    assert (len(proposal), proposal.shape) == (2, (300, 400))
    with pytest.raises(IndexError):
        proposal.region(2)


def test_a_region_is_computed_once() -> None:
    proposal = Proposal(np.ones(1, np.float32), blobs(1, 0), Frame((64, 64), "pad"))
    assert proposal.region()[1] is proposal.region(0)[1]


@given(st.integers(0, 9))
@settings(deadline=None, max_examples=10)
def test_probabilities_are_blended_where_asked(seed: int) -> None:
    frame = Frame((333, 210), "stretch")
    logits = 200 * blobs(seed, 0.2)  # far beyond what float32 can exponentiate
    proposal = Proposal(np.ones(1, np.float32), logits, frame, "probability")
    expected = reference(np.asarray(torch.from_numpy(logits).sigmoid()), frame)
    clear = np.abs(expected - 0.5) > 1e-5
    assert ((expected > 0.5) == proposal.masks)[clear].all()
    other = replace(proposal, blends="logits", _regions={})
    assert (other.masks != proposal.masks).any()
