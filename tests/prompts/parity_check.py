"""Compare a proposal with a parity fixture."""

from typing import Any

import numpy as np

TOLERANCE = 1e-3


def assert_close(fixture: Any, case: str, proposal: Any, tolerance: float = TOLERANCE) -> None:
    """Logits, scores and masks of a case, in the order of the scores."""
    expected = fixture.expected
    scores = expected[f"{case}.iou"]
    order = np.argsort(-scores, kind="stable")
    low = expected[f"{case}.low_res"][order]
    step = 256 // low.shape[-1]
    assert np.abs(proposal.logits[:, ::step, ::step] - low).max() < tolerance
    assert np.abs(proposal.scores - scores[order]).max() < tolerance
    if f"{case}.mask_bits" in expected:
        assert (proposal.masks == fixture.bits(f"{case}.mask_bits")[order]).mean() > 0.999
