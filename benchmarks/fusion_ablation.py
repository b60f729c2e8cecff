"""``python -m benchmarks.fusion_ablation``: ways to fuse orientations, judged on labelled stacks.

Every stack is predicted once in its three orientations; the same outputs are then fused in every
way, labelled with the same settings, and compared with the truth.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from scipy import ndimage

import napari_cellseg as nc
from benchmarks.report import table
from benchmarks.synthetic import touching_ellipsoids
from benchmarks.tissue import photograph
from napari_cellseg.evaluation.contingency import contingency
from napari_cellseg.evaluation.matching import match, overlaps
from napari_cellseg.flows.fuse import predicted_planes
from napari_cellseg.flows.grid import AXES, ORIENTATIONS, Grid
from napari_cellseg.flows.limits import intensity_limits
from napari_cellseg.flows.request import default_min_size
from napari_cellseg.flows.resample import enlarge_volume, reduce_volume
from napari_cellseg.networks import FlowNetwork, diameters_of, intensities_of
from napari_cellseg.sample import sample_path

Array = NDArray[np.float32]
Spacing = tuple[float, float, float]
#: Of each orientation: flow along its rows and along its cols, and logit, each (z, y, x).
Outputs = dict[str, tuple[Array, Array, Array]]


@dataclass(frozen=True)
class Stack:
    """An image with its truth; `diameter` in the unit of `spacing`."""

    name: str
    image: NDArray[np.generic]
    truth: NDArray[np.int32]
    spacing: Spacing
    diameter: float

    def every(self, step: int) -> "Stack":
        """The same stack with every `step`-th plane only."""
        z, y, x = self.spacing
        part = slice(step // 2, None, step)
        return Stack(
            f"{self.name} /{step}", self.image[part], self.truth[part], (z * step, y, x),
            self.diameter,
        )  # fmt: skip


def stacks(data: Path) -> Iterator[Stack]:
    """Real stacks, as they are and with planes left out, and synthetic ones."""
    embryo = sample_path("embryo")
    image = nc.read_volume(embryo.image)
    truth = np.asarray(nc.read_volume(embryo.truth).stack()).astype(np.int32)
    first = Stack("embryo", np.asarray(image.stack()), truth, image.spacing, 15.3)
    yield from (first, first.every(2), first.every(3), first.every(5), first.every(8))
    nuclei = _real(data, "plantseg_ovule_nuclei_3d/ovule_nuclei_1135", (0.284, 0.127, 0.127))
    yield from (nuclei, nuclei.every(2), nuclei.every(3))
    yield _real(data, "stardist_samples/worm3d", (2.0, 1.0, 1.0))
    yield _real(data, "plantseg_ovule_membrane_3d/ovule_membrane", (0.235, 0.15, 0.15))
    for blur in (0.0, 3.0, 5.0):
        cells = touching_ellipsoids((64, 112, 112), radius=9.0, seed=3)
        seen = ndimage.gaussian_filter1d(photograph(cells, 3).astype(np.float32), blur + 1e-3, 0)
        rendered = Stack(f"synthetic blur {blur:g}", seen, cells, (1.0, 1.0, 1.0), 18.0)
        yield from (rendered, rendered.every(3), rendered.every(6), rendered.every(9))


def _real(data: Path, name: str, spacing: Spacing) -> Stack:
    truth = tifffile.imread(data / f"{name}_label.tif").astype(np.int32)
    image = tifffile.imread(data / f"{name}_image.tif")
    sizes = np.bincount(truth.ravel())[1:]
    voxel = float(np.prod(spacing))
    diameter = float(np.median(np.cbrt(6 / np.pi * sizes[sizes > 0] * voxel)))
    return Stack(Path(name).name, image, truth, spacing, diameter)


def outputs_of(network: FlowNetwork, stack: Stack) -> Outputs:
    """What the network says of each orientation, on the grid of the stack."""
    limits = intensity_limits([stack.image], intensities_of(network))
    shape = (stack.image.shape[0], stack.image.shape[1], stack.image.shape[2])
    grid = Grid.for_network(shape, stack.spacing, stack.diameter, diameters_of(network))
    working = reduce_volume(stack.image, grid.working_shape, limits, network.device)
    found: Outputs = {}
    for orientation in ORIENTATIONS:
        along = AXES[orientation][2]
        whole = torch.empty((3, *working.shape), dtype=torch.float32)
        for start, out in predicted_planes(network, working, grid, orientation, lambda n: None):
            whole.narrow(along + 1, start, len(out)).copy_(
                out.transpose(0, 1).movedim(1, along + 1)
            )
        wide = [enlarge_volume(part, shape).float().numpy() for part in whole]
        found[orientation] = (wide[0], wide[1], wide[2])
    return found


Weight = Callable[[str, Array, Array, Array], Array]


def weighted_flow(outputs: Outputs, weight: Weight) -> Array:
    """Weighted mean of what the orientations say of each axis, (3, z, y, x)."""
    weights = {name: weight(name, *out) for name, out in outputs.items()}
    flow = np.zeros((3, *outputs["xy"][2].shape), np.float32)
    for axis, into in enumerate(flow):
        total = np.full_like(into, 1e-6)
        for name in ORIENTATIONS:
            if axis in AXES[name][:2]:
                into += weights[name] * outputs[name][AXES[name].index(axis)]
                total += weights[name]
        into /= total
    return flow


def weighted_logit(outputs: Outputs, weight: Weight) -> Array:
    """Weighted mean of the orientations' logits."""
    whole = np.zeros_like(outputs["xy"][2])
    total = np.full_like(whole, 1e-6)
    for name, out in outputs.items():
        one = weight(name, *out)
        whole += one * out[2]
        total += one
    return np.asarray(whole / total, np.float32)


