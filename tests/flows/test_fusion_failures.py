"""Two failures of fused 2D flows that users of other programs report, and that must not come back.

A network that knows the truth labels each plane (its flows are exact, or blurred, or striped, as
said), so that what goes wrong is the fusion's fault. Each failure is shown with the naive way too.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from benchmarks.synthetic import recovered, touching_ellipsoids
from scipy import ndimage

from napari_cellseg.flows import FlowField, fuse, instances, label_flows
from napari_cellseg.flows.grid import Grid
from napari_cellseg.flows.resample import resize_planes

Spacing = tuple[float, float, float]


@dataclass
class Oracle:
    """Planes hold instance ids; those with `depth` rows have z along their rows.

    `blur` (pixels) is along z; `stripes` is the strength of a ripple in dz of the planes' period.
    """

    depth: int
    blur: float = 0.0
    stripes: float = 0.0
    period: float | None = None  # in rows; by default as long as a plane is thick

    def planes(self, planes: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        seen = [
            np.minimum((np.arange(m) + 0.5) * n / m, n - 1).astype(int)
            for n, m in zip(planes.shape[1:], shape, strict=True)
        ]
        out = np.empty((len(planes), 3, *shape), np.float32)
        for into, plane in zip(out, planes.numpy().round().astype(np.int32), strict=True):
            labels = np.ascontiguousarray(plane[np.ix_(*seen)])
            into[:2] = label_flows(labels, (1.0, 1.0))
            into[2] = np.where(labels > 0, 5.0, -5.0)
        if planes.shape[1] == self.depth:
            out = self._damaged(out, self.period or shape[0] / self.depth)
        return resize_planes(torch.from_numpy(out), (planes.shape[1], planes.shape[2]))

    def _damaged(self, out: np.ndarray, period: float) -> np.ndarray:
        if self.blur:
            out = ndimage.gaussian_filter1d(out, self.blur, axis=2)
        if self.stripes:
            phase = 2 * np.pi * (np.arange(out.shape[2]) + 0.5) / period
            out[:, 0] += self.stripes * np.sin(phase)[:, None] * (out[:, 2] > 0)
        return out


@pytest.fixture(autouse=True)
def _ask_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fuse, "predict_planes", lambda oracle, planes, shape: oracle.planes(planes, shape)
    )
    monkeypatch.setattr(fuse, "batch_size", lambda oracle, shape: 16)


def fused(truth: np.ndarray, spacing: Spacing, oracle: Oracle, fusion: str) -> FlowField:
    """The field that the engine makes of what the oracle says."""
    grid = Grid(truth.shape, spacing, 1.0)
    volume = torch.from_numpy(truth.astype(np.float16))
    flow, logits, _ = fuse.predict_field(oracle, volume, grid, lambda pixels: None, fusion)
    return FlowField(flow.numpy(), logits.numpy(), spacing)


def ap(truth: np.ndarray, labels: np.ndarray) -> float:
    return recovered(truth, labels, 0.5)[1]


@pytest.mark.parametrize("fusion", ["mean", "weighted"])
def test_stripes_between_coarse_planes_make_no_rings(fusion: str) -> None:
    """Cellpose issue 1398: a stack is enlarged along z as a whole, and falls into slabs and rings.

    The network takes interpolated planes for layers, so dz points back to the middle of each.
    """
    factor = 6
    truth = touching_ellipsoids((72, 60, 60), radius=9.0, anisotropy=factor, seed=1)
    ours = fused(truth, (factor, 1.0, 1.0), Oracle(len(truth), stripes=2.0), fusion)
    assert ap(truth, instances(ours)) > 0.9

    tall = np.repeat(truth, factor, 0)
    oracle = Oracle(len(tall), stripes=2.0, period=factor)
    wide = fused(tall, (1.0, 1.0, 1.0), oracle, "mean")
    summed = FlowField(2 * wide.flow, wide.logits, (1.0, 1.0, 1.0))
    naive = instances(summed)[factor // 2 :: factor]
    assert ap(truth, naive) < 0.4
    assert np.unique(naive).size > 2 * np.unique(truth).size


@pytest.mark.parametrize("fusion", ["mean", "weighted"])
def test_cells_on_top_of_each_other_are_not_merged(fusion: str) -> None:
    """u-Segment3D issue 6: cells of few, blurred planes are merged along z.

    A step of the summed flow that is as long along z as in the plane leaves the cell.
    """
    factor = 9
    y, x = np.ogrid[:48, :48]
    truth = np.zeros((8, 48, 48), np.int32)
    for layer in range(4):
        for number, (row, col) in enumerate([(12, 12), (12, 35), (35, 12), (35, 35)], 1):
            inside = (y - row) ** 2 + (x - col) ** 2 <= 81
            truth[2 * layer : 2 * layer + 2, inside] = 4 * layer + number
    ours = fused(truth, (factor, 1.0, 1.0), Oracle(len(truth), blur=4.0), fusion)
    assert ap(truth, instances(ours)) == 1.0

    naive = instances(FlowField(2 * ours.flow, ours.logits, (1.0, 1.0, 1.0)))
    assert ap(truth, naive) == 0.0
    assert np.unique(naive).size - 1 == 4  # columns instead of cells
