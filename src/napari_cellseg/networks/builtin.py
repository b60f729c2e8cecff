"""The built-in network: small, trained by this repository, part of the package."""

import json
import math
from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from napari_cellseg.errors import ModelError
from napari_cellseg.networks.device import fast_dtype, resolve_device
from napari_cellseg.networks.flow_unet import FlowUNet, fold_batch_norm
from napari_cellseg.networks.packaged import packaged_weights

FORMAT = "napari-cellseg flow-unet 1"


@dataclass(frozen=True)
class Familiar:
    """How the training images look to the network: mean and spread of its pooled features.

    Attributes
    ----------
    mean : Tensor, (n_features,)
    basis : Tensor, (n_features, k)
        Whitening projection: training images have unit variance along each of its columns.
    limit : float
        Distance from which an image counts as strange.
    """

    mean: Tensor
    basis: Tensor
    limit: float


class BuiltinNetwork:
    """`FlowUNet` with weights from a safetensors file.

    Parameters
    ----------
    checkpoint : Path, optional
        A file written by `save_checkpoint`; the packaged one by default.
    device : str
        See `resolve_device`.

    Raises
    ------
    ModelError
        If the file is missing, is no checkpoint of this network, or holds NaN.
    """

    name = "builtin"
    title = "nuclei · phase"
    licence = "BSD-3-Clause; trained on CC0 and MIT data"
    tile = 512

    def __init__(self, checkpoint: Path | None = None, device: str = "auto") -> None:
        if checkpoint is None:
            with as_file(packaged_weights()) as file:
                model, config, familiar = _load(file)
        else:
            model, config, familiar = _load(checkpoint)
        self.diameter = float(config["diameter"])
        low, high = config["percentiles"]
        self.percentiles = (float(low), float(high))
        self.stride = model.stride
        self._familiar = familiar
        self._device = resolve_device(device)
        self._dtype = fast_dtype(self._device)
        self._model = fold_batch_norm(model).to(self._device, self._dtype)
        self._model.to(memory_format=torch.channels_last)

    @property
    def device(self) -> torch.device:
        """Where planes must lie."""
        return self._device

    def to(self, device: str) -> "BuiltinNetwork":
        """Return a copy of the network on another device."""
        import copy

        moved = copy.copy(self)
        moved._device = resolve_device(device)
        moved._dtype = fast_dtype(moved._device)
        moved._model = copy.deepcopy(self._model).to(moved._device, dtype=moved._dtype)
        return moved

    @torch.inference_mode()
    def predict(self, planes: Tensor) -> Tensor:
        """Predict planes; see `FlowNetwork.predict`."""
        inputs = planes[:, None].to(self._dtype, memory_format=torch.channels_last)
        out: Tensor = self._model(inputs)
        return out.float()

    @torch.inference_mode()
    def strangeness(self, planes: Tensor) -> float | None:
        """Distance of the planes' pooled features from the training images', over its limit."""
        if self._familiar is None:
            return None
        pooled = pooled_features(self._model, planes.to(self._dtype)).cpu()
        distance = _distance(pooled, self._familiar.mean, self._familiar.basis)
        return float(distance.median()) / self._familiar.limit


@torch.inference_mode()
def pooled_features(model: FlowUNet, planes: Tensor) -> Tensor:
    """Mean and spread over each plane of the features at the second and third level.

    Deeper levels know cells, not looks; the first knows little but brightness.

    Parameters
    ----------
    model : FlowUNet
    planes : Tensor, (n, rows, cols)

    Returns
    -------
    Tensor of float32, (n, n_features)
    """
    x = model.stem(torch.nn.functional.pixel_unshuffle(planes[:, None], 2))
    x = model.encoder[0](x)
    pooled = []
    for block in list(model.encoder)[1:3]:
        x = block(torch.nn.functional.max_pool2d(x, 2))
        wide = x.float()
        pooled += [wide.mean((2, 3)), wide.std((2, 3))]
    return torch.cat(pooled, 1)


