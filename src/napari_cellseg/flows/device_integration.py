"""Trajectories of a field on a GPU, or on any device of torch: the same as numba's, bit for bit.

Nothing leaves the device on the way: the host sees only counts, on which it waits about ten times,
and the result, once.

Bytes moved per covered voxel (two thirds of the voxels of dense tissue), estimated from the
operations, since no GPU was at hand: packing 150; steps about 1,200 for each of two or three
interpolated ones, nearly all of it intermediate results of torch's one-operation kernels; pointers
30 for each of 6 to 8 doublings. To read the field once is 8 bytes.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from napari_cellseg.errors import InputError
from napari_cellseg.flows._torch_graph import terminals
from napari_cellseg.flows._torch_memory import in_pieces
from napari_cellseg.flows._torch_pack import pack
from napari_cellseg.flows._torch_steps import pointers
from napari_cellseg.flows.integrate import (
    LOOSEST,
    Integration,
    integrate,
    step_counts,
    voxel_ratio,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.flows.progress import Progress


@dataclass(frozen=True)
class DeviceIntegration:
    """An `Integration` on a device; the attributes are the same, with tensors for arrays.

    Attributes
    ----------
    slots : Tensor of int32, (z * y * x,)
        Number of each covered voxel, from 1 in raster order; 0 is not covered.
    """

    shape: tuple[int, int, int]
    planar: bool
    spacing: tuple[float, float, float]
    floor: float
    voxels: Tensor
    terminal: Tensor
    logits: Tensor
    words: Tensor
    lengths: Tensor
    slots: Tensor

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.slots.device

    def to_host(self) -> Integration:
        """Copy it to the host, all but the slots: 17 bytes a covered voxel."""
        return Integration(
            shape=self.shape,
            planar=self.planar,
            spacing=self.spacing,
            floor=self.floor,
            voxels=self.voxels.cpu().numpy(),
            terminal=self.terminal.cpu().numpy(),
            logits=self.logits.cpu().numpy(),
            words=self.words.cpu().numpy(),
            lengths=self.lengths.cpu().numpy(),
        )

    @classmethod
    def from_host(
        cls, integration: Integration, device: "str | torch.device"
    ) -> "DeviceIntegration":
        """Copy one to a device.

        Parameters
        ----------
        integration : Integration
        device : str or torch.device
        """
        where = torch.device(device)

        def there(array: "NDArray[np.generic]") -> Tensor:
            return torch.from_numpy(array).to(where)

        voxels = there(integration.voxels)
        return cls(
            shape=integration.shape,
            planar=integration.planar,
            spacing=integration.spacing,
            floor=integration.floor,
            voxels=voxels,
            terminal=there(integration.terminal),
            logits=there(integration.logits),
            words=there(integration.words),
            lengths=there(integration.lengths),
            slots=_slots(voxels, int(np.prod(integration.shape))),
        )


def integrate_on_device(
    flow: "NDArray[np.floating] | Tensor",
    logits: "NDArray[np.floating] | Tensor",
    spacing: Sequence[float],
    *,
    floor: float = LOOSEST,
    device: "str | torch.device | None" = None,
    progress: "Progress | None" = None,
) -> DeviceIntegration:
    """Follow one frame's flow on a device; see `integrate`.

    Parameters
    ----------
    flow : array or Tensor of float16 or float32, shape (D, [z,] y, x)
        Physical directions, anywhere.
    logits : array or Tensor of float16 or float32, shape ([z,] y, x)
    spacing : sequence of float
        ``(z, y, x)`` in µm.
    floor : float
        Logit of the loosest foreground.
    device : str or torch.device, optional
        By default where the logits are.
    progress : Progress, optional
        Checked between pieces of work.

    Returns
    -------
    DeviceIntegration

    Raises
    ------
    InputError
        If the volume has more than 2**31 - 1 covered voxels.
    torch.OutOfMemoryError
        If the device's memory does not suffice even for small pieces: about 40 bytes a voxel.
    Cancelled
        If the user has cancelled.
    """
    if device is None:
        device = logits.device if isinstance(logits, Tensor) else "cpu"
    where = torch.device(device)
    planar = logits.ndim == 2
    if planar:
        flow, logits = flow[:, None], logits[None]
    depth, height, width = (int(n) for n in logits.shape)
    steps = np.asarray(spacing, np.float64)
    words, voxels, kept, lengths = pack(flow, logits, float(np.float32(floor)), where, progress)
    if voxels.numel() >= 2**31 - 1:
        raise InputError(
            f"The foreground has {voxels.numel()} voxels, more than can be integrated at once."
        )
    slots = _slots(voxels, words.numel())
    ratio = voxel_ratio(steps, planar)
    ends = pointers(words, slots, voxels, ratio, *step_counts(ratio), progress)
    own = words.reshape(-1).index_select(0, voxels)
    del words
    return DeviceIntegration(
        shape=(depth, height, width),
        planar=planar,
        spacing=(float(steps[0]), float(steps[1]), float(steps[2])),
        floor=floor,
        voxels=voxels,
        terminal=terminals(ends),
        logits=kept,
        words=own,
        lengths=lengths,
        slots=slots,
    )


def integrate_with_torch(
    flow: "NDArray[np.floating]",
    logits: "NDArray[np.floating]",
    spacing: Sequence[float],
    *,
    floor: float = LOOSEST,
    device: "str | torch.device" = "cpu",
    progress: "Progress | None" = None,
) -> Integration:
    """Integrate on a device and copy the result to the host; on the CPU where it does not fit.

    Parameters
    ----------
    flow, logits, spacing, floor, device, progress
        See `integrate_on_device`.

    Returns
    -------
    Integration

    Warns
    -----
    RuntimeWarning
        If the device's memory did not suffice; the result is the same.
    """
    try:
        return integrate_on_device(
            flow, logits, spacing, floor=floor, device=device, progress=progress
        ).to_host()
    except torch.OutOfMemoryError:
        pass
    # outside of the handler, so that the tensors of the failed call are free
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    warnings.warn(
        f"The memory of {device} did not suffice; the flow was followed on the CPU.",
        RuntimeWarning,
        stacklevel=2,
    )
    return integrate(flow, logits, spacing, floor=floor, progress=progress)


def _slots(voxels: Tensor, total: int) -> Tensor:
    """Number of each covered voxel, from 1, at its place in the volume."""
    slots = torch.zeros(total, dtype=torch.int32, device=voxels.device)

    def work(part: slice) -> None:
        numbers = torch.arange(part.start + 1, part.stop + 1, device=voxels.device)
        slots.index_copy_(0, voxels[part].long(), numbers.to(torch.int32))

    in_pieces(voxels.numel(), voxels.device, work)
    return slots
