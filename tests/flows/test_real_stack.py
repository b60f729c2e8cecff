"""The whole way on the bundled stack, with the bundled network."""

import numpy as np
import pytest

import napari_cellseg as nc
from napari_cellseg.sample import sample_path


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_the_embryo_has_at_most_two_errors_however_coarse_z_is(step: int) -> None:
    image, truth = (nc.read_volume(path) for path in sample_path("embryo"))
    z, y, x = image.spacing
    coarse = np.asarray(image.stack())[step // 2 :: step]
    result = nc.segment(coarse, spacing=(z * step, y, x), diameter=15.3, device="cpu")
    wanted = np.asarray(truth.stack())[step // 2 :: step].astype(np.int32)
    scores = nc.evaluate(result.labels, wanted, thresholds=(0.5,))
    assert scores["fp"][0.5] + scores["fn"][0.5] <= 2
    assert not any("unlike" in notice or "sure of" in notice for notice in result.notices)
