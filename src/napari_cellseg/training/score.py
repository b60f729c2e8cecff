"""Score a flow network on the images that it was never trained on."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_cellseg.evaluation import evaluate
from napari_cellseg.flows import segment
from napari_cellseg.networks import FlowNetwork
from napari_cellseg.training.samples import LabelledImage, median_diameter, read_labelled_images
from napari_cellseg.volume import Volume, as_volume

THRESHOLDS = (0.5, 0.75, 0.9)
#: Stacks that nothing was trained on: name, stem below the data folder, spacing (z, y, x) in µm.
STACKS = (
    ("embryo nuclei", "qcanet_mouse_embryo_3d/16_cell_stage", (1.75, 0.8, 0.8)),
    ("ovule nuclei", "plantseg_ovule_nuclei_3d/ovule_nuclei_1135", (0.284, 0.127, 0.127)),
    ("rendered worm nuclei", "stardist_samples/worm3d", (1.0, 1.0, 1.0)),
)


def _as_volume(image: Any) -> Volume:
    if image.ndim == 3 and image.shape[-1] == 3:
        return Volume(np.moveaxis(image, -1, 0), "cyx", rgb=True)
    return as_volume(image)


def score_planes(
    network: FlowNetwork, images: Iterable[LabelledImage], estimated: bool = False
) -> dict[str, dict[str, float]]:
    """Mean AP per kind of held-out image.

    Parameters
    ----------
    network : FlowNetwork
    images : iterable of LabelledImage
    estimated : bool
        Estimate the diameter instead of taking the median of the true instances.

    Returns
    -------
    dict
        By kind: number of images and mean AP at 0.5, 0.75 and 0.9.
    """
    rows = defaultdict(list)
    for item in images:
        if not item.held:
            continue
        diameter = None if estimated else max(median_diameter(item.labels), 3.0)
        result = segment(_as_volume(item.image), network, diameter=diameter)
        ap = evaluate(result.labels, item.labels)["ap"]
        rows[item.kind].append([ap[t] for t in THRESHOLDS])
    return {
        kind: {
            "images": len(values),
            **{
                f"AP@{threshold}": round(float(mean), 4)
                for threshold, mean in zip(THRESHOLDS, np.mean(values, 0), strict=True)
            },
        }
        for kind, values in rows.items()
    }


def stack_diameter(labels: Any, spacing: tuple[float, float, float]) -> float:
    """Median diameter of the spheres with the instances' volumes, in the unit of ``spacing``."""
    sizes = np.bincount(labels.ravel())[1:]
    sizes = sizes[sizes > 0]
    return float(np.median((6 / np.pi * sizes * np.prod(spacing)) ** (1 / 3)))


def score_stacks(
    network: FlowNetwork, data: Path, estimated: bool = False
) -> dict[str, dict[str, float]]:
    """AP of whole stacks, with counts of instances."""
    scores = {}
    for name, stem, spacing in STACKS:
        image = tifffile.imread(data / f"{stem}_image.tif")
        labels = tifffile.imread(data / f"{stem}_label.tif").astype(np.int32)
        diameter = None if estimated else stack_diameter(labels, spacing)
        result = segment(image, network, spacing=spacing, diameter=diameter)
        found = evaluate(result.labels, labels)
        scores[name] = {
            "true": int((np.bincount(labels.ravel())[1:] > 0).sum()),
            "found": len(result.table),
            "diameter": round(float(result.parameters["diameter"]), 2),
            **{f"AP@{t}": round(float(found["ap"][t]), 4) for t in THRESHOLDS},
        }
    return scores


def score(network: FlowNetwork, data: Path) -> dict[str, Any]:
    """All scores, with the true and with the estimated diameter."""
    held = [item for item in read_labelled_images(data) if item.held]
    return {
        "planes": score_planes(network, held),
        "planes, diameter estimated": score_planes(network, held, estimated=True),
        "stacks": score_stacks(network, data),
        "stacks, diameter estimated": score_stacks(network, data, estimated=True),
    }
