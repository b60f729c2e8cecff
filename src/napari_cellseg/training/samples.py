"""Labelled images, prepared once for training: grey, normalised, with the flow of their labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from skimage.transform import resize
from torch import Tensor
from torch.nn import functional as F

from napari_cellseg.flows.label_flows import label_flows
from napari_cellseg.flows.limits import luminance
from napari_cellseg.training.kinds import appearance, held_out

#: Folder below the shared data, name of the kind, and number of groups of alike images.
KINDS = (
    ("dsb2018/fluo", "fluo", 36),
    ("dsb2018/histo-colour", "histology", 12),
    ("dsb2018/bf-grey", "bright-field", 4),
    ("usiigaci_phase", "phase", 8),
)
#: Cells larger than this are reduced before training: 60 px and more are never shown at full size.
LARGEST_DIAMETER = 40.0


@dataclass(frozen=True)
class Level:
    """One resolution of a sample: ``planes`` is (4, y, x): image, flow y, flow x, label."""

    planes: Tensor
    diameter: float


@dataclass(frozen=True)
class Sample:
    """A labelled image at its own resolution and at half of it."""

    name: str
    kind: str
    group: int
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class LabelledImage:
    """An image file and its labels, as read."""

    name: str
    kind: str
    group: int
    held: bool
    image: NDArray[np.generic]
    labels: NDArray[np.integer]


def read_labelled_images(data: Path) -> Iterator[LabelledImage]:
    """Read every labelled image of the kinds that may be trained on, split by kind.

    Parameters
    ----------
    data : Path
        Folder that holds ``dsb2018`` and ``usiigaci_phase``.
    """
    for folder, kind, groups in KINDS:
        files = sorted((data / folder).glob("*_image.tif"))
        pairs = {}
        for file in files:
            label_file = file.with_name(file.name.replace("_image", "_label"))
            pairs[file.name[: -len("_image.tif")]] = (
                tifffile.imread(file),
                tifffile.imread(label_file),
            )
        held, group = held_out({n: appearance(*p) for n, p in pairs.items()}, groups=groups)
        for name, (image, labels) in pairs.items():
            yield LabelledImage(name, kind, group[name], name in held, image, labels)


def grey(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Reduce RGB to luminance; a grey image is returned as float32."""
    values = image.astype(np.float32)
    if values.ndim == 3:
        return luminance(values[..., :3])
    return values


def median_diameter(labels: NDArray[np.integer]) -> float:
    """Median diameter, in pixels, of the discs with the instances' areas (0 without instances)."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.sqrt(np.median(areas) * 4 / np.pi)) if len(areas) else 0.0


def normalise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map the 1st and 99.8th percentile to 0 and 1 without clipping."""
    low, high = np.percentile(image, [1, 99.8])
    return np.asarray((image - low) / max(high - low, 1e-6), np.float32)


def prepare(
    name: str, kind: str, group: int, image: NDArray[np.generic], labels: NDArray[np.integer]
) -> Sample:
    """Turn a labelled image into a training sample with a level at half resolution."""
    plane = normalise(grey(image))
    diameter = median_diameter(labels)
    if diameter > LARGEST_DIAMETER:
        factor = LARGEST_DIAMETER / diameter
        shape = tuple(max(32, round(n * factor)) for n in labels.shape)
        plane = _resized(plane, shape, 1)
        labels = _resized(labels, shape, 0).astype(np.int32)
        diameter = LARGEST_DIAMETER
    levels = [_level(plane, labels, diameter or 20.0)]
    if diameter > 16:
        half = tuple(n // 2 for n in labels.shape)
        small = F.interpolate(torch.from_numpy(plane)[None, None], size=half, mode="area")
        labels = _resized(labels, half, 0).astype(np.int32)
        levels.append(_level(small[0, 0].numpy(), labels, diameter / 2))
    return Sample(name, kind, group, tuple(levels))


def _resized(
    plane: NDArray[np.generic], shape: tuple[int, ...], order: int
) -> NDArray[np.float32]:
    out: Any = resize(  # type: ignore[no-untyped-call]
        plane, shape, order=order, preserve_range=True, anti_aliasing=order > 0
    )
    return np.asarray(out, np.float32)


def _level(plane: NDArray[np.float32], labels: NDArray[np.integer], diameter: float) -> Level:
    flow = label_flows(labels.astype(np.int32), (1.0, 1.0))
    stack = np.concatenate([plane[None], flow, labels[None].astype(np.float32)])
    return Level(torch.from_numpy(stack.astype(np.float32)), diameter)
