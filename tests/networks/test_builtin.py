import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.networks import (
    FlowNetwork,
    available_networks,
    load_network,
    packaged_card,
    packaged_weights,
    verify_packaged_weights,
)
from napari_cellseg.networks.builtin import (
    FORMAT,
    BuiltinNetwork,
    describe_familiar,
    pooled_features,
    save_checkpoint,
)
from napari_cellseg.networks.flow_unet import FlowUNet


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = FlowUNet((8, 12, 16)).eval()
    familiar = describe_familiar(pooled_features(model, torch.rand(64, 32, 32)), components=8)
    file = tmp_path / "small.safetensors"
    save_checkpoint(model, file, diameter=18.0, percentiles=(2.0, 99.0), familiar=familiar)
    return file


def metadata() -> dict[str, str]:
    config = {"channels": [8, 12, 16], "diameter": 18.0, "percentiles": [2.0, 99.0]}
    return {"format": FORMAT, "config": json.dumps(config)}


def test_a_checkpoint_comes_back(checkpoint: Path) -> None:
    network = load_network("builtin", checkpoint, "cpu")
    assert isinstance(network, FlowNetwork)
    assert (network.diameter, network.percentiles, network.stride) == (18.0, (2.0, 99.0), 8)
    out = network.predict(torch.rand(2, 32, 40))
    assert out.shape == (2, 3, 32, 40)
    assert out.dtype == torch.float32


def test_fast_precision_agrees_with_float32(checkpoint: Path) -> None:
    network = BuiltinNetwork(checkpoint, "cpu")
    exact = BuiltinNetwork(checkpoint, "cpu")
    exact._model = exact._model.float()
    exact._dtype = torch.float32
    planes = torch.rand(2, 64, 64)
    torch.testing.assert_close(network.predict(planes), exact.predict(planes), atol=0.05, rtol=0.05)


def test_strange_images_are_farther_than_familiar_ones(checkpoint: Path) -> None:
    network = BuiltinNetwork(checkpoint, "cpu")
    familiar = network.strangeness(torch.rand(4, 32, 32))
    strange = network.strangeness(torch.ones(4, 32, 32) * 7)
    assert familiar is not None
    assert strange is not None
    assert familiar < 1.5 < strange


def test_a_copy_on_another_device_leaves_the_first_alone(checkpoint: Path) -> None:
    network = BuiltinNetwork(checkpoint, "cpu")
    moved = network.to("cpu")
    assert moved is not network
    planes = torch.rand(1, 32, 32)
    torch.testing.assert_close(moved.predict(planes), network.predict(planes))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.safetensors"):
        load_network("builtin", tmp_path / "nothing.safetensors")


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    file = tmp_path / "model.safetensors"
    file.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ModelError, match="safetensors"):
        load_network("builtin", file)
    assert not (tmp_path / "owned").exists()


def test_another_models_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match="not a checkpoint of the built-in network"):
        load_network("builtin", file)


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape", "nan"])
def test_damaged_weights(checkpoint: Path, tmp_path: Path, damage: str) -> None:
    tensors = {n: v for n, v in load_file(checkpoint).items() if not n.startswith("familiar")}
    if damage == "missing":
        del tensors["head.weight"]
    elif damage == "unexpected":
        tensors["extra"] = torch.zeros(1)
    elif damage == "shape":
        tensors["head.weight"] = torch.zeros(12, 8, 1, 1, dtype=torch.float16)
    else:
        tensors["head.weight"][0] = float("nan")
    file = tmp_path / "damaged.safetensors"
    save_file(tensors, file, metadata=metadata())
    with pytest.raises(ModelError, match=r"damaged\.safetensors"):
        load_network("builtin", file)


def test_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="builtin"):
        load_network("unknown")


def test_every_listed_network_says_what_it_is_for() -> None:
    for info in available_networks():
        assert info.title
        assert info.licence
        assert info.note.endswith(".")


def test_the_packaged_weights_are_what_the_card_says() -> None:
    assert verify_packaged_weights()
    assert len(packaged_weights().read_bytes()) < 6_000_000
    assert packaged_card()["scores"]["planes"]["fluo"]["AP@0.5"] > 0.5


def test_the_packaged_network_loads() -> None:
    network = load_network()
    assert network.title == available_networks()[0].title
    assert network.predict(torch.rand(1, 64, 64).to(network.device)).isfinite().all()
