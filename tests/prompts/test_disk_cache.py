"""Entries on disk: whole or absent, whatever happens to the process, the disk or the bytes."""

import errno
import os
import random
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.prompts import cache_entry, disk_cache
from napari_cellseg.prompts.cache_entry import EntryError, read_entry, write_entry
from napari_cellseg.prompts.cache_key import EmbeddingKey
from napari_cellseg.prompts.cache_packed import Packed, pack
from napari_cellseg.prompts.disk_cache import DiskCache, default_folder
from napari_cellseg.prompts.embedding import Embedding


def make_key(number: int = 0, **changes: Any) -> EmbeddingKey:
    facts: dict[str, Any] = {
        "digest": f"{number:064x}",
        "family": "sam",
        "fingerprint": "f" * 64,
        "framing": "pad",
        "shape": (40, 50),
        "precision": "float16",
    }
    return EmbeddingKey(**{**facts, **changes})


def make_packed(seed: int = 0, side: int = 8) -> Packed:
    generator = torch.Generator().manual_seed(seed)
    features = {
        "image": torch.randn((16, side, side), generator=generator),
        "edges": torch.rand((64, 64), generator=generator) < 0.1,
        "counts": torch.randint(-(2**40), 2**40, (3, 5), generator=generator),
    }
    return pack(Embedding("sam", "f" * 64, (40, 50), "pad", features), "float16")


def same(one: Packed, other: Packed) -> bool:
    facts = ("family", "fingerprint", "shape", "framing", "formats")
    return (
        all(getattr(one, fact) == getattr(other, fact) for fact in facts)
        and one.features.keys() == other.features.keys()
        and all(
            one.features[name].dtype == other.features[name].dtype
            and torch.equal(one.features[name], other.features[name])
            for name in one.features
        )
    )


def entry_of(seed: int = 0) -> bytes:
    return b"".join(write_entry(make_key(), make_packed(seed)))


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))


def stamp(cache: DiskCache, key: EmbeddingKey, seconds: float) -> None:
    os.utime(cache.path(key), (seconds, seconds))


# what an entry is


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "deep" / "folder")
    key, packed = make_key(), make_packed()
    assert cache.read(key) is None
    assert key not in cache
    assert cache.write(key, packed)
    assert key in cache
    back = cache.read(key)
    assert back is not None
    assert same(back, packed)
    assert cache.nbytes == cache.path(key).stat().st_size
    assert not parts(cache.folder)


@pytest.mark.parametrize(
    "values",
    [
        torch.zeros((0, 4)),
        torch.tensor(3.5),
        torch.full((64, 64), 0.25, dtype=torch.float64),
        torch.arange(256, dtype=torch.uint8),
        torch.arange(-7, 7, dtype=torch.int16),
        torch.ones(9, dtype=torch.bool),
    ],
    ids=lambda values: f"{values.dtype}-{tuple(values.shape)}",
)
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_every_kind_of_feature_keeps_format_and_shape(values: torch.Tensor, precision: Any) -> None:
    embedding = Embedding("sam", "f" * 64, (40, 50), "pad", {"it": values})
    packed = pack(embedding, precision)
    back = read_entry(b"".join(write_entry(make_key(), packed)), make_key())
    assert same(back, packed)
    handed = back.unpack("cpu").features["it"]
    assert handed.dtype == values.dtype
    assert torch.equal(handed, values)  # these values are exact in half precision


def test_a_sam_entry_of_noise_takes_less_than_two_mebibytes() -> None:
    # the worst case: nothing in noise can be predicted
    noise = {"image": torch.randn((256, 64, 64), generator=torch.Generator().manual_seed(0))}
    packed = pack(Embedding("sam", "f" * 64, (1024, 1024), "pad", noise), "float16")
    entry = write_entry(make_key(shape=(1024, 1024)), packed)
    assert packed.nbytes == 2 * 2**20
    assert sum(map(len, entry)) < 0.87 * packed.nbytes


