import pytest
import torch

from napari_cellseg.errors import InputError
from napari_cellseg.networks.device import fast_dtype, resolve_device


def test_auto_finds_something() -> None:
    assert resolve_device("auto").type in ("cuda", "mps", "cpu")
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:999", "meta"])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(InputError, match="device"):
        resolve_device(name)


def test_cpu_dtype_is_one_it_computes_in() -> None:
    assert fast_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert fast_dtype(torch.device("cuda")) == torch.float16


def test_without_matrix_units_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: False, raising=False)
    assert fast_dtype(torch.device("cpu")) == torch.float32
