import pytest
import torch

from napari_cellseg.errors import InputError
from napari_cellseg.networks.device import fast_dtype, resolve_device, worker_device


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


def test_gpus_are_dealt_out_to_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    found = [worker_device(index, "auto") for index in range(4)]
    assert found == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    assert worker_device(5, "cuda") == "cuda:2"
    assert worker_device(5, "cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="cuda:3"):
        worker_device(0, "cuda:3")


def test_workers_without_gpus_share_the_device() -> None:
    assert worker_device(3, "cpu") == "cpu"
    with pytest.raises(InputError, match="device"):
        worker_device(0, "gpu")