def test_what_does_not_get_smaller_is_stored_raw() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, 5000, np.uint8))
    packed = pack(Embedding("sam", "f" * 64, (40, 50), "pad", {"it": noise}), "float16")
    pieces = write_entry(make_key(), packed)
    assert noise.numpy().tobytes() in pieces
    assert same(read_entry(b"".join(pieces), make_key()), packed)


def test_formats_without_a_place_on_disk_stay_in_memory(tmp_path: Path) -> None:
    notices: list[str] = []
    cache = DiskCache(tmp_path, notice=notices.append)
    complex_ = {"it": torch.zeros(3, dtype=torch.complex64)}
    packed = pack(Embedding("sam", "f" * 64, (40, 50), "pad", complex_), "float16")
    assert not cache.write(make_key(), packed)
    assert not cache.write(make_key(1), packed)
    assert len(notices) == 1
    assert "complex64" in notices[0]
    assert not list(tmp_path.iterdir())


# what is not an entry


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_garbled_or_cut_entries_are_never_believed(data: st.DataObject) -> None:
    whole = entry_of()
    damaged = bytearray(whole)
    how = data.draw(st.sampled_from(["flip", "cut", "append", "overwrite", "swap"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    if how == "flip":
        damaged[place] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        del damaged[place:]
    elif how == "append":
        damaged += data.draw(st.binary(min_size=1, max_size=64))
    elif how == "overwrite":
        piece = data.draw(st.binary(min_size=1, max_size=64))
        damaged[place : place + len(piece)] = piece
    else:
        damaged = damaged[place:] + damaged[:place]
    if damaged == whole:
        assert same(read_entry(damaged, make_key()), make_packed())
    else:
        with pytest.raises(EntryError):
            read_entry(damaged, make_key())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_other_bytes_are_never_believed(data: bytes) -> None:
    with pytest.raises(EntryError):
        read_entry(data, make_key())


def signed(header: bytes, payload: bytes = b"") -> bytes:
    """An entry with a right checksum, as a stranger could make one."""
    import hashlib

    body = cache_entry._MAGIC + cache_entry._LENGTH.pack(len(header)) + header + payload
    return body + hashlib.sha256(body).digest()


FEATURE = ["image", "float16", "float32", [4], "raw", 8]


@pytest.mark.parametrize(
    ("features", "payload"),
    [
        ([[*FEATURE[:3], [2**40], "zstd", 8]], b"x" * 8),
        ([[*FEATURE[:3], [2**40, 2**40], "raw", 8]], b"x" * 8),
        ([[*FEATURE[:3], [-4], "raw", 8]], b"x" * 8),
        ([[*FEATURE[:3], [5], "raw", 8]], b"x" * 8),
        ([[*FEATURE[:3], [4], "zstd", 8]], b"x" * 8),
        ([[*FEATURE[:3], [4], "pickle", 8]], b"x" * 8),
        ([["image", "object", "float32", [4], "raw", 8]], b"x" * 8),
        ([["image", "float16", "save", [4], "raw", 8]], b"x" * 8),
        ([[7, "float16", "float32", [4], "raw", 8]], b"x" * 8),
        ([FEATURE], b"x" * 9),
        ([FEATURE], b"x" * 7),
        ([["image"]], b""),
        ([], b""),
        (3, b""),
    ],
)
def test_strangers_entries_with_right_checksums_are_refused(features: Any, payload: bytes) -> None:
    import json

    header = json.dumps({**cache_entry._facts(make_key()), "features": features}).encode()
    with pytest.raises(EntryError):
        read_entry(signed(header, payload), make_key())


def test_an_entry_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = {"it": torch.zeros(100_000)}  # some hundred bytes on disk
    packed = pack(Embedding("sam", "f" * 64, (40, 50), "pad", zeros), "float16")
    entry = b"".join(write_entry(make_key(), packed))
    assert len(entry) < 1000
    monkeypatch.setattr(cache_entry, "LARGEST", 100_000)
    with pytest.raises(EntryError, match="larger than its entry"):
        read_entry(entry, make_key())
    with pytest.raises(EntryError, match="more than an entry may hold"):
        write_entry(make_key(), packed)


@pytest.mark.parametrize("header", [b"[" * 60_000, b"[]", b"\xff\xfe", b"null", b'{"format": 1}'])
def test_strangers_headers_are_refused(header: bytes) -> None:
    with pytest.raises(EntryError):
        read_entry(signed(header), make_key())


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "e" * 64},
        {"family": "medsam"},
        {"fingerprint": "a" * 64},
        {"framing": "stretch"},
        {"shape": (40, 51)},
        {"precision": "float32"},
    ],
)
def test_an_entry_of_another_model_or_plane_is_ignored(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    cache = DiskCache(tmp_path)
    assert cache.write(make_key(), make_packed())
    wanted = make_key(**changes)
    os.rename(cache.path(make_key()), cache.path(wanted))
    assert cache.read(wanted) is None


def test_an_outdated_entry_is_ignored_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(tmp_path)
    cache.write(make_key(), make_packed(1))
    monkeypatch.setattr(cache_entry, "FORMAT", cache_entry.FORMAT + 1)
    assert cache.read(make_key()) is None
    assert cache.write(make_key(), make_packed(2))
    back = cache.read(make_key())
    assert back is not None
    assert same(back, make_packed(2))


def test_a_damaged_entry_is_replaced(tmp_path: Path) -> None:
    notices: list[str] = []
    cache = DiskCache(tmp_path, notice=notices.append)
    cache.path(make_key()).write_bytes(entry_of()[:-5])
    assert cache.read(make_key()) is None
    assert cache.write(make_key(), make_packed())
    assert cache.read(make_key()) is not None
    assert notices == []


def test_things_that_are_no_files_do_not_make_us_wait(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    cache = DiskCache(tmp_path)
    os.mkfifo(cache.path(make_key(1)))
    cache.path(make_key(2)).mkdir()
    cache.path(make_key(3)).symlink_to(tmp_path / "nowhere")
    assert [cache.read(make_key(number)) for number in (1, 2, 3)] == [None] * 3


# bounds


def test_what_was_used_longest_ago_leaves_first(tmp_path: Path) -> None:
    size = len(entry_of())
    cache = DiskCache(tmp_path, limit=int(size * 4.6))  # room for four
    for number in range(4):
        cache.write(make_key(number), make_packed())
        stamp(cache, make_key(number), 1000 + number)
    assert cache.read(make_key(0)) is not None  # now the newest
    cache.write(make_key(4), make_packed())
    there = [number for number in range(5) if make_key(number) in cache]
    assert there == [0, 2, 3, 4]
    cache.write(make_key(5), make_packed())
    assert [number for number in range(6) if make_key(number) in cache] == [0, 3, 4, 5]
    assert cache.nbytes <= cache.limit


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), min_size=1, max_size=30),
    st.integers(500, 30_000),
)
def test_the_limit_holds_after_every_write(writes: Sequence[tuple[int, int]], limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = DiskCache(folder, limit=limit)
        for number, side in writes:
            kept = cache.write(make_key(number), make_packed(side, side))
            assert cache.nbytes <= limit
            assert kept == (make_key(number) in cache) or not kept


def test_room_is_made_for_what_other_processes_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_cache, "_RECOUNT", 2)
    size = len(entry_of())
    one = DiskCache(tmp_path, limit=int(size * 10.5))
    other = DiskCache(tmp_path, limit=int(size * 10.5))
    for number in range(0, 40, 2):
        one.write(make_key(number), make_packed())
        other.write(make_key(number + 1), make_packed())
        assert one.nbytes <= one.limit + 4 * size  # at most what is written between two counts


