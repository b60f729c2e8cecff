"""Cellpose-SAM: what the package's own network says of the same tile, from a small file."""

import logging
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.networks import (
    FlowNetwork,
    Intensities,
    channels_of,
    diameters_of,
    intensities_of,
    lone_module,
    tiling_of,
)
from napari_cellseg.networks import cellpose_sam as module
from napari_cellseg.networks.cellpose_sam import CellposeSamNetwork, cellpose_network

TOLERANCE = 1e-4


class Sam:
    """All that Cellpose-SAM takes of SAM: its image encoder, here a narrow one."""

    def __init__(self, checkpoint: None) -> None:
        self.image_encoder = ImageEncoderViT(
            img_size=1024,
            embed_dim=32,
            depth=2,
            num_heads=2,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=(1,),
        )


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The installed package's network, random and narrow."""
    logging.disable(logging.WARNING)
    import cellpose.vit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cellpose.vit, "sam_model_registry", {"vit_l": Sam})
        torch.manual_seed(4)
        model = cellpose.vit.CPSAM()
    logging.disable(logging.NOTSET)
    for name, value in model.named_parameters():
        if not name.startswith(("W2", "diam")):
            torch.nn.init.normal_(value, std=0.2 if value.ndim > 1 else 0.05)
    return model.eval()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, as narrow."""
    ours = cellpose_network()
    registry = vars(sys.modules[ours.__module__])["sam_model_registry"]
    monkeypatch.setitem(registry, "vit_l", Sam)


@pytest.fixture
def file(theirs: Any, tmp_path: Path, narrow: None) -> Path:
    path = tmp_path / "cpsam_v2"
    torch.save(theirs.state_dict(), path)
    return path


def test_a_tile_is_answered_as_by_the_package(theirs: Any, file: Path) -> None:
    network = CellposeSamNetwork(file, "cpu")
    tile = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(5)) * 1.2
    with torch.no_grad():
        expected = theirs(tile)[0]
    ours = network.predict(tile)
    assert expected.std() > 0.01
    assert (ours[:, :2] * 5 - expected[:, :2]).abs().max() < TOLERANCE
    assert (ours[:, 2] - expected[:, 2]).abs().max() < TOLERANCE


def test_a_small_plane_of_few_channels_is_answered_as_by_the_package(
    theirs: Any, file: Path
) -> None:
    from cellpose.core import run_net

    plane = np.random.default_rng(6).random((2, 133, 90)).astype(np.float32)
    image = np.zeros((1, 133, 90, 3), np.float32)
    image[0, ..., :2] = plane.transpose(1, 2, 0)
    expected = run_net(theirs, image, bsize=256)[0][0].transpose(2, 0, 1)
    ours = CellposeSamNetwork(file, "cpu").predict(torch.from_numpy(plane)[None])[0].numpy()
    ours[:2] *= 5
    assert np.abs(ours - expected).max() < TOLERANCE


def test_grey_is_the_first_channel(file: Path) -> None:
    network = CellposeSamNetwork(file, "cpu")
    grey = torch.rand(1, 40, 64)
    colour = torch.zeros(1, 3, 40, 64)
    colour[:, 0] = grey
    torch.testing.assert_close(network.predict(grey), network.predict(colour))


def test_it_is_a_flow_network(file: Path) -> None:
    network = CellposeSamNetwork(file, "cpu")
    assert isinstance(network, FlowNetwork)
    assert channels_of(network) == 3
    assert intensities_of(network) == Intensities((1.0, 99.0), together=False)
    assert (tiling_of(network).size, tiling_of(network).strict) == (256, True)
    assert diameters_of(network) == (7.5, 120.0)
    assert network.strangeness(torch.zeros(1, 8, 8)) is None
    moved = network.to("cpu")
    assert moved.module is not network.module


@pytest.mark.parametrize("shape", [(1, 4, 64, 64), (1, 3, 257, 64)])
def test_what_it_cannot_take(file: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="256 × 256"):
        CellposeSamNetwork(file, "cpu").predict(torch.zeros(shape))


def test_files_of_several_gpus_and_without_diameters(
    theirs: Any, tmp_path: Path, narrow: None
) -> None:
    state = {f"module.{k}": v for k, v in theirs.state_dict().items() if not k.startswith("diam")}
    torch.save(state, tmp_path / "mine")
    network = CellposeSamNetwork(tmp_path / "mine", "cpu")
    for name, value in network.module.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name])


def test_the_packages_own_file_is_found(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path))
    assert CellposeSamNetwork(device="cpu").module is not None
    file.rename(tmp_path / "cpsam")
    assert CellposeSamNetwork(device="cpu").module is not None
    (tmp_path / "cpsam").unlink()
    with pytest.raises(ModelError, match="start Cellpose once"):
        CellposeSamNetwork(device="cpu")


def test_other_files(file: Path, tmp_path: Path, theirs: Any) -> None:
    torch.save({"output.2.weight": torch.zeros(1)}, tmp_path / "cyto3")
    with pytest.raises(ModelError, match="Cellpose 3"):
        CellposeSamNetwork(tmp_path / "cyto3", "cpu")
    torch.save({"W2": torch.zeros(1), "encoder.cls_token": torch.zeros(1)}, tmp_path / "cpdino")
    with pytest.raises(ModelError, match="DINO"):
        CellposeSamNetwork(tmp_path / "cpdino", "cpu")
    state = dict(theirs.state_dict())
    del state["encoder.blocks.1.attn.rel_pos_h"]
    torch.save(state, tmp_path / "torn")
    with pytest.raises(ModelError, match="1 tensors are missing"):
        CellposeSamNetwork(tmp_path / "torn", "cpu")


@pytest.mark.parametrize("lacking", ["cellpose", "segment_anything"])
def test_without_a_package(monkeypatch: pytest.MonkeyPatch, lacking: str, file: Path) -> None:
    for name in list(sys.modules):
        if name.startswith(("napari_cellseg.networks._cellpose", "napari_cellseg.networks._seg")):
            monkeypatch.delitem(sys.modules, name)
    find = lone_module.find_spec
    monkeypatch.setattr(lone_module, "find_spec", lambda n: None if n == lacking else find(n))
    with pytest.raises(ModelError, match="pip install"):
        module.CellposeSamNetwork(file, "cpu")


def test_nothing_of_the_packages_but_the_network_is_loaded() -> None:
    code = (
        "import sys, torch; from napari_cellseg.networks.cellpose_sam import cellpose_network;"
        "cellpose_network();"
        "from napari_cellseg.networks.mediar_former import _modules; _modules();"
        "names = ('torchvision', 'triton', 'torch._dynamo', 'timm', 'cellpose',"
        " 'segment_anything', 'segmentation_models_pytorch');"
        "print(sorted(set(names) & set(sys.modules)), torch.backends.cuda.matmul.allow_tf32)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"
    assert done.stderr == ""