def even(name: str, rows: Array, cols: Array, logit: Array) -> Array:
    """Every orientation counts the same."""
    return np.ones_like(logit)


def by_length(name: str, rows: Array, cols: Array, logit: Array) -> Array:
    """The square of the 2D flow's length, as `fuse.predict_field` weighs."""
    return np.asarray(np.minimum(rows**2 + cols**2, 1) + np.float32(0.02), np.float32)


def by_certainty(name: str, rows: Array, cols: Array, logit: Array) -> Array:
    """How far the probability is from a half."""
    return np.abs(np.tanh(logit / 2)) + np.float32(0.02)


def by_view(share: float) -> Weight:
    """Orientations with z in their planes count `share`: z is blurred, or resolves what is deep."""

    def weight(name: str, rows: Array, cols: Array, logit: Array) -> Array:
        return np.full(logit.shape, 1.0 if name == "xy" else share, np.float32)

    return weight


def calibrated(outputs: Outputs) -> Array:
    """Mean of logits that are stretched so that their quantiles are those of xy."""
    levels = np.linspace(2, 98, 49)
    wanted = np.percentile(outputs["xy"][2][:, ::2, ::2], levels)
    whole = np.zeros_like(outputs["xy"][2])
    for _, _, logit in outputs.values():
        slope, offset = np.polyfit(np.percentile(logit[:, ::2, ::2], levels), wanted, 1)
        whole += (logit * np.float32(slope) + np.float32(offset)) / len(outputs)
    return whole


def offset(outputs: Outputs, most: float) -> Array:
    """Mean of logits, moved (by `most` at most) to give as much foreground as xy does."""
    share = float((outputs["xy"][2] > 0).mean())
    whole = np.zeros_like(outputs["xy"][2])
    for _, _, logit in outputs.values():
        move = np.clip(-np.quantile(logit, 1 - share), -most, most)
        whole += (logit + np.float32(move)) / len(outputs)
    return whole


def ways(outputs: Outputs, spacing: Spacing) -> Iterator[tuple[str, nc.FlowField]]:
    """Every way of fusion, by name."""
    plain, length = weighted_flow(outputs, even), weighted_flow(outputs, by_length)
    logits = weighted_logit(outputs, even)
    stretch = spacing[0] / min(spacing[1:])

    def field(flow: Array, logit: Array) -> nc.FlowField:
        return nc.FlowField(flow, logit, spacing)

    yield "mean", field(plain, logits)
    yield "weighted", field(length, logits)
    yield "flow: by certainty", field(weighted_flow(outputs, by_certainty), logits)
    yield "flow: z views count 1/2", field(weighted_flow(outputs, by_view(0.5)), logits)
    yield "flow: z views by spacing", field(weighted_flow(outputs, by_view(1 / stretch)), logits)
    yield "logit: by length", field(plain, weighted_logit(outputs, by_length))
    yield "logit: by certainty", field(plain, weighted_logit(outputs, by_certainty))
    yield "logit: z views count 1/2", field(plain, weighted_logit(outputs, by_view(0.5)))
    yield "logit: z views count 2", field(plain, weighted_logit(outputs, by_view(2.0)))
    yield "logit: median", field(plain, np.median([out[2] for out in outputs.values()], 0))
    yield "logit: calibrated", field(plain, calibrated(outputs))
    yield "logit: as much as xy", field(plain, offset(outputs, np.inf))
    yield "logit: nearly as much", field(plain, offset(outputs, 0.5))
    rows, cols, logit = outputs["xy"]
    flat = np.stack([np.zeros_like(rows), rows, cols])
    yield "xy", nc.FlowField(flat, logit, spacing, stitched=True)


def outcomes(truth: NDArray[np.int32], found: NDArray[np.uint32], level: float) -> NDArray[np.int8]:
    """1 for every true cell found, 0 for every one missed and for every one made up."""
    counted = contingency(found, truth, False)
    a, b, iou = overlaps(counted)
    hits = len(match(a, b, iou, level))
    n_true, n_found = np.unique(truth[truth > 0]).size, np.unique(found[found > 0]).size
    return np.repeat(np.array([1, 0], np.int8), [hits, n_true + n_found - 2 * hits])


def interval(each: NDArray[np.int8], rounds: int = 1000) -> tuple[float, float]:
    """Middle 90 % of AP over resampled cells."""
    rng = np.random.default_rng(0)
    draws = rng.choice(each, (rounds, len(each))).mean(1)
    return float(np.percentile(draws, 5)), float(np.percentile(draws, 95))


def main(arguments: list[str] | None = None) -> None:
    """Print a table per stack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fusion_ablation")
    parser.add_argument("data", type=Path, help="folder of the labelled images")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--only", default="*", help="names of stacks, as a pattern")
    options = parser.parse_args(arguments)
    network = nc.load_network(options.model)
    for stack in stacks(options.data):
        if not fnmatch(stack.name, options.only):
            continue
        size = default_min_size(stack.diameter, stack.spacing, True)
        rows = []
        for name, field in ways(outputs_of(network, stack), stack.spacing):
            found = nc.instances(field, min_size=size)
            row = [name, str(int(found.max()))]
            for level in (0.5, 0.75):
                each = outcomes(stack.truth, found, level)
                low, high = interval(each)
                row.append(f"{each.mean():.3f} ({low:.2f}-{high:.2f})")
            rows.append(row)
        true = np.unique(stack.truth[stack.truth > 0]).size
        planes = stack.diameter / stack.spacing[0]
        print(f"\n{stack.name}: {true} cells, {planes:.1f} planes per cell")
        print(table(("fusion", "found", "AP@0.5", "AP@0.75"), rows), flush=True)


if __name__ == "__main__":
    main()
