"""From a flow field to labels, beside Cellpose on the same field."""

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import napari_cellseg as nc
from benchmarks.meter import Cost, measure
from benchmarks.synthetic import field_of, recovered

ISOTROPIC = (1.0, 1.0, 1.0)
MIN_SIZE = 15
#: Noise and blur of the field, so that it is about as good as that of a network.
NOISE, SMOOTH = 0.3, 1.0


@dataclass(frozen=True)
class DynamicsReport:
    """Cost and accuracy of both on one field.

    Attributes
    ----------
    shape : tuple of int
    cells : int
    integrate, label : Cost
        Ours: trajectories, then instances from them (what moving a threshold costs).
    ours : Cost
        Both together, from a field that was not prepared.
    peer : Cost or None
        ``cellpose.dynamics.compute_masks``.
    ap : dict
        AP at 0.5 and 0.75 of each.
    """

    shape: tuple[int, ...]
    cells: int
    integrate: Cost
    label: Cost
    ours: Cost
    peer: Cost | None
    ap: dict[str, dict[str, float]]

    @property
    def ratio(self) -> float | None:
        """How many times our processor time Cellpose takes."""
        return None if self.peer is None else self.peer.cpu / self.ours.cpu

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "ratio": self.ratio}


def run_dynamics(truth: NDArray[np.int32], runs: int, peer_runs: int) -> DynamicsReport:
    """Label one field `runs` times with ours and `peer_runs` times with Cellpose.

    Parameters
    ----------
    truth : array of int32, (z, y, x)
        Isotropic.
    runs, peer_runs : int
        0 leaves the peer out.
    """
    field = field_of(truth, ISOTROPIC, noise=NOISE, smooth=SMOOTH)
    _warm_up(peer_runs > 0)
    fresh = field

    def renew() -> None:
        nonlocal fresh
        fresh = nc.FlowField(field.flow, field.logits, ISOTROPIC)

    _, integrate = measure(lambda: fresh.prepare(clicks=False), runs, renew)
    _, label = measure(lambda: nc.instances(fresh, min_size=MIN_SIZE), runs)
    found, ours = measure(lambda: nc.instances(fresh, min_size=MIN_SIZE), runs, renew)
    ap = {"napari-cellseg": _ap(truth, found)}
    peer = None
    if peer_runs:
        masks, peer = measure(lambda: compute_masks(field), peer_runs)
        ap["cellpose"] = _ap(truth, masks)
    cells = np.unique(truth[truth > 0]).size
    return DynamicsReport(truth.shape, cells, integrate, label, ours, peer, ap)


def compute_masks(field: "nc.FlowField") -> NDArray[np.integer]:
    """Call Cellpose on a field, with the scale at which it is most accurate.

    Its networks give flows of length 5, and its dynamics divide by that: one voxel a step. (Its own
    3D mode adds two orientations, which makes steps of two voxels, costs the same and finds less.)
    """
    from cellpose import dynamics

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse invariant checks", UserWarning)
        masks = dynamics.compute_masks(
            5 * field.flow.astype(np.float32),
            field.logits.astype(np.float32),
            do_3D=True,
            min_size=MIN_SIZE,
            device=torch.device("cpu"),
        )
    return np.asarray(masks)


def _ap(truth: NDArray[np.int32], found: NDArray[np.integer]) -> dict[str, float]:
    return {str(t): round(recovered(truth, found, t)[1], 4) for t in (0.5, 0.75)}


def _warm_up(peer: bool) -> None:
    """Have everything imported and compiled before anything is timed."""
    from benchmarks.tissue import tissue

    small = field_of(tissue((24, 48, 48)), ISOTROPIC)
    nc.instances(small, min_size=MIN_SIZE)
    if peer:
        compute_masks(small)
