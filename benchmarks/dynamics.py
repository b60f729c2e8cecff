"""From a flow field to labels, beside Cellpose and u-Segment3D on the same field.

The fields are exact 2D flows of all three orientations, averaged, of densely packed cells: clean,
and with spatially correlated noise of 0.4 and 0.8 times their length; cubic voxels, and planes
three times as far apart. Every trial runs in a fresh process (`isolated`).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.isolated import Trial, run_isolated
from benchmarks.meter import Cost
from benchmarks.synthetic import field_of, recovered, touching_ellipsoids
from benchmarks.tissue import RADIUS

SMALL = (64, 256, 256)
LARGE = (128, 512, 512)
#: Anisotropy and noise of the fields.
FIELDS = ((1, 0.0), (1, 0.4), (1, 0.8), (3, 0.0), (3, 0.4), (3, 0.8))
#: Those of the large one.
LARGE_FIELDS = ((1, 0.0), (1, 0.4))
SHIPPED = "as shipped"
#: The setting in which each peer is most accurate (``--full`` tries them all, and would tell).
BEST = {
    "cellpose": {
        (1, 0.0): "1 voxel",
        (1, 0.4): "1 voxel, σ 1",
        (1, 0.8): "1 voxel, σ 2",
        (3, 0.0): "1 voxel, z scaled",
        (3, 0.4): "1 voxel, z scaled, σ 1",
        (3, 0.8): "1 voxel, z scaled, σ 1",
    },
    "u-Segment3D": {
        (1, 0.0): "σ 1",
        (1, 0.4): "σ 2",
        (1, 0.8): "σ 1",
        (3, 0.0): "cubes, σ 1",
        (3, 0.4): "cubes, σ 1",
        (3, 0.8): "cubes, σ 1",
    },
}
PEERS = {"cellpose": "benchmarks.peers:cellpose", "u-Segment3D": "benchmarks.peers:usegment3d"}


@dataclass(frozen=True)
class Contestant:
    """One package in one setting on one field.

    Attributes
    ----------
    name, setting : str
    steps : dict of str to Cost
        Memory is above what the process held before the first step.
    whole : Cost
        Steps from field to labels.
    ap : dict of str to float
        AP at an IoU of 0.5 and 0.75.
    """

    name: str
    setting: str
    steps: dict[str, Cost]
    whole: Cost
    ap: dict[str, float]

    @property
    def accuracy(self) -> float:
        """What settings are compared by."""
        return sum(self.ap.values())


@dataclass(frozen=True)
class FieldReport:
    """Everyone on one field.

    Attributes
    ----------
    shape : tuple of int
    anisotropy : int
    noise : float
    cells : int
    covered : int
        Voxels above the loosest threshold, whose trajectories ours computes.
    ours : Contestant
    peers : list of Contestant
    missing : list of str
        Peers that are not installed.
    """

    shape: tuple[int, ...]
    anisotropy: int
    noise: float
    cells: int
    covered: int
    ours: Contestant
    peers: list[Contestant]
    missing: list[str]

    def best(self, name: str) -> Contestant | None:
        """A peer's most accurate setting among those that were run."""
        rows = [peer for peer in self.peers if peer.name == name]
        return max(rows, key=lambda one: one.accuracy) if rows else None

    def ratio(self, name: str) -> float | None:
        """How many times our processor time a peer takes in its most accurate setting."""
        best = self.best(name)
        return None if best is None else best.whole.cpu / self.ours.whole.cpu

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "ratios": {name: self.ratio(name) for name in PEERS}}


def settings(name: str, anisotropy: int) -> dict[str, dict[str, Any]]:
    """Settings of a peer: as shipped, and those that may be more accurate.

    One-voxel steps instead of Cellpose's two; smoothed flows; where planes are far apart, flows
    along z in voxels, or the field on a grid of cubes.
    """
    found: dict[str, dict[str, Any]] = {SHIPPED: {}}
    first = ""
    if name == "cellpose":
        first = "1 voxel"
        found = {SHIPPED: {"scale": 2.0}, first: {}}
    grids: dict[str, dict[str, Any]] = {first: {}}
    if anisotropy != 1:
        grids = {
            ", ".join(filter(None, (first, "z scaled"))): {"z": 1 / anisotropy},
            ", ".join(filter(None, (first, "cubes"))): {"planes": anisotropy},
        }
    for grid, options in grids.items():
        if grid:
            found[grid] = options
        for sigma in (1, 2):
            found[", ".join(filter(None, (grid, f"σ {sigma}")))] = {**options, "smooth": sigma}
    return found


def run_field(
    shape: tuple[int, int, int],
    anisotropy: int,
    noise: float,
    runs: int = 1,
    peers: str = "best",
    peer_runs: int = 1,
) -> FieldReport:
    """Label one field with ours `runs` times, and with each peer `peer_runs` times a setting.

    Parameters
    ----------
    shape : tuple of int, (z, y, x)
        In voxels of y: with an anisotropy of 3, a third as many planes.
    anisotropy : int
    noise : float
        Standard deviation of a flow component's noise, relative to the flow.
    runs : int
    peers : str
        ``"best"``: their most accurate setting; ``"all"``; ``"none"``.
    """
    truth = touching_ellipsoids(shape, RADIUS, anisotropy)
    spacing = (float(anisotropy), 1.0, 1.0)
    field = field_of(truth, spacing, "fused", noise=noise)
    arrays = {"flow": field.flow, "logits": field.logits}
    del field
    trial = run_isolated("benchmarks.peers:ours", arrays, runs, spacing=spacing)
    assert trial is not None
    own = _contestant("napari-cellseg", "", trial, truth)
    rows, missing = [], []
    for name, work in PEERS.items():
        choice = settings(name, anisotropy)
        if peers == "best":
            best = BEST[name].get((anisotropy, noise), SHIPPED)
            choice = {best: choice[best]}
        for setting, options in choice.items() if peers != "none" else ():
            other = run_isolated(work, arrays, peer_runs, **options)
            if other is None:
                missing.append(name)
                break
            rows.append(_contestant(name, setting, other, truth))
    return FieldReport(
        shape=truth.shape,
        anisotropy=anisotropy,
        noise=noise,
        cells=int(truth.max()),
        covered=int(trial.outputs["covered"]),
        ours=own,
        peers=rows,
        missing=missing,
    )


def _contestant(name: str, setting: str, trial: Trial, truth: NDArray[np.int32]) -> Contestant:
    labels = trial.outputs["labels"]
    ap = {str(t): round(recovered(truth, labels, t)[1], 4) for t in (0.5, 0.75)}
    return Contestant(name, setting, trial.steps, trial.whole, ap)
