"""Tables for people and JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.dynamics import DynamicsReport
from benchmarks.meter import Cost
from benchmarks.pipeline import PipelineReport

PACKAGES = ("napari-cellseg", "cellpose", "torch", "numba", "numpy", "zarr", "napari")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text table, first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for row in (head, ["-" * w for w in widths], *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def show_pipeline(report: PipelineReport) -> str:
    """Stages of one stack."""
    voxels = 1.0
    for n in report.shape:
        voxels *= n
    rows = [[stage, _seconds(spent)] for stage, spent in report.stages.items()]
    rows.append(["everything", _seconds(report.whole.wall)])
    size = "×".join(map(str, report.shape))
    return (
        f"{report.name}, {size} ({voxels / 1e6:.1f} M voxels), median of {report.whole.runs}\n"
        f"{report.found} cells found, {report.true} true, AP@0.5 {report.ap:.3f}\n"
        f"{table(('stage', 'wall s'), rows)}\n"
        f"processor time {_seconds(report.whole.cpu)} s, peak memory {report.whole.peak:.0f} MiB "
        f"(+{report.whole.added:.0f}), {report.whole.wall / voxels * 1e6:.2f} s per M voxels"
    )


def show_dynamics(report: DynamicsReport) -> str:
    """Both on one field."""
    rows = [
        _row("napari-cellseg integrate", report.integrate, ""),
        _row("napari-cellseg label", report.label, ""),
        _row("napari-cellseg both", report.ours, _accuracy(report, "napari-cellseg")),
    ]
    if report.peer is not None:
        rows.append(_row("cellpose compute_masks", report.peer, _accuracy(report, "cellpose")))
    size = "×".join(map(str, report.shape))
    text = f"flow field {size}, {report.cells} cells\n" + table(
        ("step", "wall s", "CPU s", "added MiB", "runs", "AP@0.5/0.75"), rows
    )
    if report.peer is not None and report.ratio is not None:
        text += (
            f"\ncellpose / napari-cellseg: {report.ratio:.0f}× the processor time, "
            f"{report.peer.wall / report.ours.wall:.0f}× the wall time, "
            f"{report.peer.added / max(report.ours.added, 1):.1f}× the memory"
        )
    return text


def write_json(file: Path, data: dict[str, Any]) -> None:
    """Write under a temporary name, then rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    partial.replace(file)


def _row(name: str, cost: Cost, accuracy: str) -> list[str]:
    return [
        name,
        _seconds(cost.wall),
        _seconds(cost.cpu),
        f"{cost.added:.0f}",
        str(cost.runs),
        accuracy,
    ]


def _accuracy(report: DynamicsReport, name: str) -> str:
    return "/".join(f"{value:.3f}" for value in report.ap[name].values())


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor()
    return platform.machine()
