"""The masks that pass are those of segment-anything's own generator."""

import numpy as np
from benchmarks import prompt_everything as bench


def test_masks_that_pass_are_segment_anythings() -> None:
    model, predictor, embedding = bench.models()
    limits = bench.thresholds(predictor, embedding)
    loose = bench.Thresholds(limits.score, 0.0, limits.offset)
    theirs = bench.mask_generator(model, embedding, 2, loose, 1.0)
    agreed = bench.agreement(
        theirs.generate(np.zeros((bench.SIDE, bench.SIDE, 3), np.uint8)),
        bench.passing(predictor, embedding, 2, loose),
    )
    assert agreed["masks"]["theirs"] > 1
    assert agreed["same"] == 1
    assert agreed["iou"]["least"] > 0.999
