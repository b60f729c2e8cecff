"""One load serves all; the least recently used leave first."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from napari_cellseg.worker import ModelCache


@dataclass
class Model:
    nbytes: int


class Tensor:
    nbytes = 40


class Module:
    def __init__(self) -> None:
        self.tensors = [Tensor(), Tensor()]
        self.state = Tensor()

    def parameters(self) -> list[Tensor]:
        return self.tensors

    def buffers(self) -> list[Tensor]:
        return [self.state]


class Network:
    """Holds a module among other things."""

    def __init__(self) -> None:
        self.name = "net"
        self._model = Module()


def test_a_model_is_loaded_once_however_many_ask() -> None:
    cache, loads = ModelCache(), []
    together = threading.Barrier(4)
    got = []

    def load() -> Model:
        loads.append(1)
        return Model(10)

    def ask() -> None:
        together.wait(20)
        got.append(cache.get("flow", "builtin", None, "cpu", load))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(loads) == 1
    assert len({id(model) for model in got}) == 1


def test_devices_and_names_are_apart() -> None:
    cache = ModelCache()
    a = cache.get("flow", "builtin", None, "cpu", lambda: Model(1))
    b = cache.get("flow", "builtin", None, "cuda", lambda: Model(1))
    c = cache.get("flow", "other", None, "cpu", lambda: Model(1))
    assert len({id(a), id(b), id(c)}) == 3
    cache.clear("cuda")
    assert len(cache) == 2
    cache.clear()
    assert len(cache) == 0


def test_replaced_checkpoint_is_loaded_anew(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"one")
    cache = ModelCache()
    first = cache.get("flow", "mediar", file, "cpu", lambda: Model(1))
    assert cache.get("flow", "mediar", str(file), "cpu", lambda: Model(1)) is first
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert cache.get("flow", "mediar", file, "cpu", lambda: Model(1)) is not first


def test_bound_drops_the_least_recently_used() -> None:
    cache = ModelCache(limit=250)
    for name in "ab":
        cache.get("flow", name, None, "cpu", lambda: Model(100))
    cache.get("flow", "a", None, "cpu", lambda: Model(100))
    cache.get("flow", "c", None, "cpu", lambda: Model(100))
    assert cache.nbytes == 200
    loads = []
    cache.get("flow", "a", None, "cpu", lambda: loads.append("a") or Model(100))
    cache.get("flow", "b", None, "cpu", lambda: loads.append("b") or Model(100))
    assert loads == ["b"]
    cache.resize(50)
    assert len(cache) == 1  # one too large is kept for the job that needs it


@pytest.mark.parametrize("kind", [Module, Network])
def test_size_is_that_of_the_tensors(kind: type) -> None:
    cache = ModelCache()
    cache.get("flow", "net", None, "cpu", kind)
    assert cache.nbytes == 120
