"""Tables for people and JSON for programs."""

import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.dynamics import PEERS, FieldReport
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
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # a bare machine has no window
        return None


def show_pipeline(report: PipelineReport) -> str:
    """Stages of one stack."""
    rows = [[stage, _seconds(spent)] for stage, spent in report.stages.items()]
    rows.append(["everything", _seconds(report.whole.wall)])
    size = "×".join(map(str, report.shape))
    return (
        f"{report.name}, {size} ({math.prod(report.shape) / 1e6:.1f} M voxels), "
        f"median of {report.whole.runs}, {report.threads} threads\n"
        f"{report.found} cells found, {report.true} true, AP@0.5 {report.ap:.3f}\n"
        f"{table(('stage', 'wall s'), rows)}\n"
        f"processor time {_seconds(report.whole.cpu)} s, peak memory {report.whole.peak:.0f} MiB "
        f"(+{report.whole.added:.0f}), {report.per_megavoxel:.2f} s per M voxels, "
        f"of which the network is {report.network_share:.0%}"
    )


def show_dynamics(reports: Sequence[FieldReport]) -> str:
    """Everyone on every field, and how they compare."""
    return "\n\n".join([*(_field(report) for report in reports), _comparison(reports)])


def _field(report: FieldReport) -> str:
    size = "×".join(map(str, report.shape))
    own = report.ours
    rows = [
        *(_row(f"napari-cellseg {step}", cost) for step, cost in own.steps.items()),
        _row("napari-cellseg integrate + label", own.whole, own.ap),
    ]
    for peer in report.peers:
        name = f"{peer.name} ({peer.setting})"
        if len(peer.steps) > 1:
            rows += [_row(f"{name} {step}", cost) for step, cost in peer.steps.items()]
        rows.append(_row(name, peer.whole, peer.ap))
    rows += [[name, "not installed", "", "", "", ""] for name in report.missing]
    per_voxel = 1e9 * own.whole.cpu / max(1, report.covered)
    return (
        f"flow field {size}, planes ×{report.anisotropy} apart, noise {report.noise:g}: "
        f"{report.cells} cells, {report.covered / 1e6:.2f} M foreground voxels, "
        f"{per_voxel:.0f} ns of processor time each\n"
        + table(("step", "wall s", "CPU s", "added MiB", "runs", "AP@0.5/0.75"), rows)
    )


def _comparison(reports: Sequence[FieldReport]) -> str:
    """One line a field: how many times our cost each peer's most accurate setting takes."""
    rows = []
    for report in reports:
        row = [
            f"{'×'.join(map(str, report.shape))}, ×{report.anisotropy}, noise {report.noise:g}",
            _accuracy(report.ours.ap),
        ]
        for name in PEERS:
            best = report.best(name)
            if best is None:
                row += ["-", "-", "-"]
            else:
                memory = best.whole.added / max(report.ours.whole.added, 1)
                row += [f"{report.ratio(name):.0f}×", f"{memory:.1f}×", _accuracy(best.ap)]
        rows.append(row)
    head = ["field", "our AP"]
    for name in PEERS:
        head += [f"{name} CPU", "memory", "AP"]
    return table(head, rows)


def write_json(file: Path, data: dict[str, Any]) -> None:
    """Write under a temporary name, then rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    partial.replace(file)


def _row(name: str, cost: Cost, ap: dict[str, float] | None = None) -> list[str]:
    return [
        name,
        _seconds(cost.wall),
        _seconds(cost.cpu),
        f"{cost.added:.0f}",
        str(cost.runs),
        "" if ap is None else _accuracy(ap),
    ]


def _accuracy(ap: dict[str, float]) -> str:
    return "/".join(f"{value:.3f}" for value in ap.values())


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
