"""Take the pictures of docs/mediar3d.md: the stack of the package, and rendered touching cells.

    python scripts/method_pictures.py --docs docs/images

No window is opened: they are drawn with matplotlib.
"""

import argparse
import functools
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib import colors
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

import napari_cellseg as nc
from napari_cellseg.flows.fuse import predicted_planes
from napari_cellseg.flows.grid import AXES, ORIENTATIONS, Grid
from napari_cellseg.flows.limits import intensity_limits
from napari_cellseg.flows.resample import enlarge_volume, reduce_volume
from napari_cellseg.networks import diameters_of, intensities_of
from napari_cellseg.sample import sample_path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.synthetic import field_of, touching_ellipsoids
from benchmarks.tissue import photograph

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Array = NDArray[Any]

plt.rcParams["image.interpolation"] = "nearest"

WIDTH = 9.0  # inches, 100 pixels each
INK = "#10302c"
FONT = 10.0


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn: a segmented stack, and where its planes are cut."""

    image: Array
    spacing: tuple[float, float, float]
    result: nc.Segmentation
    outputs: dict[str, tuple[Array, Array, Array]]
    cut: tuple[int, int, int]

    def plane(self, volume: Array, orientation: str) -> Array:
        """The plane of a volume that is shown, z upwards where there is z."""
        return np.take(volume, self.cut[AXES[orientation][2]], AXES[orientation][2])

    def extent(self, orientation: str) -> tuple[float, float, float, float]:
        """Edges of a plane in µm."""
        rows, cols, _ = AXES[orientation]
        shape, step = self.image.shape, self.spacing
        return 0, shape[cols] * step[cols], shape[rows] * step[rows], 0


@functools.cache
def embryo() -> Scene:
    """The stack that comes with the package."""
    volume = nc.read_volume(sample_path().image)
    return scene(np.asarray(volume.stack()), volume.spacing)


@functools.cache
def tissue() -> Scene:
    """Rendered cells that touch, planes twice as far apart as pixels."""
    cells = touching_ellipsoids((88, 84, 120), radius=12.0, anisotropy=2, seed=5)
    return scene(photograph(cells, 3), (2.0, 1.0, 1.0), diameter=24.0)


def scene(image: Array, spacing: tuple[float, float, float], **options: Any) -> Scene:
    """Segment a stack, and keep what each orientation said."""
    network = nc.load_network("builtin", device="cpu")
    result = nc.segment(image, network, spacing=spacing, **options)
    limits = intensity_limits([image], intensities_of(network))
    shape = (image.shape[0], image.shape[1], image.shape[2])
    diameter = result.parameters["diameter"]
    grid = Grid.for_network(shape, spacing, diameter, diameters_of(network))
    working = reduce_volume(image, grid.working_shape, limits, network.device)
    outputs = {}
    for orientation in ORIENTATIONS:
        along = AXES[orientation][2]
        whole = torch.empty((3, *working.shape))
        for start, out in predicted_planes(network, working, grid, orientation, lambda n: None):
            part = whole.narrow(along + 1, start, len(out))
            part.copy_(out.transpose(0, 1).movedim(1, along + 1))
        wide = [enlarge_volume(one, shape).float().numpy() for one in whole]
        outputs[orientation] = (wide[0], wide[1], wide[2])
    shown = np.clip((image - limits[0]) / (limits[1] - limits[0]), 0, 1) ** 0.7
    cut = tuple(
        int(np.argmax([np.unique(one).size for one in np.moveaxis(result.labels, axis, 0)]))
        for axis in range(3)
    )
    return Scene(shown, spacing, result, outputs, (cut[0], cut[1], cut[2]))


def wheel(rows: Array, cols: Array, logits: Array) -> Array:
    """Colour of a direction: hue is where to, brightness how long and how likely."""
    hue = (np.arctan2(-rows, cols) / (2 * np.pi)) % 1
    length = np.clip(np.hypot(rows, cols), 0, 1)
    likely = 1 / (1 + np.exp(-logits.astype(np.float32)))
    return colors.hsv_to_rgb(np.stack([hue, 0.85 * np.ones_like(hue), length * likely], -1))


def reslices(one: Scene) -> Any:
    """The three orientations, and what the network says of a plane of each."""
    shape = np.array(one.image.shape) * one.spacing
    sizes = [shape[2], shape[2], shape[1]]
    figure, axes = plt.subplots(
        2, 3, figsize=(WIDTH, 5.6), gridspec_kw={"width_ratios": sizes}, layout="constrained"
    )
    names = {"xy": "x, y", "xz": "x, z", "yz": "y, z"}
    for column, orientation in enumerate(ORIENTATIONS):
        rows, cols, logits = (one.plane(part, orientation) for part in one.outputs[orientation])
        extent = one.extent(orientation)
        axes[0, column].imshow(one.plane(one.image, orientation), "gray", extent=extent)
        axes[1, column].imshow(wheel(rows, cols, logits), extent=extent)
        axes[0, column].set_title(f"a plane of {names[orientation]}", fontsize=FONT, color=INK)
        axes[1, column].set_title("what the network says of it", fontsize=FONT, color=INK)
        _lines(axes[0, column], one, orientation)
    for axis in axes.flat:
        axis.set_axis_off()
    _compass(axes[1, 0])
    return figure


def _lines(axis: Any, one: Scene, orientation: str) -> None:
    """Where the other two planes cut this one."""
    rows, cols, _ = AXES[orientation]
    axis.axhline((one.cut[rows] + 0.5) * one.spacing[rows], color="#ffb000", lw=0.8, ls=(0, (4, 4)))
    axis.axvline((one.cut[cols] + 0.5) * one.spacing[cols], color="#ffb000", lw=0.8, ls=(0, (4, 4)))


def _compass(axis: Any) -> None:
    """A wheel of directions in the corner."""
    inset = axis.inset_axes((0.02, 0.02, 0.2, 0.2))
    at = np.linspace(-1, 1, 121)
    cols, rows = np.meshgrid(at, at)
    away = np.hypot(rows, cols)
    picture = wheel(rows, cols, np.full(rows.shape, 9.0))
    alpha = (away <= 1).astype(float)
    inset.imshow(np.dstack([picture, alpha]))
    inset.set_axis_off()


def closeup(labels: Array, rows: int, cols: int) -> tuple[int, tuple[slice, slice]]:
    """A plane, and a part of it, around the two cells that meet there along the longest border."""
    across = 3 - rows - cols
    best: tuple[int, int, tuple[int, int]] = (0, 0, (0, 0))
    for index, plane in enumerate(np.moveaxis(labels, across, 0)):
        full = np.where(plane > 0, plane, ndimage.grey_dilation(plane, (3, 3)))
        met = []
        for axis in (0, 1):
            one, two = np.delete(full, -1, axis), np.delete(full, 0, axis)
            touch = (one != two) & (one > 0) & (two > 0)
            met.append(np.sort(np.stack([one[touch], two[touch]], -1), -1))
        pairs, counts = np.unique(np.concatenate(met), axis=0, return_counts=True)
        for (low, high), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            sizes = (plane == low).sum(), (plane == high).sum()
            if count > best[0] and min(sizes) > 0.5 * max(sizes):
                best = (count, index, (low, high))
    _, index, both = best
    box = ndimage.find_objects(np.isin(np.take(labels, index, across), both).astype(np.int8))[0]
    grown = tuple(slice(max(0, part.start - 3), part.stop + 3) for part in box)
    return index, (grown[0], grown[1])


def flow(one: Scene) -> Any:
    """The fused flow as arrows, between two neighbours, from above and from the side."""
    field = one.result.field
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.0), layout="constrained")
    for axis, (rows, cols), name in zip(axes, ((1, 2), (0, 2)), ("x, y", "x, z"), strict=True):
        step = one.spacing[rows], one.spacing[cols]
        index, part = closeup(one.result.labels, rows, cols)
        across = 3 - rows - cols
        v, u, logits, image, labels = (
            np.take(volume, index, across)[part].astype(np.float32)
            for volume in (
                field.flow[rows], field.flow[cols], field.logits, one.image, one.result.labels
            )
        )  # fmt: skip
        height, width = image.shape[0] * step[0], image.shape[1] * step[1]
        axis.imshow(image, "gray", extent=(0, width, height, 0), vmin=-0.2, vmax=1.6)
        every = max(1, round(2 / step[0])), max(1, round(2 / step[1]))
        at = np.stack(np.meshgrid(*(np.arange(n) for n in image.shape), indexing="ij"), -1)
        shown = (logits > 0) & (at % every == 0).all(-1)
        hue = wheel(v, u, np.full(v.shape, 9.0))
        bright = hue / np.maximum(hue.max(-1, keepdims=True), 1e-6)
        axis.quiver(
            (at[..., 1][shown] + 0.5) * step[1],
            (at[..., 0][shown] + 0.5) * step[0],
            u[shown],
            v[shown],
            color=bright[shown],
            angles="xy",
            scale_units="xy",
            scale=0.5,
            width=0.0045,
            headwidth=4,
        )
        _outline(axis, labels, step)
        axis.set_title(f"the fused flow in a plane of {name}", fontsize=FONT, color=INK)
        axis.set_axis_off()
    return figure


def _outline(axis: Any, labels: Array, step: tuple[float, float], color: str = "white") -> None:
    rows, cols = (np.arange(n) + 0.5 for n in labels.shape)
    for number in np.unique(labels[labels > 0]):
        axis.contour(
            cols * step[1], rows * step[0], labels == number, [0.5], colors=color, linewidths=1.1
        )


def basins() -> Any:
    """Paths in a noisy field, the basins they lead to, and the cells that these become."""
    spacing = (1.0, 1.0, 1.0)
    cells = touching_ellipsoids((48, 84, 120), radius=12.0, seed=5)
    field = field_of(cells, spacing, "fused", noise=0.6)
    labels = nc.instances(field)
    z = 24
    basin = unmerged(field)
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.45), layout="constrained")
    edges = (0, cells.shape[2], cells.shape[1], 0)
    picture = photograph(cells)[z]
    axes[0].imshow(picture, "gray", extent=edges, vmax=2 * float(picture.max()))
    for path in paths(field, z):
        axes[0].plot(path[:, 1] + 0.5, path[:, 0] + 0.5, lw=0.5, c="#ffb000")
        axes[0].plot(path[-1, 1] + 0.5, path[-1, 0] + 0.5, "w.", ms=1.5)
    axes[1].imshow(_shades(basin, labels)[z], extent=edges)
    axes[2].imshow(_paint(labels)[z], extent=edges)
    titles = ("voxels follow the flow", "basins: what ends together", "cells: basins united")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=FONT, color=INK)
        axis.set_xlim(edges[:2])
        axis.set_ylim(edges[2:])
        axis.set_axis_off()
    return figure


def unmerged(field: nc.FlowField) -> Array:
    """Basin of each voxel above the threshold: those whose ends are within two voxels."""
    integration = field.integration()
    above = integration.logits > 0
    ends = integration.voxels[integration.terminal[above]]
    sinks, which = np.unique(ends, return_inverse=True)
    at = np.stack(np.unravel_index(sinks, integration.shape), -1) * np.array(field.spacing)
    near = cKDTree(at).sparse_distance_matrix(cKDTree(at), 2.0 + 1e-6)
    near.setdiag(1)
    _, group = connected_components(near)
    basin = np.zeros(integration.shape, np.int32)
    basin.reshape(-1)[integration.voxels[above]] = 1 + group[which]
    return basin


def _shades(basin: Array, labels: Array) -> Array:
    """Colours of basins: shades of the colour of the cell that they become."""
    rng = np.random.default_rng(1)
    count = int(basin.max()) + 1
    owner = np.zeros(count, labels.dtype)
    both = np.stack([basin[labels > 0], labels[labels > 0]])
    (basins, cells), shared = np.unique(both, axis=1, return_counts=True)
    order = np.argsort(shared)  # the cell that has most of a basin comes last
    owner[basins[order]] = cells[order]
    shade = rng.uniform(0.5, 1.0, (count, 1))
    palette = _palette(int(labels.max()) + 1)[owner] * shade
    palette[0] = 0.07
    return palette[basin]


def paths(field: nc.FlowField, z: int, steps: int = 60) -> list[Array]:
    """Ways of some voxels of a plane, drawn in that plane, in small steps."""
    starts = np.argwhere(field.logits[z] > 0)
    starts = starts[((starts % 4) == 0).all(1)]
    at = np.concatenate([np.full((len(starts), 1), z), starts], 1).astype(float)
    ratio = min(field.spacing[1:]) / np.array(field.spacing)
    way = [at[:, 1:].copy()]
    for _ in range(steps):
        moved = [ndimage.map_coordinates(part.astype(np.float32), at.T, order=1, mode="nearest")
                 for part in field.flow]  # fmt: skip
        at = at + 0.5 * np.stack(moved, 1) * ratio
        way.append(at[:, 1:].copy())
    return list(np.stack(way, 1))


def _paint(labels: Array) -> Array:
    """Colours of labels, neighbours apart."""
    return _palette(int(labels.max()) + 1)[labels]


def _palette(count: int) -> Array:
    hue = np.random.default_rng(3).permutation(count) / count
    found = colors.hsv_to_rgb(np.stack([hue, np.full(count, 0.55), np.full(count, 0.95)], -1))
    found[0] = 0.07
    return found


def doubt(one: Scene) -> Any:
    """Where the orientations disagree, beside the image."""
    field = one.result.field
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.25), layout="constrained")
    extent = one.extent("xy")
    z = one.cut[0]
    axes[0].imshow(one.image[z], "gray", extent=extent)
    _outline(axes[0], one.result.labels[z], one.spacing[1:], "#ffb000")
    inside = np.where(field.logits[z] > -2, field.disagreement[z] / 255.0, np.nan)
    cmap = matplotlib.colormaps["magma"].copy()
    cmap.set_bad("#111111")
    shown = axes[1].imshow(inside, cmap, extent=extent, vmin=0, vmax=0.4)
    bar = figure.colorbar(shown, ax=axes[1], shrink=0.8, pad=0.02)
    bar.set_label("disagreement", fontsize=FONT - 1, color=INK)
    bar.ax.tick_params(labelsize=FONT - 2)
    axes[0].set_title("cells in a plane", fontsize=FONT, color=INK)
    axes[1].set_title("where the orientations disagree", fontsize=FONT, color=INK)
    for axis in axes:
        axis.set_axis_off()
    return figure


def stitched(one: Scene) -> Any:
    """The same stack from the side: fused orientations, and planes that are joined by overlap."""
    image = nc.read_volume(sample_path().image)
    flat = nc.segment(image, diameter=one.result.parameters["diameter"], fusion="xy")
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.05), layout="constrained")
    extent = one.extent("xz")
    axes[0].imshow(one.plane(one.image, "xz"), "gray", extent=extent)
    for axis, labels in ((axes[1], one.result.labels), (axes[2], flat.labels)):
        axis.imshow(_paint(one.plane(labels, "xz")), extent=extent)
    titles = ("a plane of x, z", "three orientations, fused", "xy planes, joined by overlap")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=FONT, color=INK)
        axis.set_axis_off()
    return figure


PICTURES = {
    "reslices": lambda: reslices(embryo()),
    "flow": lambda: flow(tissue()),
    "basins": basins,
    "disagreement": lambda: doubt(tissue()),
    "xy": lambda: stitched(embryo()),
}


def save(figure: Any, file: Path) -> None:
    """Write a picture without transparency, so that it is small."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, facecolor="white")
    plt.close(figure)
    buffer.seek(0)
    Image.open(buffer).convert("RGB").save(file, optimize=True)
    print(f"wrote {file}, {file.stat().st_size / 1000:.0f} kB")


def main() -> int:
    """Return 0 when every picture was taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", choices=tuple(PICTURES), nargs="+")
    options = parser.parse_args()
    for name in options.only or PICTURES:
        save(PICTURES[name](), options.docs / f"mediar3d_{name}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
