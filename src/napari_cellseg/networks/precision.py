"""Run a network in a fast number format where its device has one."""

from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PRECISIONS = ("float32", "bfloat16", "float16")


def choose_precision(
    precision: str | None, device: "torch.device", fast: "torch.dtype"
) -> "torch.dtype":
    """Number format for a large network.

    Parameters
    ----------
    precision : str, optional
        One of `PRECISIONS`; None: ``fast`` on CUDA, float32 elsewhere, so that results on a CPU
        are the published network's to the digit.
    device : torch.device
    fast : torch.dtype

    Raises
    ------
    InputError
        If the precision is unknown.
    """
    import torch

    if precision is None:
        return fast if device.type == "cuda" else torch.float32
    if precision not in PRECISIONS:
        raise InputError(
            f"precision {precision!r} is unknown: choose one of {', '.join(PRECISIONS)}"
        )
    chosen: torch.dtype = getattr(torch, precision)
    return chosen


def run_in(dtype: "torch.dtype", model: "nn.Module", inputs: "Tensor") -> "Tensor":
    """Run a model under autocast; once more in float32 if that overflows.

    Returns
    -------
    Tensor of float32
    """
    import torch

    if dtype == torch.float32:
        exact: Tensor = model(inputs)
        return exact.float()
    with torch.autocast(inputs.device.type, dtype=dtype):
        fast: Tensor = model(inputs)
    if bool(fast.isfinite().all()):
        return fast.float()
    with torch.autocast(inputs.device.type, enabled=False):
        again: Tensor = model(inputs)
    return again.float()
