"""Accuracy on real 3D stacks: three fused orientations beside planes that are stitched.

The built-in model, which was trained on none of them, with the true median diameter. Nuclei are
what it is for; membranes and electron microscopy are out of its domain, and are reported as such.
There are few cells, so every error is listed, and AP has an interval that holds 95 % of resampled
sets of cells.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

import napari_cellseg as nc
from benchmarks.changes import Labels, Spacing, Stack
from benchmarks.curves import SHARED, diameter_of, score
from benchmarks.report import table
from napari_cellseg.evaluation.contingency import contingency

#: Stacks that the built-in model is not for.
FOREIGN = (
    (
        "ovule membranes (out of domain)",
        "plantseg_ovule_membrane_3d/ovule_membrane",
        (0.235, 0.15, 0.15),
    ),
    (
        "FIB-SEM neurites (out of domain)",
        "flyem_fibsem_neurons_3d/z000-119",
        (0.01, 0.01, 0.01),
    ),
)
FUSIONS = ("mean", "xy")
_MATCH = 0.5
_PART = 0.1  # of a cell, to be named as a part of an error


@dataclass(frozen=True)
class Mistake:
    """A true cell that was not found, or something found that is no cell, at an IoU of 0.5.

    Attributes
    ----------
    kind : str
        ``"missed"``, ``"split"``, ``"merged"``, ``"inexact"`` (one to one, but below 0.5) or
        ``"extra"``.
    id : int
        In the truth; of what was found for ``"extra"``.
    centroid : tuple of int
        Voxel (z, y, x).
    voxels : int
    iou : float
        With the best partner.
    partners : tuple of int
        Ids of the other side that have a tenth of it, or of which it has more than half.
    """

    kind: str
    id: int
    centroid: tuple[int, ...]
    voxels: int
    iou: float
    partners: tuple[int, ...]

    def __str__(self) -> str:
        at = ", ".join(map(str, self.centroid))
        other = f", shared with {self.partners}" if self.partners else ""
        return f"{self.kind} {self.id} at ({at}), {self.voxels} voxels, IoU {self.iou:.2f}{other}"


def run_real3d(data: Path, network: Any) -> list[dict[str, Any]]:
    """Segment and score every stack with every fusion."""
    found = []
    for name, stack, limit in _stacks(data):
        for fusion in FUSIONS:
            cpu, wall = time.process_time(), time.perf_counter()
            result = nc.segment(
                stack.image,
                network,
                diameter=diameter_of(stack.truth, stack.spacing),
                spacing=stack.spacing,
                fusion=fusion,
            )
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            errors = mistakes(result.labels, stack.truth)
            found.append(
                {
                    "stack": name,
                    "shape": stack.image.shape,
                    "fusion": fusion,
                    **score(result.labels.astype(np.int32), stack.truth),
                    "wall": wall,
                    "cpu": cpu,
                    "mistakes": [asdict(one) for one in errors],
                    "listed": [str(one) for one in errors[:limit]],
                    "notices": list(result.notices),
                }
            )
            print(f"{name}, {fusion}: {wall:.0f} s", file=sys.stderr, flush=True)
    return found


def mistakes(found: Any, truth: Labels) -> list[Mistake]:
    """List every error at an IoU of 0.5: true cells first, by id, then what is extra."""
    table = contingency(found, truth, False)
    rows, columns, shared = table.instances
    true_size, found_size = table.truth_sizes, table.predicted_sizes
    iou = shared / (true_size[rows] + found_size[columns] - shared)
    of_true, of_found = shared / true_size[rows], shared / found_size[columns]
    hit = iou > _MATCH
    matched = set(rows[hit].tolist()), set(columns[hit].tolist())
    listed: list[Mistake] = []
    for row, size in enumerate(true_size.tolist()):
        if row in matched[0]:
            continue
        mine = rows == row
        parts = mine & ((of_true > _PART) | (of_found > 0.5))
        inside = mine & (of_found > 0.5) & (of_true > _PART)
        # more than half of it lies in something that holds other cells too
        held = np.flatnonzero(mine & (of_true > 0.5))
        crowd = [
            int(((columns == columns[one]) & (of_true > 0.5)).sum()) > 1 for one in held.tolist()
        ]
        if not parts.any():
            kind = "missed"
        elif int(inside.sum()) > 1:
            kind = "split"
        elif any(crowd):
            kind = "merged"
        else:
            kind = "inexact"
        number = int(table.truth_ids[row, 1])
        partners = tuple(int(one) for one in table.predicted_ids[columns[parts], 1])
        best = float(iou[mine].max(initial=0.0))
        listed.append(Mistake(kind, number, _centre(truth, number), size, best, partners))
    for column, size in enumerate(found_size.tolist()):
        if column in matched[1]:
            continue
        mine = columns == column
        parts = mine & ((of_found > _PART) | (of_true > 0.5))
        number = int(table.predicted_ids[column, 1])
        partners = tuple(int(one) for one in table.truth_ids[rows[parts], 1])
        best = float(iou[mine].max(initial=0.0))
        listed.append(Mistake("extra", number, _centre(found, number), size, best, partners))
    return listed


def describe(found: list[dict[str, Any]]) -> str:
    """Scores of every stack, and the errors of those that the model is for."""
    rows = []
    for one in found:
        low, high = one["interval"]
        rows.append(
            [
                f"{one['stack']}, {one['fusion']}",
                f"{one['AP@0.5']:.3f}",
                f"{low:.2f}-{high:.2f}",
                f"{one['AP@0.75']:.3f}",
                *(str(one[key]) for key in ("tp", "fp", "fn", "splits", "merges")),
                f"{one['wall']:.1f}",
                f"{one['cpu']:.1f}",
            ]
        )
    head = ("stack, fusion", "AP@0.5", "95 %", "AP@0.75", "tp", "fp", "fn", "splits", "merges")
    text = [table((*head, "wall s", "CPU s"), rows)]
    for one in found:
        if one["listed"]:
            text.append(f"errors in {one['stack']}, {one['fusion']}:")
            text += [f"  {line}" for line in one["listed"]]
    return "\n".join(text)


def _stacks(data: Path) -> Iterator[tuple[str, Stack, int]]:
    """Name, stack, and how many of its errors are worth reading."""
    if not data.is_dir():
        from napari_cellseg.sample import sample_path

        print(f"{data} is absent: only the bundled stack is used", file=sys.stderr)
        sample = sample_path()
        volume = nc.read_volume(sample.image)
        image = np.asarray(volume.load(), np.float32)
        yield "bundled embryo", Stack(image, _labels(sample.truth), volume.spacing), 100
        return
    for several, limit in ((SHARED, 100), (FOREIGN, 0)):
        for name, stem, spacing in several:
            image = tifffile.imread(data / f"{stem}_image.tif")
            yield name, _stack(image, data / f"{stem}_label.tif", spacing), limit


def _stack(image: Any, truth: Path, spacing: Spacing) -> Stack:
    return Stack(np.asarray(image, np.float32), _labels(truth), spacing)


def _labels(file: Path) -> Labels:
    return tifffile.imread(file).astype(np.int32)


def _centre(labels: Any, number: int) -> tuple[int, ...]:
    return tuple(round(float(at.mean())) for at in np.nonzero(labels == number))
