"""The three levels, what embeddings are filed under, and threads that ask at the same time."""

import dataclasses
import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from napari_cellseg.errors import Cancelled, InputError, ModelError
from napari_cellseg.prompts import disk_cache
from napari_cellseg.prompts.cache_key import content_digest, embedding_key
from napari_cellseg.prompts.cache_lru import ByteLRU
from napari_cellseg.prompts.cache_packed import pack
from napari_cellseg.prompts.embedding import Embedding
from napari_cellseg.prompts.embedding_cache import EmbeddingCache
from napari_cellseg.prompts.predictor import Capabilities, Predictor
from napari_cellseg.prompts.prompt import Prompt
from napari_cellseg.prompts.proposal import Proposal

WAIT = 20.0  # seconds; only a fault makes a test wait that long


class FakePredictor:
    """Encodes a plane to numbers that depend on its values, and counts how often."""

    title = "fake"
    licence = "BSD-3-Clause"
    capabilities = Capabilities()

    def __init__(
        self,
        name: str = "sam",
        fingerprint: str = "f" * 64,
        framing: str = "pad",
        device: str = "cpu",
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.framing = framing
        self.where = torch.device(device)
        self.encoded: list[np.ndarray] = []
        self.before: Callable[[], None] = lambda: None

    @property
    def device(self) -> torch.device:
        return self.where

    def encode(
        self,
        plane: ArrayLike,
        limits: tuple[float, float] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> Embedding:
        array = np.asarray(plane)
        self.encoded.append(array.copy())
        self.before()
        if cancel is not None and cancel.is_set():
            raise Cancelled("The encoding was cancelled.")
        seed = int(array.astype(np.int64).sum())
        image = torch.randn((16, 8, 8), generator=torch.Generator().manual_seed(seed))
        features = {
            "image": image.to(self.where),
            "guiding": (image * 3).to(self.where),
            "edges": (image[0] > 1).to(self.where),
        }
        shape = (array.shape[0], array.shape[1])
        return Embedding(self.name, self.fingerprint, shape, self.framing, features)

    def decode(
        self, embedding: Embedding, prompt: Prompt, multimask: bool | None = None
    ) -> Proposal:
        raise NotImplementedError("the cache never decodes")


def plane_of(number: int = 0) -> np.ndarray:
    return np.full((12, 9), number, np.uint16)


def same(one: Embedding | None, other: Embedding | None) -> bool:
    assert one is not None
    assert other is not None
    return one.features.keys() == other.features.keys() and all(
        one.features[name].dtype == other.features[name].dtype
        and torch.equal(one.features[name], other.features[name])
        for name in one.features
    )


def test_the_fake_is_a_predictor() -> None:
    assert isinstance(FakePredictor(), Predictor)


# levels


def test_a_second_click_encodes_and_transfers_nothing(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    first = cache.get(predictor, plane_of())
    assert cache.get(predictor, plane_of().copy()) is first
    key = cache.key(predictor, plane_of())
    assert cache.get(predictor, plane_of(), key=key) is first
    assert cache.peek(key) is first
    assert cache.in_memory(key)
    assert len(predictor.encoded) == 1


def test_the_same_values_come_from_every_level(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    fresh = cache.get(predictor, plane_of())
    key = cache.key(predictor, plane_of())
    cache.release_device()
    assert cache.device_bytes == 0
    assert cache.in_memory(key)
    from_host = cache.get(predictor, plane_of())
    other = EmbeddingCache(tmp_path)
    assert not other.in_memory(key)
    assert key in other.disk
    from_disk = other.get(predictor, plane_of())
    assert other.in_memory(key)
    assert same(from_host, fresh)
    assert same(from_disk, fresh)
    assert len(predictor.encoded) == 1


def test_features_are_rounded_once_and_bits_are_kept(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    got = cache.get(predictor, plane_of(3)).features
    exact = predictor.encode(plane_of(3)).features
    assert got["image"].dtype == torch.float32
    assert torch.equal(got["image"], exact["image"].half().float())
    assert torch.equal(got["guiding"], exact["guiding"].half().float())
    assert torch.equal(got["edges"], exact["edges"])


def test_full_precision_is_exact(tmp_path: Path) -> None:
    predictor = FakePredictor()
    exact = predictor.encode(plane_of(3))
    assert same(EmbeddingCache(tmp_path, precision="float32").get(predictor, plane_of(3)), exact)
    again = EmbeddingCache(tmp_path, precision="float32")
    assert same(again.peek(again.key(predictor, plane_of(3))), exact)
    assert not same(EmbeddingCache(tmp_path).get(predictor, plane_of(3)), exact)


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor([1e6, 1.0]),
        torch.tensor([1e-9, -3e-9]),
        torch.tensor([float("nan"), 1.0]),
        torch.tensor([1e300, 1.0], dtype=torch.float64),
        torch.tensor([1e20, 1.0], dtype=torch.bfloat16),
    ],
)
def test_what_half_precision_cannot_hold_is_kept_as_it_is(values: torch.Tensor) -> None:
    packed = pack(Embedding("sam", "f", (2, 2), "pad", {"it": values}), "float16")
    got = packed.unpack("cpu").features["it"]
    assert got.dtype == values.dtype
    assert torch.equal(got.nan_to_num(-1.0), values.nan_to_num(-1.0))


def test_bytes_are_counted_as_they_are_held(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    for number in range(3):
        cache.get(predictor, plane_of(number))
    values, bits = 2 * 16 * 8 * 8, 8 * 8
    assert cache.device_bytes == 3 * (4 * values + bits)
    assert cache.host_bytes == 3 * (2 * values + bits)
    files = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert cache.disk.nbytes == files
    cache.clear(disk=False)
    assert (cache.device_bytes, cache.host_bytes) == (0, 0)
    assert cache.disk.nbytes == files
    cache.clear()
    assert cache.disk.nbytes == 0


def test_kept_features_do_not_hold_a_whole_batch(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path, precision="float32"), FakePredictor()
    batch = torch.zeros((64, 4, 8))
    embedding = Embedding("sam", "f" * 64, (12, 9), "pad", {"image": batch[5].T})
    kept = cache.put(cache.key(predictor, plane_of()), embedding).features["image"]
    batch += 1
    assert kept.untyped_storage().nbytes() == kept.nbytes
    assert not kept.any()


def test_planes_leave_the_levels_in_order_of_use(tmp_path: Path) -> None:
    predictor = FakePredictor()
    one = EmbeddingCache(tmp_path / "probe").get(predictor, plane_of()).nbytes
    cache = EmbeddingCache(tmp_path, device_limit=2 * one, host_limit=0, disk_limit=0)
    keys = [cache.key(predictor, plane_of(number)) for number in range(3)]
    cache.get(predictor, plane_of(0))
    cache.get(predictor, plane_of(1))
    cache.get(predictor, plane_of(0))
    cache.get(predictor, plane_of(2))
    assert [cache.in_memory(key) for key in keys] == [True, False, True]
    assert cache.device_bytes == 2 * one
    cache.resize(device=one)
    assert [cache.in_memory(key) for key in keys] == [False, False, True]


def test_devices_are_apart_and_the_host_serves_both(tmp_path: Path) -> None:
    # "meta" is a device of its own on every machine; its tensors have no values
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    here = cache.get(predictor, plane_of())
    elsewhere = FakePredictor(device="meta")
    there = cache.get(elsewhere, plane_of())
    assert there.device.type == "meta"
    assert there.features["image"].dtype == torch.float32
    assert cache.get(elsewhere, plane_of()) is there
    assert cache.get(predictor, plane_of()) is here
    assert elsewhere.encoded == []


def test_a_device_without_memory_is_emptied_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_cellseg.prompts.cache_packed import Packed

    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    cache.get(predictor, plane_of(0))
    real, failures = Packed.unpack, [torch.OutOfMemoryError("out of memory")]

    def unpack(self: Packed, device: Any) -> Embedding:
        if failures:
            raise failures.pop()
        return real(self, device)

    monkeypatch.setattr(Packed, "unpack", unpack)
    second = cache.get(predictor, plane_of(1))
    assert cache.device_bytes == second.nbytes


def test_put_is_for_embeddings_made_elsewhere(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    key = cache.key(predictor, plane_of())
    assert cache.peek(key) is None
    kept = cache.put(key, predictor.encode(plane_of()))
    assert cache.get(predictor, plane_of()) is kept
    assert key in cache.disk
    assert len(predictor.encoded) == 1


@pytest.mark.parametrize(
    "changes",
    [{"family": "medsam"}, {"fingerprint": "0" * 64}, {"framing": "stretch"}, {"shape": (9, 12)}],
)
def test_an_embedding_of_something_else_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    key = cache.key(predictor, plane_of())
    wrong = dataclasses.replace(predictor.encode(plane_of()), **changes)
    with pytest.raises(ModelError, match="another plane, model or framing"):
        cache.put(key, wrong)
    predictor.encode = lambda *_, **__: wrong  # type: ignore[method-assign]
    with pytest.raises(ModelError):
        cache.get(predictor, plane_of())
    assert not cache.in_memory(key)
    assert key not in cache.disk


def test_a_failing_folder_costs_one_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk_cache, "_write_all", full)
    told: list[str] = []
    cache, predictor = EmbeddingCache(tmp_path, notice=told.append), FakePredictor()
    for number in (0, 1, 0, 1):
        cache.get(predictor, plane_of(number))
    assert len(predictor.encoded) == 2
    assert len(told) == 1
    assert "memory only" in told[0]
    assert "free space" in told[0]
    assert cache.notices == told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_damaged_entry_is_encoded_again_and_replaced(tmp_path: Path, damage: str) -> None:
    predictor = FakePredictor()
    first = EmbeddingCache(tmp_path).get(predictor, plane_of())
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[:99], "flip": data, "empty": b"", "foreign": b"PK"}[damage])
    cache = EmbeddingCache(tmp_path)
    assert cache.peek(cache.key(predictor, plane_of())) is None
    assert same(cache.get(predictor, plane_of()), first)
    assert same(EmbeddingCache(tmp_path).get(predictor, plane_of()), first)
    assert len(predictor.encoded) == 2
    assert cache.notices == []


# keys

INGREDIENTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["sam", "medsam", "pa-sam"]),
        "fingerprint": st.sampled_from(["a" * 64, "b" * 64]),
        "framing": st.sampled_from(["pad", "stretch"]),
        "orientation": st.sampled_from(["xy", "xz", "yz"]),
        "precision": st.sampled_from(["float16", "float32"]),
        "limits": st.sampled_from([None, (0.0, 1.0), (0.0, 1.0000000000000002), (1e-300, 1.0)]),
        "dtype": st.sampled_from(["<u2", "<i2", "<f2", ">u2", "<f4"]),
        "shape": st.sampled_from([(4, 6), (6, 4), (2, 12), (4, 2, 3)]),
        "value": st.integers(0, 3),
        "place": st.integers(0, 23),
    }
)


