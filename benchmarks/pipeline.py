"""From a file on the disk to labels, stage by stage."""

import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import napari_cellseg as nc
from benchmarks.meter import Cost, measure
from benchmarks.synthetic import recovered
from napari_cellseg.networks import FlowNetwork

#: What the engine calls its stages, in the order of the work.
STAGES = ("load image", "estimate diameter", "predict", "fuse", "integrate", "label")


@dataclass(frozen=True)
class PipelineReport:
    """What one stack cost, and what was found.

    Attributes
    ----------
    name : str
    shape : tuple of int
    stages : dict of str to float
        Median wall seconds per stage.
    whole : Cost
        Of everything from opening the file to the labels.
    found, true : int
        Instances.
    ap : float
        AP at 0.5 against the truth.
    threads : int
        That the network ran with.
    """

    name: str
    shape: tuple[int, ...]
    stages: dict[str, float]
    whole: Cost
    found: int
    true: int
    ap: float
    threads: int

    @property
    def per_megavoxel(self) -> float:
        """Wall seconds per million voxels, of everything."""
        return self.whole.wall / math.prod(self.shape) * 1e6

    @property
    def network_share(self) -> float:
        """Share of the stages' wall time in which the network ran (and planes were cut for it)."""
        return self.stages["predict"] / max(1e-9, sum(self.stages.values()))

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            **asdict(self),
            "seconds per megavoxel": self.per_megavoxel,
            "share of network": self.network_share,
        }


def run_pipeline(
    name: str,
    file: Path,
    truth: np.ndarray,
    network: FlowNetwork,
    *,
    diameter: float | None = None,
    runs: int = 1,
) -> PipelineReport:
    """Read and segment a file `runs` times."""
    timings: list[dict[str, float]] = []

    def once() -> nc.Segmentation:
        result = nc.segment(nc.read_volume(file), network, diameter=diameter)
        timings.append(result.timings)
        return result

    result, whole = measure(once, runs)
    stages = {
        stage: statistics.median(row.get(stage, 0.0) for row in timings)
        for stage in (*STAGES, *sorted(set().union(*timings) - set(STAGES)))
    }
    return PipelineReport(
        name=name,
        shape=result.labels.shape,
        stages=stages,
        whole=whole,
        found=len(result.table),
        true=np.unique(truth[truth > 0]).size,
        ap=recovered(truth, result.labels, 0.5)[1],
        threads=torch.get_num_threads(),
    )