def describe_familiar(pooled: Tensor, components: int = 16) -> Familiar:
    """Summarise pooled features of training images for `BuiltinNetwork.strangeness`.

    Parameters
    ----------
    pooled : Tensor, (n, n_features)
        From `pooled_features`.
    components : int
        Directions in which training images differ most; distances are measured along them.

    Returns
    -------
    Familiar
    """
    mean, spread = pooled.mean(0), pooled.std(0) + 1e-3
    _, values, basis = torch.linalg.svd((pooled - mean) / spread, full_matrices=False)
    scale = values[:components] / len(pooled) ** 0.5
    white = basis[:components].T / scale / spread[:, None]
    distance = _distance(pooled, mean, white)
    # held-out kinds of the same images lie up to 1.5 times as far as training images
    return Familiar(mean, white, 1.5 * float(np.quantile(distance.numpy(), 0.99)))


def _distance(pooled: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    return ((pooled - mean) @ basis).square().mean(1).sqrt()


def save_checkpoint(
    model: FlowUNet,
    file: Path,
    *,
    diameter: float,
    percentiles: tuple[float, float],
    familiar: Familiar | None,
) -> None:
    """Write weights as fp16 safetensors with the configuration in the metadata.

    Parameters
    ----------
    model : FlowUNet
    file : Path
    diameter : float
        Diameter of cells in pixels at which the network was trained.
    percentiles : tuple of float
    familiar : Familiar, optional
    """
    from safetensors.torch import save_file

    tensors = {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    config: dict[str, Any] = {
        "channels": list(model.channels),
        "diameter": diameter,
        "percentiles": list(percentiles),
    }
    if familiar is not None:
        tensors["familiar.mean"] = familiar.mean.to(torch.float32).contiguous()
        tensors["familiar.basis"] = familiar.basis.to(torch.float32).contiguous()
        config["familiar_limit"] = familiar.limit
    save_file(tensors, file, metadata={"format": FORMAT, "config": json.dumps(config)})


def _load(file: Path) -> tuple[FlowUNet, dict[str, Any], Familiar | None]:
    if not Path(file).is_file():
        raise ModelError(f"the checkpoint {file} does not exist: check the path")
    try:
        with safe_open(file, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{file} cannot be read as safetensors ({error}): "
            "the built-in network needs a file written by its own training"
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelError(
            f"{file} is not a checkpoint of the built-in network (format "
            f"{metadata.get('format', 'missing')!r}, expected {FORMAT!r}): choose its own model"
        )
    config = _config(metadata, file)
    familiar = _familiar(tensors, config, file)
    bad = sorted(name for name, value in tensors.items() if not bool(value.isfinite().all()))
    if bad:
        raise ModelError(f"{file} holds NaN or infinite weights in {bad[0]}: use another file")
    model = FlowUNet(config["channels"])
    expected = {n for n in model.state_dict() if not n.endswith("num_batches_tracked")}
    missing, unexpected = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
    if missing or unexpected:
        raise ModelError(
            f"{file} does not fit the built-in network ({len(missing)} tensors missing, "
            f"{len(unexpected)} unexpected, first: {(missing + unexpected)[0]}): use another file"
        )
    try:
        model.load_state_dict({n: v.float() for n, v in tensors.items()}, strict=False)
    except RuntimeError as error:
        raise ModelError(
            f"{file} holds tensors of other shapes than the built-in network's: use another file"
        ) from error
    return model.eval(), config, familiar


def _config(metadata: dict[str, str], file: Path) -> dict[str, Any]:
    """Configuration of a checkpoint, checked before anything is allocated by it."""
    try:
        config = json.loads(metadata["config"])
        channels, (low, high) = config["channels"], config["percentiles"]
        sound = (
            1 < len(channels) <= 8
            and all(type(n) is int and 0 < n <= 4096 for n in channels)
            and _positive(config["diameter"])
            and 0 <= low < high <= 100
        )
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ModelError(
            f"{file} has no usable configuration (channels, diameter, percentiles): "
            "use another file."
        )
    return dict(config)


def _familiar(tensors: dict[str, Tensor], config: dict[str, Any], file: Path) -> Familiar | None:
    """Take the description of the training images out of the tensors."""
    if "familiar.mean" not in tensors:
        return None
    mean, basis = tensors.pop("familiar.mean"), tensors.pop("familiar.basis", None)
    limit = config.get("familiar_limit")
    features = 2 * sum(config["channels"][1:3])
    if (
        basis is None
        or mean.shape != (features,)
        or basis.shape[:1] != mean.shape
        or basis.ndim != 2
        or not _positive(limit)
    ):
        raise ModelError(f"{file} describes its training images wrongly: use another file.")
    return Familiar(mean, basis, float(config["familiar_limit"]))


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value > 0
