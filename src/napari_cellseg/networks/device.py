"""Which device to run on, and in which precision."""

from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    import torch


def resolve_device(device: str = "auto") -> "torch.device":
    """Turn a device name into a device that exists.

    Parameters
    ----------
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU), or a torch device name.

    Raises
    ------
    InputError
        If the name is unknown or the device is not there.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(
            f"device {device!r} is unknown: use auto, cpu, cuda, cuda:N or mps"
        ) from error
    if chosen.type == "cuda":
        there = 0 <= (chosen.index or 0) < torch.cuda.device_count()
    elif chosen.type == "mps":
        there = torch.backends.mps.is_available()
    else:
        there = chosen.type == "cpu"
    if not there:
        raise InputError(f"device {device!r} is not available on this computer: use auto or cpu")
    return chosen


def worker_device(index: int, device: str = "auto") -> str:
    """Device for one of several worker processes: GPUs are dealt out in turn.

    Parameters
    ----------
    index : int
        Number of the worker, from 0.
    device : str
        ``"auto"``, or a torch device name. One that names a GPU by number (``"cuda:1"``), and
        those that there is one of, are every worker's.

    Returns
    -------
    str
        A torch device name: ``"cuda:N"``, ``"mps"`` or ``"cpu"``.

    Raises
    ------
    InputError
        If the name is unknown or the device is not there.
    """
    import torch

    name = str(resolve_device(device))
    return f"cuda:{index % torch.cuda.device_count()}" if name == "cuda" else name


def fast_dtype(device: "torch.device") -> "torch.dtype":
    """Fastest number format whose masks agree with float32's on this device.

    On processors with matrix units for bfloat16 (AMX, AVX512-BF16) convolutions are about three
    times faster in it; without them bfloat16 is emulated and slower than float32.
    """
    import torch

    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu":
        for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
            supported = getattr(torch.cpu, probe, None)
            if supported is not None and supported():
                return torch.bfloat16
    return torch.float32
