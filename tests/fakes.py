"""A flow network without weights: it labels bright blobs and flows to their centres."""

import numpy as np
import torch
from skimage.measure import label

from napari_cellseg.flows.label_flows import label_flows


class BlobNetwork:
    """Exact flows of the bright connected components of each plane."""

    name = "blobs"
    title = "blobs"
    licence = "BSD-3-Clause"
    diameter = 16.0
    percentiles = (1.0, 99.8)
    stride = 16
    tile = 256

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.calls: list[tuple[int, ...]] = []

    def to(self, device: str) -> "BlobNetwork":
        return BlobNetwork(device)

    def strangeness(self, planes: torch.Tensor) -> float | None:
        return None

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        self.calls.append(tuple(planes.shape))
        out = np.empty((len(planes), 3, *planes.shape[1:]), np.float32)
        for into, plane in zip(out, planes.cpu().numpy(), strict=True):
            labels = label(plane > 0.5).astype(np.int32)
            into[:2] = label_flows(labels, (1.0, 1.0))
            into[2] = np.clip((plane - 0.5) * 20, -6, 6)
        return torch.from_numpy(out).to(self.device)


def blob_volume(
    shape: tuple[int, int, int] = (32, 64, 64),
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    radius: float = 7.0,
    step: float = 20.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Separate bright balls on a grid: image (float32) and labels (int32), (z, y, x).

    ``radius`` and ``step`` are in the unit of ``spacing``.
    """
    axes = [np.arange(n) * s for n, s in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    labels = np.zeros(shape, np.int32)
    extent = [n * s for n, s in zip(shape, spacing, strict=True)]
    centres = [np.arange(step / 2, length - step / 3, step) for length in extent]
    for index, (cz, cy, cx) in enumerate(
        ((a, b, c) for a in centres[0] for b in centres[1] for c in centres[2]), 1
    ):
        labels[(z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = index
    image = (labels > 0) * 200.0 + 20.0
    return image.astype(np.float32), labels