def key_of(ingredients: dict[str, Any]) -> Any:
    plane = np.zeros(24, ingredients["dtype"])
    plane[ingredients["place"]] = ingredients["value"]
    predictor = FakePredictor(
        ingredients["name"], ingredients["fingerprint"], ingredients["framing"]
    )
    return embedding_key(
        predictor,
        plane.reshape(ingredients["shape"]),
        ingredients["limits"],
        orientation=ingredients["orientation"],
        precision=ingredients["precision"],
    )


@settings(max_examples=300, deadline=None)
@given(INGREDIENTS, INGREDIENTS, st.data())
def test_keys_differ_if_any_ingredient_differs(
    one: dict[str, Any], other: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(one)))
    changed = {**one, name: other[name]}
    blank = one["value"] == 0 == changed["value"]  # then it does not matter where the pixel is
    equal = one == changed or (blank and name == "place")
    assert (key_of(one).digest == key_of(changed).digest) == equal
    assert key_of(one) == key_of(one)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 12 * 9 - 1), st.integers(1, 2**16 - 1))
def test_one_changed_pixel_is_another_plane(place: int, difference: int) -> None:
    plane = plane_of()
    before = content_digest(plane)
    plane.reshape(-1)[place] ^= difference
    assert content_digest(plane) != before


