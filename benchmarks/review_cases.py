"""Cases of the review study: real images, and what the built-in model makes of them.

Fields and labels are kept in a folder, so that the network runs once. Images that the network was
trained on are the training side of the review score too; whole kinds of images are held out from
both (`napari_cellseg.training.kinds`), and no stack was ever trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

import napari_cellseg as nc
from napari_cellseg.networks import FlowNetwork

#: Stacks: name, stem, spacing in µm.
STACKS = (
    ("embryo nuclei 3D", "qcanet_mouse_embryo_3d/16_cell_stage", (1.75, 0.8, 0.8)),
    ("ovule nuclei 3D", "plantseg_ovule_nuclei_3d/ovule_nuclei_1135", (0.284, 0.127, 0.127)),
)
#: Rendered stacks, the only ones to train on: how many, and the seed of the first.
RENDERED = 8
SEED = 20261121


@dataclass(frozen=True, eq=False)
class Case:
    """An image with its truth, the field of the built-in model and the labels that it gave.

    Attributes
    ----------
    name, kind : str
    group : int
        Images of one group look alike; intervals resample groups.
    held : bool
        Never trained on: neither the network nor the score.
    image : array of float32, ([z,] y, x)
    truth, labels : array of uint32, ([z,] y, x)
    field : FlowField
    spacing : tuple of float
        (z, y, x) in µm, 1 where it is not known.
    """

    name: str
    kind: str
    group: int
    held: bool
    image: NDArray[np.float32]
    truth: NDArray[np.uint32]
    labels: NDArray[np.uint32]
    field: nc.FlowField
    spacing: tuple[float, float, float]


def read_cases(data: Path, cache: Path) -> Iterator[Case]:
    """Read every case; what the cache lacks is segmented first.

    Parameters
    ----------
    data : Path
        The shared data.
    cache : Path
        Where fields and labels are kept.
    """
    from napari_cellseg.training.rendered import render_image, render_labels
    from napari_cellseg.training.samples import grey, read_labelled_images

    network = _Network()
    spacing: tuple[float, float, float]
    for item in read_labelled_images(data):
        spacing = (1.0, 1.0, 1.0)
        yield _case(
            item.name, item.kind, item.group, item.held,
            grey(item.image), item.image, item.labels, spacing, cache, network,
        )  # fmt: skip
    for number, (name, stem, spacing) in enumerate(STACKS):
        image = tifffile.imread(data / f"{stem}_image.tif")
        truth = tifffile.imread(data / f"{stem}_label.tif")
        yield _case(
            Path(stem).name, name, number, True,
            image.astype(np.float32), image, truth, spacing, cache, network,
        )  # fmt: skip
    for number in range(RENDERED):
        thick = 1 + number % 2
        rng = np.random.default_rng(SEED + number)
        truth = render_labels(rng, (48, 96, 96), rng.uniform(7, 11), rng.uniform(0.4, 1.1))
        image = render_image(rng, truth)[::thick]
        yield _case(
            f"rendered-{number}", "rendered 3D", number, False,
            image, image, truth[::thick], (float(thick), 1.0, 1.0), cache, network,
        )  # fmt: skip


class _Network:
    """The built-in network, loaded when the first field is not in the cache."""

    def __init__(self) -> None:
        self._loaded: FlowNetwork | None = None

    def __call__(self) -> FlowNetwork:
        if self._loaded is None:
            self._loaded = nc.load_network("builtin", device="cpu")
        return self._loaded


def _case(
    name: str, kind: str, group: int, held: bool, image: NDArray[np.float32],
    shown: NDArray[np.generic], truth: NDArray[np.generic],
    spacing: tuple[float, float, float], cache: Path, network: _Network,
) -> Case:  # fmt: skip
    file = cache / f"{kind.replace(' ', '-')}-{name}.npz"
    if not file.exists():
        rgb = shown.ndim == 3 and shown.shape[-1] in (3, 4) and kind != "phase" and "3D" not in kind
        found = nc.segment(
            shown[..., :3] if rgb else shown,
            network(),
            axes="yxs" if rgb else None,
            spacing=spacing if "3D" in kind else None,
        )
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial.npz")
        np.savez_compressed(
            partial,
            flow=found.field.flow.astype(np.float16),
            logits=found.field.logits.astype(np.float16),
            labels=found.labels,
        )
        partial.replace(file)
    with np.load(file) as stored:
        field = nc.FlowField(stored["flow"], stored["logits"], spacing)
        labels = stored["labels"]
    return Case(name, kind, group, held, image, truth.astype(np.uint32), labels, field, spacing)
