"""Cells with the field and the image that they would give."""

import numpy as np
from scipy import ndimage as ndi

import napari_cellseg as nc
from napari_cellseg.flows import label_flows
from napari_cellseg.labels.review import Evidence


def cells(shape=(96, 96), step=16, radius=6.0, seed=0) -> np.ndarray:
    """Round cells on a bent grid; ids from 1."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.indices(shape), -1).astype(float)
    labels = np.zeros(shape, np.uint32)
    centres = np.stack(np.meshgrid(*[np.arange(step // 2, n, step) for n in shape]), -1)
    for number, centre in enumerate(centres.reshape(-1, len(shape)), 1):
        middle = centre + rng.uniform(-1, 1, len(shape))
        size = radius * rng.uniform(0.9, 1.1)
        labels[(((grid - middle) ** 2).sum(-1) < size**2) & (labels == 0)] = number
    return labels


def evidence_of(truth: np.ndarray, **more) -> Evidence:
    """Field and image of true labels, without time."""
    flow = label_flows(truth, (1.0, 1.0, 1.0), threads=1)
    inside = ndi.gaussian_filter((truth > 0).astype(np.float32), 0.7)
    noise = np.random.default_rng(1).normal(0, 0.03, truth.shape)
    field = nc.FlowField(flow, 10 * inside - 5, (1.0, 1.0, 1.0))
    image = (100 * (inside + noise)).astype(np.float32)
    return Evidence(field=field, image=image, **more)
