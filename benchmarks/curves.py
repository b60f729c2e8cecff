"""``python -m benchmarks.curves``: what turning, coarse z, dimming, noise or a crop cost.

Real stacks with true labels, segmented with the true diameter. AP is TP / (TP + FP + FN) at an IoU
of 0.5 against the truth; its interval holds 95 % of resampled sets of cells. "Same" is that AP
against what was found in the unchanged stack. Cells of which a change leaves less than a third do
not count, nor what is found there.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

import napari_cellseg as nc
from benchmarks.changes import Labels, Spacing, Stack, changes
from benchmarks.report import machine, table, write_json

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Stacks of the shared data: name, stem, spacing in µm.
SHARED = (
    (
        "embryo nuclei",
        "qcanet_mouse_embryo_3d/16_cell_stage",
        (1.75, 0.8, 0.8),
    ),
    (
        "ovule nuclei",
        "plantseg_ovule_nuclei_3d/ovule_nuclei_1135",
        (0.284, 0.127, 0.127),
    ),
)


def stacks(data: Path) -> Iterator[tuple[str, Stack]]:
    """The shared stacks, or the bundled one where they are absent."""
    if not data.is_dir():
        from napari_cellseg.sample import sample_path

        print(f"{data} is absent: only the bundled stack is used", file=sys.stderr)
        sample = sample_path()
        volume = nc.read_volume(sample.image)
        yield "bundled embryo", _stack(volume.load(), sample.truth, volume.spacing)
        return
    for name, stem, spacing in SHARED:
        image = tifffile.imread(data / f"{stem}_image.tif")
        yield name, _stack(image, data / f"{stem}_label.tif", spacing)


def _stack(image: Any, truth: Path, spacing: Spacing) -> Stack:
    return Stack(np.asarray(image, np.float32), tifffile.imread(truth).astype(np.int32), spacing)


def diameter_of(truth: Labels, spacing: Spacing) -> float:
    """Median diameter, in µm, of spheres with the cells' volumes."""
    sizes = _sizes(truth)
    return float(np.median((6 / np.pi * sizes * np.prod(spacing)) ** (1 / 3)))


def _sizes(labels: Labels) -> np.ndarray:
    sizes = np.bincount(labels.ravel())[1:]
    return sizes[sizes > 0]


def mostly_gone(before: Stack, after: Stack) -> np.ndarray:
    """Whether a change left less than a third of a cell, by id."""
    left = np.bincount(after.truth.ravel(), minlength=int(before.truth.max()) + 1)
    gone = left * np.prod(after.spacing) < np.bincount(before.truth.ravel()) * (
        np.prod(before.spacing) / 3
    )
    gone[0] = False
    return gone


def without(labels: Labels, there: np.ndarray) -> Labels:
    """Leave out instances of which more than half lies in a mask."""
    inside = np.bincount(labels.ravel(), weights=there.ravel())
    drop = inside > 0.5 * np.bincount(labels.ravel())
    drop[0] = False
    return np.where(drop[labels], 0, labels)


def score(found: np.ndarray, truth: Labels) -> dict[str, Any]:
    """Counts, AP, and the interval of AP over resampled cells."""
    result = nc.evaluate(found, truth)
    tp, fp, fn = (int(result[key][0.5]) for key in ("tp", "fp", "fn"))
    total = tp + fp + fn
    # each true cell, and each that is not there, is drawn anew: hit or not
    drawn = np.random.default_rng(0).binomial(total, tp / total, 4000) / total if total else [1.0]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {
        "AP@0.5": round(float(result["ap"][0.5]), 4),
        "AP@0.75": round(float(result["ap"][0.75]), 4),
        "interval": [round(float(low), 3), round(float(high), 3)],
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "splits": int(result["splits"]),
        "merges": int(result["merges"]),
    }


def curve_points(stack: Stack, network: Any, only: str | None) -> Iterator[dict[str, Any]]:
    """Segment and score every change of a stack."""
    diameter = diameter_of(stack.truth, stack.spacing)
    unchanged = stack
    for change in changes():
        if only and only not in change.curve and change.curve != "none":
            continue
        changed = change.apply(stack)
        result = nc.segment(
            changed.image,
            network,
            diameter=diameter * change.diameter,
            spacing=changed.spacing,
        )
        labels = result.labels.astype(np.int32)
        if changed.outside is not None:
            labels[changed.outside] = 0
        if change.curve == "none":
            unchanged = replace(stack, truth=labels)
        gone = mostly_gone(stack, changed)[changed.truth]
        before = change.apply(unchanged)
        missing = mostly_gone(unchanged, before)[before.truth]
        same = nc.evaluate(without(labels, missing), without(before.truth, missing), (0.5,))
        yield {
            "curve": change.curve,
            "level": change.level,
            **score(without(labels, gone), without(changed.truth, gone)),
            "same": round(float(same["ap"][0.5]), 4),
        }


def show(points: list[dict[str, Any]]) -> str:
    """Table of one stack."""
    rows = []
    for point in points:
        low, high = point["interval"]
        rows.append(
            [
                f"{point['curve']} {point['level']}".strip(),
                f"{point['AP@0.5']:.3f}",
                f"{low:.2f}-{high:.2f}",
                f"{point['AP@0.75']:.3f}",
                f"{point['same']:.3f}",
                *(str(point[key]) for key in ("tp", "fp", "fn", "splits", "merges")),
            ]
        )
    head = ("change", "AP@0.5", "95 %", "AP@0.75", "same", "tp", "fp", "fn", "splits", "merges")
    return table(head, rows)


def main(arguments: list[str] | None = None) -> None:
    """Measure every curve, and print and store the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", help="part of the name of a curve")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, default=Path("benchmark-results/curves.json"))
    options = parser.parse_args(arguments)
    network = nc.load_network(options.model, options.checkpoint, options.device)
    found: dict[str, Any] = {"machine": machine()}
    for name, stack in stacks(options.data):
        points = list(curve_points(stack, network, options.only))
        found[name] = points
        size = "×".join(map(str, stack.image.shape))
        print(f"{name}, {size}, {len(_sizes(stack.truth))} cells\n{show(points)}\n", flush=True)
    write_json(options.json, found)
    print(f"written to {options.json}")


if __name__ == "__main__":
    main()