def test_contrast_does_not_count_for_8_bit_planes() -> None:
    predictor, plane = FakePredictor(), np.zeros((4, 4), np.uint8)
    assert embedding_key(predictor, plane, (0, 9)) == embedding_key(predictor, plane)


def test_strides_do_not_count() -> None:
    volume = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    assert content_digest(volume[:, 2]) == content_digest(volume[:, 2].copy())
    assert content_digest(volume[:, 2]) != content_digest(volume[:, 2].T.copy())


@pytest.mark.parametrize(
    "plane",
    [
        np.array([["a", "b"]]),
        np.array([[{}, None]], dtype=object),
        np.zeros((2, 2), complex),
        np.zeros(3),
        np.zeros((1, 2, 3, 4)),
        5,
    ],
)
def test_what_is_no_plane_of_numbers_is_refused(plane: Any) -> None:
    with pytest.raises(InputError, match="has no embedding"):
        content_digest(plane)


@pytest.mark.parametrize("limits", [(1,), (1, 2, 3), "ab", 4, (None, 1)])
def test_limits_that_are_not_two_numbers_are_refused(limits: Any) -> None:
    with pytest.raises(InputError, match="not two numbers"):
        embedding_key(FakePredictor(), plane_of(), limits)


def test_empty_planes_have_keys() -> None:
    assert content_digest(np.zeros((0, 4))) != content_digest(np.zeros((4, 0)))


