"""From one flow field to labels: ours, Cellpose's and u-Segment3D's, each called as a package.

Every function does the work in named steps and is run in a process of its own (`isolated`). What
only brings the field into the form that a package takes is not measured.
"""

import contextlib
import io
import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.isolated import Arrays, Step

MIN_SIZE = 15
#: Where ``scripts/peers.sh`` puts u-Segment3D.
_FOLDER = Path(__file__).resolve().parents[1] / ".venv" / "peers"


def ours(arrays: Arrays, step: Step, spacing: tuple[float, float, float]) -> Arrays:
    """Integrate and label; then what moving the threshold costs, and the flow check."""
    from napari_cellseg.flows import FlowField, instances, label_field

    field = FlowField(arrays["flow"], arrays["logits"], spacing)
    step("integrate", lambda: field.prepare(clicks=False))
    labels = step("label", lambda: instances(field, min_size=MIN_SIZE))
    step("slider", lambda: instances(field, 0.3, min_size=MIN_SIZE), counts=False)
    step(
        "label with flow check",
        lambda: label_field(field, min_size=MIN_SIZE, measure_flow_error=True),
        counts=False,
    )
    return {"labels": labels, "covered": np.array(field.integration().voxels.size)}


def cellpose(
    arrays: Arrays,
    step: Step,
    scale: float = 1.0,
    z: float = 1.0,
    smooth: float = 0.0,
    planes: int = 1,
) -> Arrays:
    """``follow_flows`` and ``get_masks_torch`` with 200 iterations, then its size filter.

    Its networks give flows of length 5, and its dynamics divide by that: one voxel a step. Its own
    3D mode adds the orientations, which makes two voxels (`scale` 2); it does not know that planes
    are far apart (`z`, the share of the flow along z, is 1); it can smooth the flow
    (``flow3D_smooth``: `smooth`, in voxels of a plane). `planes` puts the field on a grid with so
    many times as many of them, and takes its labels from every so-manieth.
    """
    import torch
    from cellpose import dynamics, utils

    device = torch.device("cpu")
    flow, logits = (_denser(arrays[name], planes) for name in ("flow", "logits"))
    flow = 5 * scale * flow
    flow[0] *= z
    if smooth:
        flow = ndimage.gaussian_filter(flow, (0, smooth * z, smooth, smooth))
    shape = logits.shape
    inside = np.nonzero(logits > 0)

    def follow() -> "torch.Tensor":
        return dynamics.follow_flows(flow * (logits > 0) / 5.0, inside, niter=200, device=device)

    def group() -> NDArray[np.integer]:
        points = torch.as_tensor(followed).int()
        return np.asarray(dynamics.get_masks_torch(points, inside, shape))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse invariant checks", UserWarning)
        followed = step("follow_flows", follow)
        labels = step("get_masks", group)
    labels = step(
        "fill holes, remove small",
        lambda: utils.fill_holes_and_remove_small_masks(labels.copy(), min_size=MIN_SIZE),
        counts=False,
    )
    return {"labels": labels[::planes]}


def usegment3d(
    arrays: Arrays, step: Step, z: float = 1.0, smooth: float = 0.0, planes: int = 1
) -> Arrays:
    """``gradient_watershed3D_binary`` with the parameters of its direct method.

    It is given unit vectors, as by its own fusion; the options are those of Cellpose.
    """
    if _FOLDER.is_dir():
        sys.path.append(str(_FOLDER))
    from segment3D import watershed

    flow, logits = (_denser(arrays[name], planes) for name in ("flow", "logits"))
    if smooth:
        flow = ndimage.gaussian_filter(flow, (0, smooth * z, smooth, smooth))
    flow = flow / (np.linalg.norm(flow, axis=0)[None] + 1e-20)
    flow[0] *= z
    gradient = np.ascontiguousarray(flow.transpose(1, 2, 3, 0))
    del flow
    inside = logits > 0

    def descend() -> NDArray[np.integer]:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            return np.asarray(
                watershed.gradient_watershed3D_binary(
                    inside,
                    gradient_img=gradient,
                    momenta=0.98,
                    n_iter=200,
                    delta=1.0,
                    gradient_decay=0.0,
                    smooth_sigma=1.0,
                    thresh_factor=0,
                    min_area=5,
                    divergence_rescale=False,
                    renorm_gradient=False,
                )[0]
            )

    return {"labels": step("descent", descend)[::planes]}


def _denser(array: NDArray[np.floating], planes: int) -> NDArray[np.float32]:
    """A copy with `planes` times as many planes (z, y, x), linearly interpolated."""
    wide = array.astype(np.float32)
    if planes == 1:
        return wide
    count = array.shape[-3]
    factor = (planes * (count - 1) + 1) / count
    return np.asarray(ndimage.zoom(wide, (1,) * (array.ndim - 3) + (factor, 1, 1), order=1))
