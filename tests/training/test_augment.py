import numpy as np
import pytest
import torch

from napari_cellseg.training.augment import CropSampler
from napari_cellseg.training.samples import Sample, prepare


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    out = []
    for kind in ("fluo", "phase"):
        labels = np.zeros((160, 200), np.int32)
        for index, (r, c) in enumerate(
            ((r, c) for r in range(12, 150, 30) for c in range(12, 190, 30)), 1
        ):
            y, x = np.ogrid[:160, :200]
            labels[(y - r) ** 2 + (x - c) ** 2 < 11**2] = index
        image = rng.normal(10, 1, labels.shape) + 80 * (labels > 0)
        out.append(prepare(kind, kind, 1, image, labels))
    return out


def test_batches_are_finite_and_aligned(samples: list[Sample]) -> None:
    planes, flow, cell, weight = CropSampler(samples, crop=96, seed=3).batch(12)
    assert planes.shape == (12, 1, 96, 96)
    assert flow.shape == (12, 2, 96, 96)
    assert planes.isfinite().all()
    assert set(cell.unique().tolist()) <= {0.0, 1.0}
    length = flow.norm(dim=1)
    assert not length[cell == 0].any()
    assert (length[cell == 1] > 0.99).float().mean() > 0.97
    assert float(weight.min()) == 1.0
    # cells stay brighter than what is around them in nearly every crop
    brighter = [
        float(p[0][c == 1].mean()) > float(p[0][c == 0].mean())
        for p, c in zip(planes, cell, strict=True)
        if 0 < c.mean() < 1
    ]
    assert np.mean(brighter) > 0.8


def test_flow_still_points_to_the_centre_after_turning_and_stretching(
    samples: list[Sample],
) -> None:
    sampler = CropSampler(samples, crop=128, seed=5)
    cosines = []
    for _ in range(8):
        _, flow, cell, _ = sampler.batch(1)
        from skimage.measure import label, regionprops

        for region in regionprops(label(cell[0].numpy() > 0)):
            r0, c0, r1, c1 = region.bbox
            if region.area < 60 or r0 == 0 or c0 == 0 or r1 == 128 or c1 == 128:
                continue
            if region.solidity < 0.93:  # two cells that touch
                continue
            where = region.coords
            offset = np.array(region.centroid) - where
            far = np.linalg.norm(offset, axis=1) > 2
            got = flow[0][:, where[:, 0], where[:, 1]].numpy().T[far]
            offset = offset[far] / np.linalg.norm(offset[far], axis=1, keepdims=True)
            cosines.append((got * offset).sum(1).mean())
    assert len(cosines) > 10
    assert np.mean(cosines) > 0.9


def test_the_same_seed_draws_the_same_crops(samples: list[Sample]) -> None:
    first = CropSampler(samples, seed=7).batch(3)
    again = CropSampler(samples, seed=7).batch(3)
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b)
