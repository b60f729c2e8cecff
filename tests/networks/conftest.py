"""MEDIAR with the weights of the parity fixture."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_cellseg.networks import load_network
from napari_cellseg.networks.mediar import MediarNetwork

PARITY = Path(__file__).resolve().parents[3] / "shared" / "parity"


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def parity_arrays(name: str) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Inputs and expected outputs of a parity fixture."""
    if not PARITY.is_dir():
        pytest.skip("the parity fixtures are not beside this checkout")
    inputs, expected = (dict(np.load(PARITY / name / f"{f}.npz")) for f in ("inputs", "expected"))
    return inputs, expected


@dataclass
class Mediar:
    """MEDIAR from a file, and the fixture's image as the network wants it."""

    network: Any
    planes: torch.Tensor
    expected: dict[str, NDArray[Any]]

    def altered(self, **changes: Any) -> Any:
        """The network with other attributes; the weights are shared."""
        network: Any = MediarNetwork.__new__(MediarNetwork)
        network.__dict__.update(self.network.__dict__, **changes)
        return network

    @property
    def small(self) -> torch.Tensor:
        """A corner of the image."""
        return self.planes[..., :64, :96]


@pytest.fixture(scope="package")
def mediar(tmp_path_factory: pytest.TempPathFactory) -> Mediar:
    inputs, expected = parity_arrays("mediar_former")
    spec = importlib.util.spec_from_file_location("detweights", PARITY / "detweights.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    keys = json.loads((PARITY / "mediar_former" / "keys.json").read_text())["mediar"]
    state = {name: torch.from_numpy(np.array(v)) for name, v in generator.fill(keys).items()}
    file = tmp_path_factory.mktemp("mediar") / "phase1.pth"
    torch.save(state, file)
    del state
    network: Any = load_network("mediar", file, "cpu")
    file.unlink()  # half a gigabyte
    image = inputs["image"].astype(np.float32)
    low, high = np.percentile(image[image != 0], network.intensities.percentiles)
    planes = torch.from_numpy((image - low) / (high - low)).float().permute(2, 0, 1)[None]
    return Mediar(network, planes.contiguous(), expected)
