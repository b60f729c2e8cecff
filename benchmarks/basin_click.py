"""``python -m benchmarks.basin_click``: what a click in a flow field costs, and what it finds.

The field is the exact one of a packed tissue, with noise; every twentieth cell is one that the
network missed: its logits are below the threshold.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import napari_cellseg as nc
from benchmarks.meter import Cost, measure
from benchmarks.report import table, write_json
from benchmarks.synthetic import field_of
from benchmarks.tissue import tissue

SIZES = ((64, 256, 256), (128, 512, 512))
ISOTROPIC = (1.0, 1.0, 1.0)
NOISE, SMOOTH = 0.3, 1.0
MISSED = 20  # every so manieth cell
_DROP = 8.0  # logits: from 6 to -2, the background being at -6


@dataclass(frozen=True)
class ClickCost:
    """Of one kind of click.

    Attributes
    ----------
    median, p95 : float
        Milliseconds.
    iou : float
        Mean IoU with the true cell; of the first click, with the instance that it lies in.
    clicks : int
    """

    median: float
    p95: float
    iou: float
    clicks: int


@dataclass(frozen=True)
class BasinReport:
    """Clicks on one field.

    Attributes
    ----------
    shape : tuple of int
    cells : int
    integrate : Cost
        Trajectories alone, which `segment` makes anyway.
    prepare : Cost
        Trajectories and the index of clicks.
    index : float
        MiB of the index, beside `trajectories` MiB.
    clicks : dict of str to ClickCost
    """

    shape: tuple[int, ...]
    cells: int
    integrate: Cost
    prepare: Cost
    index: float
    trajectories: float
    clicks: dict[str, ClickCost]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def missing_cells(truth: NDArray[np.int32], seed: int = 0) -> nc.FlowField:
    """Field of the cells with noise in the flow, some of them with logits below the threshold."""
    flow = field_of(truth, ISOTROPIC, noise=NOISE, smooth=SMOOTH, seed=seed).flow
    logits = np.where(truth > 0, 6.0, -6.0).astype(np.float32)
    logits[(truth > 0) & (truth % MISSED == 0)] -= _DROP
    return nc.FlowField(flow, ndimage.gaussian_filter(logits, SMOOTH), ISOTROPIC)


def run_basins(truth: NDArray[np.int32], runs: int = 1, count: int = 200) -> BasinReport:
    """Click on `count` cells of a field, once each way, with one thread.

    Parameters
    ----------
    truth : array of int32, (z, y, x)
        Isotropic.
    runs : int
        How often to prepare.
    count : int
        Clicks of each kind.
    """
    from napari_cellseg.flows.basin import basin_region
    from napari_cellseg.flows.basin_index import index_of

    field = missing_cells(truth)
    small = missing_cells(tissue((24, 48, 48)))
    small.prepare()  # compiles
    fresh = field

    def renew() -> None:
        nonlocal fresh
        fresh = nc.FlowField(field.flow, field.logits, ISOTROPIC)

    _, integrate = measure(lambda: fresh.prepare(clicks=False, threads=1), runs, renew)
    _, prepare = measure(lambda: fresh.prepare(threads=1), runs, renew)
    labels = nc.instances(fresh)
    rng = np.random.default_rng(0)
    found = _picks(labels, rng, count)
    missed = _picks(np.where((truth % MISSED == 0) & (labels == 0), truth, 0), rng, count)
    index = index_of(fresh)

    def timed(
        click: Callable[[NDArray[np.int64]], Any],
        at: NDArray[np.int64],
        wanted: NDArray[np.integer],
    ) -> ClickCost:
        spent, ious = [], []
        for voxel in at:
            start = time.perf_counter()
            answer = click(voxel)
            spent.append(1000 * (time.perf_counter() - start))
            ious.append(_iou(answer, wanted, int(wanted[tuple(voxel)])))
        median, p95 = np.percentile(spent, [50, 95])
        return ClickCost(float(median), float(p95), float(np.mean(ious)), len(at))

    def beside(voxel: NDArray[np.int64]) -> NDArray[np.int64]:
        box = index.boxes[labels[tuple(voxel)]]
        inside = np.argwhere(labels[_slices(box)] == labels[tuple(voxel)]) + box[:3]
        return np.asarray(inside[((inside - voxel) ** 2).sum(1).argmax()])

    def five(voxel: NDArray[np.int64]) -> Any:
        """Three points in the cell and two that are not to be in it, on the same voxels."""
        box = index.boxes[labels[tuple(voxel)]]
        inside = np.argwhere(labels[_slices(box)] == labels[tuple(voxel)]) + box[:3]
        near = inside[np.argsort(((inside - voxel) ** 2).sum(1), kind="stable")]
        kept, lost = near[[0, len(near) // 8, len(near) // 4]], near[[-len(near) // 4, -1]]
        return kept, lost

    far = {tuple(voxel): beside(voxel) for voxel in found}
    fives = {tuple(voxel): five(voxel) for voxel in found}
    clicks = {
        "region": timed(lambda v: basin_region(fresh, [v]), found, labels),
        "whole volume": timed(lambda v: fresh.basin([v]), found, labels),
        "missed cell": timed(lambda v: basin_region(fresh, [v]), missed, truth),
        "split": timed(lambda v: basin_region(fresh, [v], [far[tuple(v)]]), found, labels),
        "five points": timed(lambda v: basin_region(fresh, *fives[tuple(v)]), found, labels),
        "box": timed(
            lambda v: basin_region(fresh, box=index.boxes[labels[tuple(v)]] - 0.5),
            found,
            labels,
        ),
    }
    return BasinReport(
        truth.shape,
        int(labels.max()),
        integrate,
        prepare,
        index.nbytes / 2**20,
        index.integration.nbytes / 2**20,
        clicks,
    )


def _picks(labels: NDArray[np.integer], rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """A random voxel of each of up to `count` random cells."""
    places = np.flatnonzero(labels)
    order = rng.permutation(places.size)[: 40 * count]
    _, first = np.unique(labels.reshape(-1)[places[order]], return_index=True)
    chosen = places[order[rng.permutation(first)[:count]]]
    return np.stack(np.unravel_index(chosen, labels.shape), -1)


def _slices(box: NDArray[np.integer]) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in zip(box[:3], box[3:], strict=True))


def _iou(answer: Any, labels: NDArray[np.integer], number: int) -> float:
    """With a cell, looked for near the answer only: the cells are small."""
    mask = answer if isinstance(answer, np.ndarray) else answer.painted(labels.shape)
    wanted = labels == number
    return float((mask & wanted).sum() / (mask | wanted).sum())


def show_basins(report: BasinReport) -> str:
    """Text for people."""
    size = "×".join(map(str, report.shape))
    rows = [
        [name, f"{cost.median:.2f}", f"{cost.p95:.2f}", f"{cost.iou:.3f}", str(cost.clicks)]
        for name, cost in report.clicks.items()
    ]
    return (
        f"clicks in a flow field {size}, {report.cells} cells, one thread\n"
        f"prepare {report.prepare.wall:.1f} s, of it trajectories {report.integrate.wall:.1f} s; "
        f"index {report.index:.0f} MiB beside trajectories of {report.trajectories:.0f} MiB\n"
        + table(("click", "median ms", "p95 ms", "IoU", "clicks"), rows)
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.basin_click", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave the large field out")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("benchmark-results/basin_click.json"))
    options = parser.parse_args(arguments)
    reports = []
    for shape in SIZES[: 1 if options.quick else None]:
        report = run_basins(tissue(shape), options.runs)
        print(show_basins(report), "\n", flush=True)
        reports.append(report.as_json())
    write_json(options.json, {"basins": reports})


if __name__ == "__main__":
    main()