def test_a_plane_edited_under_its_key_gets_its_own_embedding(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    plane = plane_of(1)
    stale = cache.key(predictor, plane)
    plane[:] = 2
    got = cache.get(predictor, plane, key=stale)
    assert same(got, cache.get(predictor, plane_of(2)))
    assert not cache.in_memory(stale)
    assert len(predictor.encoded) == 1


def test_a_plane_edited_while_it_is_encoded_is_encoded_as_it_was(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    plane = plane_of(1)
    key = cache.key(predictor, plane)
    seen: list[np.ndarray] = []
    real = predictor.encode

    def encode(given: ArrayLike, limits: Any = None, *, cancel: Any = None) -> Embedding:
        plane[:] = 2  # someone paints just now
        seen.append(np.array(given))
        return real(given, limits, cancel=cancel)

    predictor.encode = encode  # type: ignore[method-assign]
    cache.get(predictor, plane)
    assert (seen[0] == 1).all()
    assert cache.in_memory(key)


# threads


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


class Held:
    """Makes a predictor's encoding wait until it is let go."""

    def __init__(self, predictor: FakePredictor) -> None:
        self.started, self.go = threading.Event(), threading.Event()
        predictor.before = self._hold

    def _hold(self) -> None:
        self.started.set()
        assert self.go.wait(WAIT)


@pytest.mark.parametrize("limit", [2**20, 0])
def test_threads_that_ask_for_the_same_plane_encode_once(tmp_path: Path, limit: int) -> None:
    # even where no level can remember it: those who wait share what they waited for
    cache = EmbeddingCache(tmp_path, device_limit=limit, host_limit=limit, disk_limit=limit)
    predictor = FakePredictor()
    held = Held(predictor)
    threads = [in_thread(lambda: cache.get(predictor, plane_of())) for _ in range(6)]
    assert held.started.wait(WAIT)
    time.sleep(0.1)  # the others arrive
    held.go.set()
    for thread, _ in threads:
        thread.join(WAIT)
    assert len(predictor.encoded) == 1
    first = threads[0][1][0]
    assert all(same(results[0], first) for _, results in threads)
    if limit:
        assert all(results[0] is first for _, results in threads)


def test_nobody_else_waits_while_a_plane_is_encoded(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    cached = cache.get(predictor, plane_of(0))
    elsewhere = cache.get(predictor, plane_of(1))
    cache.release_device()
    busy = FakePredictor()
    held = Held(busy)
    thread, _ = in_thread(lambda: cache.get(busy, plane_of(2)))
    assert held.started.wait(WAIT)
    key = cache.key(predictor, plane_of(2))
    start = time.perf_counter()
    assert same(cache.get(predictor, plane_of(0)), cached)
    assert same(cache.peek(cache.key(predictor, plane_of(1))), elsewhere)
    assert cache.peek(key) is None
    assert not cache.in_memory(key)
    assert time.perf_counter() - start < 1.0
    assert thread.is_alive()
    cache.get(predictor, plane_of(3))  # another plane can even be encoded meanwhile
    held.go.set()
    thread.join(WAIT)
    assert cache.in_memory(key)


def test_who_waits_goes_on_when_the_one_who_encodes_is_cancelled(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    held, stop = Held(predictor), threading.Event()
    first, first_results = in_thread(lambda: cache.get(predictor, plane_of(), cancel=stop))
    assert held.started.wait(WAIT)
    second, second_results = in_thread(lambda: cache.get(predictor, plane_of()))
    time.sleep(0.05)
    stop.set()
    held.go.set()
    first.join(WAIT)
    second.join(WAIT)
    assert isinstance(first_results[0], Cancelled)
    assert isinstance(second_results[0], Embedding)


def test_who_waits_can_be_cancelled_alone(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    held, stop = Held(predictor), threading.Event()
    first, first_results = in_thread(lambda: cache.get(predictor, plane_of()))
    assert held.started.wait(WAIT)
    second, second_results = in_thread(lambda: cache.get(predictor, plane_of(), cancel=stop))
    stop.set()
    second.join(WAIT)
    assert isinstance(second_results[0], Cancelled)
    assert first.is_alive()
    held.go.set()
    first.join(WAIT)
    assert isinstance(first_results[0], Embedding)
    assert len(predictor.encoded) == 1


def test_a_failed_encoding_is_not_remembered(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()

    def fail() -> None:
        raise InputError("The plane is constant.")

    predictor.before = fail
    for _ in range(2):
        with pytest.raises(InputError):
            cache.get(predictor, plane_of())
    predictor.before = lambda: None
    assert isinstance(cache.get(predictor, plane_of()), Embedding)
    assert len(predictor.encoded) == 3


def test_a_cancelled_request_encodes_nothing(tmp_path: Path) -> None:
    cache, predictor = EmbeddingCache(tmp_path), FakePredictor()
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        cache.get(predictor, plane_of(), cancel=stop)
    assert predictor.encoded == []


def test_many_threads_on_tight_levels_get_the_right_planes(tmp_path: Path) -> None:
    predictor = FakePredictor()
    one = EmbeddingCache(tmp_path / "probe").get(predictor, plane_of()).nbytes
    cache = EmbeddingCache(tmp_path, device_limit=2 * one, host_limit=2 * one, disk_limit=5 * one)
    expected = [pack(predictor.encode(plane_of(n)), "float16").unpack("cpu") for n in range(8)]

    def work(seed: int) -> bool:
        chance = np.random.default_rng(seed)
        return all(
            same(cache.get(predictor, plane_of(number)), expected[number])
            and cache.device_bytes <= 2 * one
            and cache.host_bytes <= 2 * one
            for number in chance.integers(0, 8, 60).tolist()
        )

    threads = [in_thread(lambda seed=seed: work(seed)) for seed in range(4)]
    for thread, _ in threads:
        thread.join(WAIT)
    assert [results for _, results in threads] == [[True]] * 4


# the bounded mapping


@dataclasses.dataclass(eq=False)
class Sized:
    nbytes: int


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 100),
    st.lists(
        st.one_of(
            st.tuples(st.just("keep"), st.integers(0, 9), st.integers(0, 60)),
            st.tuples(st.just("get"), st.integers(0, 9), st.just(0)),
            st.tuples(st.just("drop"), st.integers(0, 9), st.just(0)),
            st.tuples(st.just("resize"), st.just(0), st.integers(0, 100)),
        ),
        max_size=40,
    ),
)
def test_the_mapping_never_exceeds_its_bytes(limit: int, steps: list[Any]) -> None:
    held: ByteLRU[int, Sized] = ByteLRU(limit)
    model: dict[int, Sized] = {}  # insertion order is order of use
    for what, key, size in steps:
        if what == "keep":
            value = Sized(size)
            got = held.keep(key, value)
            if key in model:
                assert got is model[key]
                model[key] = model.pop(key)
            elif size <= limit:
                while sum(other.nbytes for other in model.values()) + size > limit:
                    del model[next(iter(model))]
                model[key] = value
        elif what == "get":
            assert held.get(key) is model.get(key)
            if key in model:
                model[key] = model.pop(key)
        elif what == "drop":
            held.drop(key)
            model.pop(key, None)
        else:
            limit = size
            held.resize(limit)
            while sum(other.nbytes for other in model.values()) > limit:
                del model[next(iter(model))]
        assert held.nbytes == sum(value.nbytes for value in model.values()) <= held.limit == limit
        assert {key for key in range(10) if key in held} == set(model)
        assert len(held) == len(model)


def test_importing_the_cache_loads_no_torch() -> None:
    code = (
        "import sys, napari_cellseg.prompts.embedding_cache;"
        "assert not {'torch', 'qtpy', 'napari', 'imagecodecs'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
