"""MEDIAR: its authors' numbers, and what a wrong port gets wrong (the fixture's README)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.networks import (
    FlowNetwork,
    Intensities,
    channels_of,
    diameters_of,
    intensities_of,
    load_network,
    tiling_of,
)
from napari_cellseg.networks import mediar as module
from napari_cellseg.networks.mediar import eight_bit
from networks.conftest import Mediar

TOLERANCE = 1e-4


def test_parity(mediar: Mediar) -> None:
    expected = mediar.expected
    seen = eight_bit(mediar.planes)
    np.testing.assert_array_equal(seen[0, :, ::8, ::8].numpy(), expected["input_sub"])
    parts: dict[str, torch.Tensor] = {}
    decoder = mediar.network.module.decoder
    hooks = [
        part.register_forward_hook(lambda _, __, out, name=name: parts.update({name: out[0]}))
        for name, part in (("pab", decoder.center), ("decoder", decoder.blocks[-1]))
    ]
    out = mediar.network.predict(mediar.planes)[0].numpy()
    for hook in hooks:
        hook.remove()
    out[:2] *= 5
    assert np.abs(out[:, 2::4, 1::4] - expected["output_sub"]).max() < TOLERANCE
    assert np.abs(out[:, 200:328, 180:308] - expected["output_crop"]).max() < TOLERANCE
    assert np.abs(parts["pab"][::8].numpy() - expected["pab_sub"]).max() < TOLERANCE
    deep = parts["decoder"][::8, ::16, ::16].numpy()
    assert np.abs(deep - expected["decoder_sub"]).max() < TOLERANCE


def test_it_is_a_flow_network(mediar: Mediar) -> None:
    network = mediar.network
    assert isinstance(network, FlowNetwork)
    assert channels_of(network) == 3
    assert intensities_of(network) == Intensities((0.0, 99.5), nonzero=True, together=True)
    tiling = tiling_of(network)
    # the authors' overlap of 0.6 is a step of 0.4 windows, cut down to whole pixels
    assert (tiling.size, tiling.size - tiling.overlap) == (512, int(512 * 0.4))
    assert (tiling.weights, tiling.margin, tiling.strict) == ("gaussian", 0, True)
    low, high = diameters_of(network)
    assert low < network.diameter < high
    assert network.strangeness(mediar.small) is None


def test_flow_is_a_fifth_of_the_networks_and_the_logit_is_not(mediar: Mediar) -> None:
    ours = mediar.network.predict(mediar.small)
    with torch.inference_mode():
        theirs = mediar.network.module(eight_bit(mediar.small))
    torch.testing.assert_close(ours[:, :2], theirs[:, :2] / 5)
    torch.testing.assert_close(ours[:, 2], theirs[:, 2])


def test_there_is_mish_wherever_there_was_relu(mediar: Mediar) -> None:
    kinds = {type(part) for part in mediar.network.module.modules()}
    assert nn.ReLU not in kinds
    assert {nn.Mish, nn.GELU} < kinds


def test_position_attention_is_as_odd_as_the_published_one(mediar: Mediar) -> None:
    """No scaling, one softmax over all pairs, and a reshape without a transpose."""
    centre = mediar.network.module.decoder.center
    deep = torch.randn(1, 512, 3, 5, generator=torch.Generator().manual_seed(1)) * 0.1
    with torch.inference_mode():
        top, middle, bottom = (
            layer(deep)[0].flatten(1).numpy()
            for layer in (centre.top_conv, centre.center_conv, centre.bottom_conv)
        )
        pairs = np.exp(middle.T @ top - (middle.T @ top).max())
        mixed = (pairs / pairs.sum()) @ bottom.T  # (places, channels)
        there = deep + torch.from_numpy(mixed).reshape(1, 512, 3, 5)
        turned = deep + torch.from_numpy(mixed.T.copy()).reshape(1, 512, 3, 5)
        out = centre(deep)
        torch.testing.assert_close(out, centre.out_conv(there), atol=1e-5, rtol=1e-4)
        assert (out - centre.out_conv(turned)).abs().max() > 1e-3


def test_position_attention_stays_float32(mediar: Mediar) -> None:
    seen: list[torch.dtype] = []
    network = mediar.altered(_dtype=torch.bfloat16)
    decoder = network.module.decoder
    hooks = [
        part.register_forward_hook(lambda _, __, out: seen.append(out.dtype))
        for part in (decoder.center.top_conv, decoder.blocks[0].conv1[0])
    ]
    fast = network.predict(mediar.small)
    for hook in hooks:
        hook.remove()
    assert seen == [torch.float32, torch.bfloat16]
    assert fast.dtype == torch.float32
    exact = mediar.network.predict(mediar.small)
    # 512² pixels: 0.085 in bfloat16, 0.008 in float16, where the output spreads over 0.3
    assert 0 < (fast - exact).abs().max() < 0.15


def test_flips_turn_the_flow_back(mediar: Mediar) -> None:
    planes = mediar.small
    flipped = mediar.altered(flips=True)
    plain = mediar.network.predict
    across, down = plain(planes.flip(3)).flip(3), plain(planes.flip(2)).flip(2)
    sign = torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1)  # sideways: along columns
    upside = torch.tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1)
    expected = (plain(planes) + sign * across + upside * down) / 3
    torch.testing.assert_close(flipped.predict(planes), expected, atol=1e-6, rtol=1e-5)


def test_grey_is_repeated_and_a_third_channel_is_black(mediar: Mediar) -> None:
    grey = mediar.small[:, 0]
    plain = mediar.network.predict
    torch.testing.assert_close(plain(grey), plain(grey[:, None].repeat(1, 3, 1, 1)))
    two = mediar.small[:, :2]
    black = torch.cat([two, torch.zeros_like(two[:, :1])], 1)
    torch.testing.assert_close(plain(two), plain(black))
    assert (plain(two) - plain(mediar.small)).abs().max() > 1e-3
    with pytest.raises(InputError, match="3 channels"):
        plain(torch.zeros(1, 4, 32, 32))


def test_any_size_is_answered(mediar: Mediar) -> None:
    out = mediar.network.predict(torch.rand(2, 3, 33, 40))
    assert out.shape == (2, 3, 33, 40)
    assert out.isfinite().all()


def test_values_are_cut_down_to_eight_bits() -> None:
    levels = torch.arange(256) / 255
    torch.testing.assert_close(eight_bit(levels), levels, atol=0, rtol=0)
    torch.testing.assert_close(eight_bit(levels + 0.9 / 255), levels.clamp(max=1), atol=0, rtol=0)
    assert eight_bit(torch.tensor([-3.0, 8.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape", "nan", "meta", "sparse"])
def test_loading_is_strict(
    mediar: Mediar, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    state = dict(mediar.network.module.state_dict())
    first = next(iter(state))
    if damage == "missing":
        del state["cellprob_head.3.bias"]
    elif damage == "unexpected":
        state["encoder.head.weight"] = torch.zeros(1)
    elif damage == "shape":
        state[first] = state[first][:1]
    elif damage == "meta":
        state[first] = state[first].to("meta")
    elif damage == "sparse":
        state[first] = state[first].to_sparse()
    else:
        state[first] = torch.full_like(state[first], float("nan"))
    monkeypatch.setattr(module, "read_state", lambda file: state)
    with pytest.raises(ModelError, match=r"mine\.pth"):
        load_network("mediar", tmp_path / "mine.pth", "cpu")


def test_files_that_are_no_checkpoint_of_it(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"module.x": torch.zeros(2)}, file)
    with pytest.raises(ModelError, match=r"does not fit MEDIAR \(1198 tensors are missing"):
        load_network("mediar", file, "cpu")
    with pytest.raises(ModelError, match="does not exist"):
        load_network("mediar", tmp_path / "nothing.pth")
    with pytest.raises(ModelError, match="Lee-Gihun/MEDIAR"):
        load_network("mediar")
    with pytest.raises(InputError, match="3 model files"):
        load_network("mediar", (file, file, file))
    with pytest.raises(InputError, match="no option 'flip'"):
        load_network("mediar", file, flip=True)
    with pytest.raises(InputError, match="precision"):
        load_network("mediar", file, "cpu", precision="half")


@pytest.mark.parametrize("name", ["mediar", "cellpose-sam"])
def test_a_file_that_wants_to_run_code_is_refused(tmp_path: Path, name: str) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    file = tmp_path / "model.pth"
    torch.save({"encoder.norm1.weight": Hostile()}, file)
    with pytest.raises(ModelError, match="wants to run code"):
        load_network(name, file, "cpu")
    assert not (tmp_path / "owned").exists()


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return torch.full((len(planes), 3, *planes.shape[2:]), self.value)


def test_two_files_are_averaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "read_state", lambda file: {"value": float(file.stem)})
    monkeypatch.setattr(module, "fit", lambda _, state, *rest: Constant(state["value"]))
    network = load_network("mediar", (tmp_path / "10.pth", str(tmp_path / "20.pth")), "cpu")
    assert network.predict(torch.rand(1, 32, 32))[0, :, 0, 0].tolist() == [3.0, 3.0, 15.0]


def test_what_overflows_is_done_again_in_float32(mediar: Mediar) -> None:
    class Overflows(nn.Module):
        def forward(self, planes: torch.Tensor) -> torch.Tensor:
            if torch.is_autocast_enabled("cpu"):
                return torch.full((1, 3, 32, 32), torch.inf, dtype=torch.bfloat16)
            return torch.full((1, 3, 32, 32), 5.0)

    network = mediar.altered(_dtype=torch.bfloat16, _models=nn.ModuleList([Overflows()]))
    assert network.predict(torch.rand(1, 32, 32))[0, :, 0, 0].tolist() == [1.0, 1.0, 5.0]


def test_a_copy_on_another_device_leaves_the_first_alone(mediar: Mediar) -> None:
    first = mediar.altered(_models=nn.ModuleList([nn.Conv2d(3, 3, 1)]))
    moved = first.to("cpu")
    assert moved.module is not first.module
    planes = torch.rand(1, 32, 32)
    torch.testing.assert_close(moved.predict(planes), first.predict(planes), atol=0, rtol=0)
