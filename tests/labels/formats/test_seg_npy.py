"""Cellpose's _seg.npy: read without running anything, written so that Cellpose opens it."""

import datetime
import os
import pathlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_cellseg.errors import InputError
from napari_cellseg.labels.formats import read_label_file, write_label_file
from napari_cellseg.labels.formats.pickled import Array, unpickle
from napari_cellseg.labels.formats.seg_npy import outlines


def save(path: Path, content: object, protocol: int = 4) -> None:
    """Like numpy.save, with a protocol of choice."""
    holder = np.empty((), object)
    holder[()] = content
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        pickle.dump(holder, file, protocol=protocol)


def masks(shape: tuple[int, ...] = (6, 7)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 5, shape).astype(np.uint16)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("order", "CF")
def test_every_protocol_is_read(tmp_path: Path, protocol: int, order: Any):
    content = {
        "masks": np.array(masks(), order=order),
        "outlines": [np.zeros((3, 2), np.int32), np.ones((4, 2))],
        "filename": pathlib.PurePosixPath("a/b.tif"),
        "flows": [[], np.zeros((1, 6, 7, 3), np.uint8), (1, 2.5, None, True)],
        "ismanual": np.zeros(4, bool),
        "diameter": np.float64(30),
        "colors": {1, 2},
        "normalize_params": {"lowhigh": None, "percentile": [1.0, 99.0]},
    }
    save(tmp_path / "a_seg.npy", content, protocol)
    file = read_label_file(tmp_path / "a_seg.npy")
    assert np.array_equal(file.labels, masks())
    assert (file.axes, file.spacing, file.original_ids) == ("yx", None, None)


def test_the_background_of_first_versions(tmp_path: Path):
    np.save(tmp_path / "a_seg.npy", {"masks": masks().astype(np.int32) - 1})  # type: ignore[arg-type]
    assert np.array_equal(read_label_file(tmp_path / "a_seg.npy").labels, masks())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    hnp.arrays(
        np.uint32,
        hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=6),
        elements=st.sampled_from([0, 1, 2, 300, 70_000, 10_000_000, 2**32 - 2]),
    )
)
def test_round_trip(tmp_path: Path, labels: np.ndarray):
    path = write_label_file(tmp_path / "a_seg.npy", labels, overwrite=True)
    file = read_label_file(path, shape=labels.shape)
    assert np.array_equal(file.labels, labels)
    assert file.labels.dtype == np.uint32


def test_cellpose_reads_what_is_written(tmp_path: Path):
    utils = pytest.importorskip("cellpose.utils", reason="cellpose is not installed")
    labels = masks((30, 40)).astype(np.uint32)
    path = write_label_file(tmp_path / "a_seg.npy", labels, bits=16, image="a.tif")
    content = np.load(path, allow_pickle=True).item()
    assert content["masks"].dtype == np.uint16
    assert np.array_equal(content["masks"], labels)
    assert content["ismanual"].shape == (labels.max(),)
    assert content["filename"] == "a.tif"
    assert len(utils.outlines_list(content["masks"], multiprocessing=False)) > 0
    assert set(np.unique(content["outlines"])) == set(np.unique(labels))


def test_outlines_are_the_rim_of_each_object():
    labels = np.zeros((7, 8), np.uint8)
    labels[1:6, 1:6] = 1
    labels[1:6, 6:8] = 2
    edge = outlines(labels)
    assert not edge[2:5, 2:5].any()
    assert not edge[labels == 0].any()
    assert edge[1, 1:6].all()
    assert edge[3, 5]
    assert edge[3, 6]
    assert edge[3, 7]


def test_time_cannot_be_written(tmp_path: Path):
    with pytest.raises(InputError, match="no time axis"):
        write_label_file(tmp_path / "a_seg.npy", masks((2, 3, 4)), axes="tyx")
    assert list(tmp_path.iterdir()) == []


def refusal(data: bytes, where: str) -> str:
    """Why it is refused; `where` of what is read. Any other exception is a fault."""
    try:
        unpickle(data, where)
    except InputError as error:
        return str(error)
    return where