def test_resize_and_clear(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    (tmp_path / "notes.txt").write_text("not ours")
    for number in range(6):
        cache.write(make_key(number), make_packed())
        stamp(cache, make_key(number), 1000 + number)
    cache.resize(cache.nbytes // 2)
    assert 1 <= len(cache) <= 3
    assert make_key(5) in cache
    cache.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_no_limit_means_no_disk(tmp_path: Path) -> None:
    DiskCache(tmp_path).write(make_key(), make_packed())
    cache = DiskCache(tmp_path, limit=0)
    assert cache.read(make_key()) is None
    assert make_key() not in cache
    assert not cache.write(make_key(1), make_packed())
    assert len(list(tmp_path.iterdir())) == 1


def test_an_entry_larger_than_the_limit_evicts_nothing(tmp_path: Path) -> None:
    size = len(entry_of())
    cache = DiskCache(tmp_path, limit=size + 100)
    cache.write(make_key(), make_packed())
    assert not cache.write(make_key(1), make_packed(side=64))
    assert make_key() in cache


def test_only_old_temporary_files_are_cleaned_up(tmp_path: Path) -> None:
    old = tmp_path / f".{'a' * 64}.{'1' * 16}.part"
    young = tmp_path / f".{'a' * 64}.{'2' * 16}.part"
    foreign = tmp_path / ".thesis.part"
    for path in (old, young, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (time.time() - 7200,) * 2)
    DiskCache(tmp_path).write(make_key(), make_packed())
    assert not old.exists()
    assert young.exists()  # a living process may be writing it
    assert foreign.exists()


def test_the_default_folder_is_the_users_cache() -> None:
    assert default_folder().name == "embeddings"
    assert "napari-cellseg" in default_folder().parts
    assert DiskCache().folder == default_folder()


# disks that fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    notices: list[str] = []
    cache = DiskCache(tmp_path, notice=notices.append)
    cache.write(make_key(), make_packed())

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(disk_cache, "_write_all", full)
        assert not cache.write(make_key(1), make_packed())
        assert not cache.write(make_key(2), make_packed())
    assert [path.name for path in tmp_path.iterdir()] == [cache.path(make_key()).name]
    assert cache.read(make_key()) is not None
    assert len(notices) == 1
    assert str(tmp_path) in notices[0]
    assert cache.write(make_key(1), make_packed())  # space again


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_may_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    # permissions do not bind the superuser that tests may run as, so the calls fail by hand
    notices: list[str] = []
    cache = DiskCache(tmp_path, notice=notices.append)
    cache.write(make_key(), make_packed())
    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        real = getattr(os, call)

        def refuse(path: Any, *arguments: Any, **named: Any) -> Any:
            if call == "open" and not arguments[0] & os.O_CREAT:
                return real(path, *arguments, **named)
            raise OSError(code, os.strerror(code))

        def refuse_stamp(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EROFS, "read-only")

        patch.setattr(disk_cache.os, call, refuse)
        patch.setattr(disk_cache.os, "utime", refuse_stamp)
        assert not cache.write(make_key(1), make_packed())
        assert not cache.write(make_key(2), make_packed())
        assert cache.read(make_key()) is not None
    assert sorted(tmp_path.iterdir()) == before
    assert len(notices) == 1


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    place = tmp_path / "embeddings"
    place.write_text("something else")
    notices: list[str] = []
    cache = DiskCache(place, notice=notices.append)
    assert cache.read(make_key()) is None
    assert not cache.write(make_key(), make_packed())
    assert not cache.write(make_key(), make_packed())
    cache.resize(100)
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)
    assert len(notices) == 1
    assert place.read_text() == "something else"


def test_a_folder_that_may_not_even_be_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices: list[str] = []
    cache = DiskCache(tmp_path, notice=notices.append)
    cache.write(make_key(), make_packed())

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        for call in ("stat", "open", "scandir", "utime", "unlink", "mkdir"):
            patch.setattr(os, call, refuse)
        assert make_key() not in cache
        assert cache.read(make_key()) is None
        assert not cache.write(make_key(1), make_packed())
        assert (len(cache), cache.nbytes) == (0, 0)
        cache.resize(1)
        cache.clear()
    assert len(notices) == 1
    assert "another folder" in notices[0]
    assert make_key() in cache


def test_a_folder_that_goes_away_is_made_again(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "embeddings")
    cache.write(make_key(), make_packed())
    cache.path(make_key()).unlink()
    cache.folder.rmdir()
    assert cache.read(make_key()) is None
    assert cache.write(make_key(), make_packed())
    assert cache.read(make_key()) is not None


# processes

_PROLOGUE = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from napari_cellseg.prompts import disk_cache
from napari_cellseg.prompts.cache_key import EmbeddingKey
from napari_cellseg.prompts.cache_packed import pack
from napari_cellseg.prompts.disk_cache import DiskCache
from napari_cellseg.prompts.embedding import Embedding

folder = Path(sys.argv[1])
source = torch.randn((16, 64, 64), generator=torch.Generator().manual_seed(0))

def key(number):
    return EmbeddingKey(f"{number:064x}", "sam", "f" * 64, "pad", (40, 50), "float16")

def packed(number):
    features = {"image": source.roll(number)}
    return pack(Embedding("sam", "f" * 64, (40, 50), "pad", features), "float16")

def wrong(number, got):
    return not torch.equal(got.features["image"], packed(number).features["image"])
"""

# One process that has everything imported forks the ones that are killed: each is at work at once.
_KILLED = """
def slowly(descriptor, data):  # so that most kills hit an entry that is half written
    for start in range(0, len(data), 8192):
        os.write(descriptor, data[start : start + 8192])
        time.sleep(0.0005)

def in_place(self, path, pieces):
    with open(path, "wb", buffering=0) as file:
        for piece in pieces:
            slowly(file.fileno(), piece)

chance = random.Random(int(sys.argv[3]))
for round in range(25):
    child = os.fork()
    if child == 0:
        disk_cache._write_all = slowly
        if sys.argv[2] == "in place":
            DiskCache._place = in_place
        cache = DiskCache(folder)
        number = 0
        while True:
            cache.write(key(number % 7), packed(number % 7))
            number += 1
    time.sleep(chance.uniform(0.005, 0.08))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    cache = DiskCache(folder)
    for number in range(7):
        if key(number) in cache:
            got = cache.read(key(number))
            print("absent" if got is None else "wrong" if wrong(number, got) else "whole")
"""

_TOGETHER = """
def work(seed):
    chance = random.Random(seed)
    cache = DiskCache(folder, limit=600_000)  # about five entries: they evict each other's
    hits = 0
    for _ in range(150):
        number = chance.randrange(12)
        got = cache.read(key(number))
        if got is None:
            cache.write(key(number), packed(number))
        elif wrong(number, got):
            os._exit(1)
        else:
            hits += 1
        if chance.random() < 0.01:
            cache.clear()
    os._exit(0 if hits else 2)

children = []
for seed in (1, 2):
    child = os.fork()
    if child == 0:
        work(seed)
    children.append(child)
print(sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
print(DiskCache(folder).nbytes <= 600_000 + 64 * 130_000)
"""


def run(script: str, *arguments: str) -> str:
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PROLOGUE + script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_writers_leave_whole_entries_only(tmp_path: Path) -> None:
    found = run(_KILLED, str(tmp_path), "beside", str(random.randrange(10**6))).split()
    assert set(found) == {"whole"}
    assert len(found) >= 20
    assert parts(tmp_path)  # the kills did hit writers at work


def test_killed_writers_would_leave_halves_without_the_temporary_name(tmp_path: Path) -> None:
    found = run(_KILLED, str(tmp_path), "in place", "0").split()
    assert "absent" in found  # the control: the test above can fail
    assert "wrong" not in found  # and even so the checksum keeps halves from being used


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    codes, bounded = run(_TOGETHER, str(tmp_path)).splitlines()
    assert codes == "[0, 0]"
    assert bounded == "True"
    assert not parts(tmp_path)
