"""What a field loses when it is stored with 16 or 8 bits, and what it takes."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import napari_cellseg as nc
from benchmarks.meter import measure
from benchmarks.peers import MIN_SIZE
from benchmarks.report import table
from benchmarks.synthetic import field_of, recovered
from benchmarks.tissue import tissue

NOISE = 0.4
SPACING = (1.0, 1.0, 1.0)


def run_field_store(shape: tuple[int, int, int], runs: int = 1) -> dict[str, Any]:
    """Store, reopen and label the field of the synthetic tissue, noise 0.4, lengths up to 1.

    Returns
    -------
    dict
        By precision (``"memory"`` is the float32 field itself): AP at 0.5 and 0.75; and for what
        was stored: bytes a voxel on the disk, the largest error of a flow component and of a logit
        (between -6 and 6, where thresholds are), AP against the labels of the field in memory,
        median seconds to write and to read.
    """
    truth = tissue(shape)
    noisy = field_of(truth, SPACING, "fused", noise=NOISE)
    length = np.sqrt((noisy.flow**2).sum(0))
    field = nc.FlowField(noisy.flow / np.maximum(1, length), noisy.logits, SPACING)
    expected = nc.instances(field, min_size=MIN_SIZE)
    found: dict[str, Any] = {"memory": {"AP": _ap(truth, expected)}}
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("float16", "int8"):
            places = [Path(folder) / f"{precision}-{run}" for run in range(runs)]
            queue = iter(places)
            _, write = measure(lambda: field.save(next(queue), precision=precision), runs)  # noqa: B023
            again, read = measure(lambda: nc.FlowField.open(places[0]), runs)  # noqa: B023
            size = sum(file.stat().st_size for file in places[0].rglob("*") if file.is_file())
            labels = nc.instances(again, min_size=MIN_SIZE)
            useful = np.abs(field.logits) <= 6
            logit_error = np.abs(again.logits.astype(np.float32) - field.logits)[useful]
            found[precision] = {
                "AP": _ap(truth, labels),
                "AP against memory": _ap(expected.astype(np.int32), labels),
                "bytes per voxel": size / truth.size,
                "flow error": float(np.abs(again.flow.astype(np.float32) - field.flow).max()),
                "logit error": float(logit_error.max()),
                "write": write.wall,
                "read": read.wall,
            }
    return found


def describe(found: dict[str, Any]) -> str:
    """Table of both precisions."""
    rows = [["memory", *("-",) * 3, _text(found["memory"]["AP"]), "-", "-", "-"]]
    for name in ("float16", "int8"):
        one = found[name]
        rows.append(
            [
                name,
                f"{one['bytes per voxel']:.2f}",
                f"{one['flow error']:.4f}",
                f"{one['logit error']:.4f}",
                _text(one["AP"]),
                _text(one["AP against memory"]),
                f"{one['write']:.2f}",
                f"{one['read']:.2f}",
            ]
        )
    head = ("stored as", "bytes/voxel", "flow error", "logit error", "AP@0.5/0.75")
    return table((*head, "against memory", "write s", "read s"), rows)


def _ap(truth: Any, labels: Any) -> list[float]:
    return [round(recovered(truth, labels, threshold)[1], 4) for threshold in (0.5, 0.75)]


def _text(ap: list[float]) -> str:
    return "/".join(f"{value:.3f}" for value in ap)
