"""Weights for predictors: those of the parity fixtures, and a SAM small enough to be quick."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cellseg.prompts import Embedding, Predictor, Prompt, load_predictor
from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder, vit_encoder

PARITY = Path(__file__).resolve().parents[3] / "shared" / "parity"


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_state(seed: int = 0) -> dict[str, Tensor]:
    """A whole SAM whose encoder has two narrow blocks, one of them global."""
    torch.manual_seed(seed)
    encoder = vit_encoder(
        {
            "img_size": 1024,
            "embed_dim": 16,
            "depth": 2,
            "num_heads": 1,
            "use_rel_pos": True,
            "window_size": 14,
            "global_attn_indexes": (1,),
        }
    )
    return dict(SamParts(encoder, mask_decoder()).state_dict())


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the small SAM."""
    file = tmp_path_factory.mktemp("small") / "small.pth"
    torch.save(small_state(), file)
    return file


@pytest.fixture(scope="session")
def small_sam(small_file: Path) -> Predictor:
    return load_predictor("sam", small_file, "cpu")


@pytest.fixture(scope="session")
def plane() -> NDArray[np.uint8]:
    """Spots on noise, wider than high."""
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:120, :180]
    spots = sum(
        np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 200)
        for r, c in rng.uniform((0, 0), (120, 180), (9, 2))
    )
    return np.clip(180 * spots + rng.normal(40, 8, rows.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def small_embedding(small_sam: Predictor, plane: NDArray[np.uint8]) -> Embedding:
    return small_sam.encode(plane)


@dataclass
class Fixture:
    """A parity fixture and its plane, encoded by our predictor."""

    predictor: Any
    embedding: Embedding
    inputs: dict[str, NDArray[Any]]
    expected: dict[str, NDArray[Any]]

    @property
    def points(self) -> NDArray[Any]:
        return self.inputs["points"][:, ::-1]

    @property
    def labels(self) -> NDArray[Any]:
        return self.inputs["labels"]

    @property
    def box(self) -> NDArray[Any]:
        return self.inputs["box"][[1, 0, 3, 2]]

    def decode(self, multimask: bool, **prompt: Any) -> Any:
        return self.predictor.decode(self.embedding, Prompt(**prompt), multimask=multimask)

    def bits(self, name: str) -> NDArray[np.bool_]:
        return np.unpackbits(self.expected[name], axis=-1)[..., :400].astype(bool)


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("detweights", PARITY / "detweights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def parity_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write the weights of a fixture to a file, once."""
    if not PARITY.is_dir():
        pytest.skip("the parity fixtures are not beside this checkout")
    folder, generator = tmp_path_factory.mktemp("weights"), _generator()

    def make(name: str, section: str = "sam") -> Path:
        file = folder / f"{name}-{section}.pth"
        if not file.exists():
            keys = json.loads((PARITY / name / "keys.json").read_text())[section]
            assert not generator.check(keys)
            values = generator.fill(keys)
            torch.save({key: torch.from_numpy(value) for key, value in values.items()}, file)
        return file

    return make


@pytest.fixture(scope="session")
def parity(parity_weights: Callable[[str], Path]) -> Callable[..., Fixture]:
    """Load a predictor with a fixture's weights and encode the fixture's plane."""

    def load(name: str, folder: str, weights: str) -> Fixture:
        predictor = load_predictor(name, parity_weights(weights), "cpu")
        inputs = dict(np.load(PARITY / folder / "inputs.npz"))
        expected = dict(np.load(PARITY / folder / "expected.npz"))
        return Fixture(predictor, predictor.encode(inputs["image"]), inputs, expected)

    return load