class Malicious:
    """A pickle of this runs a command when it is loaded."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.made = call, arguments

    def __reduce__(self) -> Any:
        return self.made


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("call", "name"),
    [(os.system, "system"), (exec, "exec"), (eval, "eval"), (getattr, "getattr"), (Path, None)],
)
def test_nothing_is_run(tmp_path: Path, protocol: int, call: Any, name: str | None):
    canary = tmp_path / "canary"
    arguments: tuple[Any, ...] = (f"open({str(canary)!r}, 'w')",)
    if call is os.system:
        arguments = (f"touch {canary}",)
    elif call is getattr:
        arguments = ("text", "upper")
    path = tmp_path / "a_seg.npy"
    save(path, {"masks": masks(), "bad": Malicious(call, *arguments)}, protocol)
    if name is None:  # a path is text
        assert np.array_equal(read_label_file(path).labels, masks())
        return
    with pytest.raises(InputError, match=name) as error:
        read_label_file(path)
    assert "nothing of it was read" in str(error.value)
    assert not canary.exists()


def test_the_hostile_file_is_one(tmp_path: Path):
    """Loaded by Python itself, the same file does run its command."""
    canary = tmp_path / "canary"
    save(tmp_path / "a_seg.npy", {"masks": masks(), "bad": Malicious(os.mkdir, str(canary))})
    np.load(tmp_path / "a_seg.npy", allow_pickle=True)
    assert canary.is_dir()


@pytest.mark.parametrize(
    "content",
    [
        {"masks": masks(), "when": datetime.date(2024, 1, 1)},
        {"masks": np.zeros(3, [("a", "u1")])},
        {"masks": np.array(["2024"], "M8[Y]")},
        {"masks": np.random.default_rng(1)},
        {"masks": np.ma.masked_array([1])},
        {"masks": bytearray(3)},
        {"masks": np.zeros((2, 2, 2, 2), np.uint8)},
        {"masks": np.zeros((0, 2), np.uint8)},
        {"masks": np.array([["a", "b"]])},
        {"masks": np.array([[1.5, 0]])},
        {"masks": [[1, 2]]},
        {"outlines": masks()},
        [masks()],
        None,
    ],
)
def test_what_is_no_label_file_is_refused_in_a_sentence(tmp_path: Path, content: object):
    save(tmp_path / "a_seg.npy", content)
    with pytest.raises(InputError) as error:
        read_label_file(tmp_path / "a_seg.npy")
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject):
    good = pickle.dumps({"masks": masks(), "filename": "a"}, protocol=4)
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    bad = bad[: data.draw(st.integers(0, len(bad)))]
    assert "file 'a'" in refusal(bytes(bad), "file 'a'")


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_harmless(data: bytes):
    assert "file 'a'" in refusal(data, "file 'a'")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.frozensets(st.integers()),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner, inner, inner)
        | st.sets(st.integers())
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(values, st.integers(0, 5))
def test_plain_values_are_what_python_reads(value: object, protocol: int):
    assert unpickle(pickle.dumps(value, protocol=protocol), "it") == value


@settings(deadline=None)
@given(
    hnp.arrays(
        hnp.scalar_dtypes().filter(lambda dtype: dtype.kind in "biufcSU" and dtype.itemsize < 16),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=3),
    ),
    st.integers(0, 5),
)
def test_arrays_are_what_numpy_reads(array: np.ndarray, protocol: int):
    found = unpickle(pickle.dumps(array, protocol=protocol), "it")
    assert isinstance(found, Array)
    assert found.value is not None
    assert found.value.dtype == array.dtype
    assert np.array_equal(found.value, array, equal_nan=array.dtype.kind in "fc")


def test_a_small_file_cannot_ask_for_much_memory():
    repeats = b"\x80\x04]\x94(" + b"K\x01" * 60_000 + b"e0"  # a list in the memo
    again = b"cbuiltins\nset\nh\x00\x85R0"
    with pytest.raises(InputError, match="memory"):
        unpickle(repeats + again * 3000 + b"N.", "it")


@pytest.mark.parametrize(
    "end",
    [
        b"}\x8c\x01a\x94h\x00s.",  # in a dictionary
        b"}h\x00K\x01s.",  # as a key
        b"\x8f(h\x00\x90.",  # in a set
        b"(h\x00\x91.",
        b"h\x00\x8c\x01a\x93.",  # as a name
        b"h\x00\x8c\x01a\x93)R.",
        b"cnumpy\ndtype\nh\x00\x89\x88\x87R.",  # as a type
        b"c_codecs\nencode\n\x8c\x01ah\x00\x86R.",  # as an encoding
    ],
)
@pytest.mark.parametrize("kind", ["deep", "wide"])
def test_nesting_without_end_is_refused_or_harmless(kind: str, end: bytes):
    """Hashing or printing such values would overflow the stack, or fill the memory."""
    value = b"\x80\x04N" + b"\x85" * 300_000
    if kind == "wide":  # of 2 to the power of 60 items
        twice: list[Any] = []
        for _ in range(60):
            twice = [twice, twice]
        value = pickle.dumps(twice, 4).removesuffix(b".")
    assert "file 'a'" in refusal(value + b"q\x00" + end, "file 'a'")
