"""Read a user's model file safely, and fit it to a module."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_cellseg.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    State = dict[str, Tensor]
    Module = TypeVar("Module", bound=nn.Module)

_WRAPPERS = ("model", "state_dict", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.")


def read_state(file: Path) -> State:
    """Read the tensors of a model file, without running anything that it may contain.

    Parameters
    ----------
    file : Path
        ``.safetensors``, or a file of torch: a state dict, alone or under ``model`` or
        ``state_dict``; a ``module.`` in front of every key is dropped.

    Returns
    -------
    dict of str to Tensor
        On the CPU; tensors may be views of the file until `fit` copies them.

    Raises
    ------
    ModelError
        If the file is missing, damaged, holds more than tensors, or no tensors at all.
    """
    if not file.is_file():
        raise ModelError(f"The model file {str(file)!r} does not exist: check the path.")
    stored = _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
    for wrapper in _WRAPPERS:
        if isinstance(stored, Mapping) and isinstance(stored.get(wrapper), Mapping):
            stored = stored[wrapper]
            break
    if not isinstance(stored, Mapping) or not stored:
        raise ModelError(f"{str(file)!r} holds no weights: choose a model's state dict.")
    import torch

    strange = [str(key) for key, value in stored.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise ModelError(
            f"{str(file)!r} is no state dict ({strange[0]!r} is not a tensor): save "
            "model.state_dict() alone."
        )
    state = {str(key): value for key, value in stored.items()}
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _read_safetensors(file: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{str(file)!r} cannot be read as safetensors ({_first_line(error)}): it is damaged "
            "or of another kind, so get it again."
        ) from error


def _read_torch(file: Path) -> Any:
    import torch

    # mapped: an optimizer's state that lies in the same file is never read
    mapped = zipfile.is_zipfile(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how old files store tensors
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # damaged files make torch raise nearly anything
        if type(error).__name__ == "UnpicklingError":
            raise ModelError(
                f"{str(file)!r} is damaged, no model file, or wants to run code when it is "
                "opened, which is refused: use a file that holds tensors alone."
            ) from error
        raise ModelError(
            f"{str(file)!r} cannot be read as a model file ({_first_line(error)}): it is damaged "
            "or incomplete, so get it again."
        ) from error


def _first_line(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0].split(". ")[0].rstrip(".")
    return text[:120] or type(error).__name__


def fit(
    build: Callable[[], Module],
    state: State,
    what: str,
    file: Path,
    device: torch.device,
    unused: tuple[str, ...] = (),
) -> Module:
    """Build a module and give it the tensors of a file, all of them and no others.

    Parameters
    ----------
    build : callable
        Makes the module; it is called where torch makes tensors without memory, so that the
        weights are held only once.
    state : dict of str to Tensor
        Of `read_state`; emptied on the way.
    what : str
        Of which model, for messages.
    file : Path
        For messages.
    device : torch.device
    unused : tuple of str
        Prefixes of keys that a file may have and the module does not need.

    Returns
    -------
    Module
        In evaluation mode, in float32.

    Raises
    ------
    ModelError
        If keys are missing or unexpected, shapes differ, or a weight is not finite.
    """
    from napari_cellseg.networks.unfilled import unfilled

    module: Module = unfilled(build)
    wanted = module.state_dict()
    for key in [key for key in state if key not in wanted and key.startswith(unused)]:
        del state[key]
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    if missing or unexpected:
        found = [
            f"{len(keys)} tensors {verb}, such as {keys[0]!r}"
            for keys, verb in ((missing, "are missing"), (unexpected, "are unexpected"))
            if keys
        ]
        raise ModelError(
            f"{str(file)!r} does not fit {what} ({'; '.join(found)}): choose a file of that model."
        )
    owned: State = {}
    for key in wanted:
        owned[key] = _owned(state.pop(key), wanted[key], key, what, file, device)
    module.load_state_dict(owned, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def _owned(
    value: Tensor, like: Tensor, key: str, what: str, file: Path, device: torch.device
) -> Tensor:
    if value.shape != like.shape:
        raise ModelError(
            f"{str(file)!r} does not fit {what}: {key!r} has shape {tuple(value.shape)}, but "
            f"{tuple(like.shape)} was expected."
        )
    if value.layout != like.layout or value.is_meta:
        raise ModelError(
            f"{str(file)!r} does not fit {what}: {key!r} holds no plain tensor with values: save "
            "model.state_dict() of the trained model."
        )
    if value.is_floating_point() != like.is_floating_point():
        raise ModelError(
            f"{str(file)!r} does not fit {what}: {key!r} holds {value.dtype}, but {like.dtype} "
            "was expected."
        )
    # a copy, since the file may change or vanish while the model is in use
    copied = value.to(device=device, dtype=like.dtype, copy=True).contiguous()
    if not bool(copied.isfinite().all()):
        raise ModelError(
            f"{str(file)!r} holds NaN or infinite weights (in {key!r}), where finite ones were "
            "expected: get it again."
        )
    return copied


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"The model file {str(file)!r} cannot be read ({error.strerror or error}): check the "
            "path."
        ) from error
