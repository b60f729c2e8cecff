"""Bad input, through the public names: a typed error, one sentence, nothing half-written.

To add a case, append a row to the table of its kind.
"""

import json
import os
import pickle
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
import torch
import zarr
from safetensors.torch import load_file, save_file

import napari_cellseg as nc
from fakes import BlobNetwork, blob_volume
from napari_cellseg.networks.builtin import save_checkpoint
from napari_cellseg.networks.flow_unet import FlowUNet

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and permissions")


def check_sentence(message: str, *names: str) -> None:
    """One sentence that says what or where."""
    assert message == message.strip()
    assert "\n" not in message
    assert 15 < len(message) < 400
    assert message[-1] not in ":,;-("
    assert not re.search(r"[a-zA-Z)]{3}[.!?] [A-Z]", message), f"two sentences: {message}"
    assert "Traceback" not in message
    assert "<class" not in message
    assert " object at 0x" not in message
    for name in names:
        assert name in message, f"{name!r} is not named: {message}"


@contextmanager
def refused(kind: type[nc.CellsegError], *names: str) -> Iterator[None]:
    """Expect an error of exactly this kind, whose sentence names these."""
    with pytest.raises(nc.CellsegError) as caught:
        yield
    assert type(caught.value) is kind, repr(caught.value)
    check_sentence(str(caught.value), *names)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


# -- arrays ------------------------------------------------------------------------------------


def blobs() -> np.ndarray:
    """A stack in which `BlobNetwork` finds cells."""
    return blob_volume((16, 40, 40), radius=6.0, step=16.0)[0]


ARRAYS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "constant": (np.full((4, 16, 16), 7, np.uint16), ("constant", "7")),
    "all zero": (np.zeros((16, 16)), ("constant",)),
    "constant but for NaN": (np.where(np.eye(16) > 0, np.nan, 3.0), ("constant",)),
    "only NaN": (np.full((4, 16, 16), np.nan, np.float32), ("NaN",)),
    "only infinite": (np.full((16, 16), np.inf), ("inf",)),
    "one pixel": (np.ones((1, 1)), ("image",)),
    "one voxel": (np.ones((1, 1, 1), np.uint8), ("image",)),
    "empty y": (np.zeros((4, 0, 16)), ("(4, 0, 16)",)),
    "empty t": (np.zeros((0, 4, 16, 16), np.uint8), ("(0, 4, 16, 16)",)),
    "no dimension": (np.float32(3), ()),
    "one dimension": (np.arange(16.0), ("1 dimension", "y and x")),
    "five dimensions": (np.zeros((2, 2, 2, 16, 16)), ("(2, 2, 2, 16, 16)", "axes")),
    "six dimensions": (np.zeros((1, 2, 2, 2, 16, 16)), ("(1, 2, 2, 2, 16, 16)",)),
    "complex": (np.ones((16, 16), complex), ("complex128",)),
    "text": (np.full((16, 16), "a"), ("<U1",)),
    "objects": (np.full((16, 16), None, object), ("object",)),
    "dates": (np.zeros((16, 16), "datetime64[s]"), ("datetime64",)),
    "records": (np.zeros((16, 16), [("a", "u1"), ("b", "u1")]), ()),
    "None": (None, ()),
    "a path instead of an image": ("stack.tif", ()),
    "ragged list": ([[1, 2], [3]], ()),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_array(case: str):
    array, names = ARRAYS[case]
    with refused(nc.InputError, *names):
        nc.segment(array, BlobNetwork(), diameter=6)


def test_a_read_only_array_is_fine_and_stays_as_it_is():
    array = blobs()
    before = array.copy()
    array.flags.writeable = False
    result = nc.segment(array, BlobNetwork(), diameter=12)
    assert len(result.table) > 0
    np.testing.assert_array_equal(array, before)


def test_some_nan_and_inf_are_background():
    array = blobs()
    array[:, :2] = np.nan
    array[0, 2] = np.inf
    array[1, 2] = -np.inf
    result = nc.segment(array, BlobNetwork(), diameter=12)
    assert len(result.table) > 0
    assert not result.labels[:, 0].any()


# -- parameters --------------------------------------------------------------------------------

PARAMETERS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "spacing 0": ({"spacing": (0, 1, 1)}, ("spacing",)),
    "spacing negative": ({"spacing": (1, -0.4, 1)}, ("spacing", "-0.4")),
    "spacing NaN": ({"spacing": (np.nan, 1, 1)}, ("spacing", "nan")),
    "spacing infinite": ({"spacing": (1, 1, np.inf)}, ("spacing", "inf")),
    "spacing of two in 3D": ({"spacing": (1, 1)}, ("spacing", "three")),
    "spacing a number": ({"spacing": 2.0}, ("spacing",)),
    "spacing text": ({"spacing": "2 1 1"}, ("spacing",)),
    "probability 0": ({"probability": 0}, ("probability", "0")),
    "probability 1": ({"probability": 1.0}, ("probability", "1.0")),
    "probability per cent": ({"probability": 50}, ("probability", "50")),
    "probability negative": ({"probability": -0.1}, ("probability", "-0.1")),
    "probability NaN": ({"probability": np.nan}, ("probability", "nan")),
    "probability text": ({"probability": "high"}, ("probability", "high")),
    "probability None": ({"probability": None}, ("probability",)),
    "diameter 0": ({"diameter": 0}, ("diameter",)),
    "diameter negative": ({"diameter": -5}, ("diameter", "-5")),
    "diameter NaN": ({"diameter": np.nan}, ("diameter",)),
    "diameter infinite": ({"diameter": np.inf}, ("diameter",)),
    "diameter below two voxels": ({"diameter": 0.5}, ("diameter", "0.5")),
    "diameter beyond the image": ({"diameter": 1e4}, ("diameter", "image")),
    "diameter in metres": ({"diameter": 12e-6, "spacing": (1, 1, 1)}, ("diameter", "unit")),
    "diameter text": ({"diameter": "large"}, ("diameter", "large")),
    "min_size negative": ({"min_size": -1}, ("min_size", "-1")),
    "min_size a fraction": ({"min_size": 1.5}, ("min_size", "1.5")),
    "min_size text": ({"min_size": "few"}, ("min_size", "few")),
    "flow_error 0": ({"flow_error": 0}, ("flow_error",)),
    "flow_error negative": ({"flow_error": -1}, ("flow_error", "-1")),
    "flow_error NaN": ({"flow_error": np.nan}, ("flow_error",)),
    "region of another number of axes": ({"region": (slice(0, 4),)}, ("region", "zyx")),
    "region outside": ({"region": (slice(99, 120), slice(None), slice(None))}, ("region", "z")),
    "region backwards": ({"region": (slice(8, 2), slice(None), slice(None))}, ("region",)),
    "region with steps": ({"region": (slice(0, 8, 2), slice(None), slice(None))}, ("region",)),
    "region of numbers": ({"region": (1, 2, 3)}, ("region",)),
    "region of fractions": ({"region": (slice(0.5, 3), slice(None), slice(None))}, ("region",)),
    "region with steps of 0": ({"region": (slice(0, 8, 0), slice(None), slice(None))}, ("region",)),
    "region a number": ({"region": 3}, ("region",)),
    "channel too large": ({"channel": 1}, ("channel",)),
    "channel unknown": ({"channel": "DAPI"}, ("channel", "DAPI")),
    "channel a fraction": ({"channel": 0.5}, ("channel",)),
    "model unknown": ({"model": "cellpose9"}, ("cellpose9", "builtin")),
    "device unknown": ({"model": "builtin", "device": "abacus"}, ("device", "abacus")),
    "device absent": ({"model": "builtin", "device": "cuda:99"}, ("cuda:99",)),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameter(case: str, small_checkpoint: Path):
    given, names = PARAMETERS[case]
    arguments = {"model": BlobNetwork(), "diameter": 12, **given}
    if arguments["model"] == "builtin":
        arguments["checkpoint"] = small_checkpoint
    with refused(nc.InputError, *names):
        nc.segment(blobs(), **arguments)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"probability": 0.0}, "probability"),
        ({"probability": np.nan}, "probability"),
        ({"min_size": -1}, "min_size"),
        ({"flow_error": -1.0}, "flow_error"),
    ],
)
def test_parameter_of_relabelling(given: dict[str, Any], name: str):
    result = nc.segment(blobs(), BlobNetwork(), diameter=12)
    with refused(nc.InputError, name):
        result.relabel(**given)
    with refused(nc.InputError, name):
        nc.instances(result.field, **given)


# -- flow fields -------------------------------------------------------------------------------

FLOW = np.zeros((3, 4, 8, 8), np.float32)
LOGITS = np.zeros((4, 8, 8), np.float32)

FIELDS: dict[str, tuple[tuple[Any, Any, Any], tuple[str, ...]]] = {
    "shapes differ": ((FLOW, LOGITS[:3], (1, 1, 1)), ("(3, 4, 8, 8)", "(3, 8, 8)")),
    "two components in 3D": ((FLOW[:2], LOGITS, (1, 1, 1)), ("(2, 4, 8, 8)",)),
    "whole numbers": ((FLOW.astype(int), LOGITS, (1, 1, 1)), ("int64",)),
    "NaN in the flow": ((FLOW * np.nan, LOGITS, (1, 1, 1)), ("flow", "NaN")),
    "infinite logits": ((FLOW, LOGITS + np.inf, (1, 1, 1)), ("logits",)),
    "empty": ((FLOW[:, :0], LOGITS[:0], (1, 1, 1)), ("(0, 8, 8)",)),
    "spacing 0": ((FLOW, LOGITS, (1, 0, 1)), ("spacing",)),
    "spacing of two in 3D": ((FLOW, LOGITS, (1, 1)), ("spacing",)),
}


@pytest.mark.parametrize("case", FIELDS)
def test_flow_field(case: str):
    arguments, names = FIELDS[case]
    with refused(nc.InputError, *names):
        nc.FlowField(*arguments)


# -- evaluation --------------------------------------------------------------------------------

CELLS = np.array([[1, 1, 0], [2, 2, 0]])

EVALUATIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "shapes differ": ({"truth": CELLS[:1]}, ("(2, 3)", "(1, 3)")),
    "negative labels": ({"predicted": CELLS - 1}, ("-1",)),
    "fractions": ({"predicted": CELLS + 0.5}, ()),
    "empty": ({"predicted": CELLS[:0], "truth": CELLS[:0]}, ("(0, 3)",)),
    "threshold 0": ({"thresholds": (0.0,)}, ("hreshold", "0.0")),
    "threshold per cent": ({"thresholds": (50,)}, ("hreshold", "50")),
    "spacing NaN": ({"spacing": (np.nan, 1)}, ("spacing",)),
}


@pytest.mark.parametrize("case", EVALUATIONS)
def test_evaluation(case: str):
    given, names = EVALUATIONS[case]
    with refused(nc.InputError, *names):
        nc.evaluate(**{"predicted": CELLS, "truth": CELLS, **given})


# -- files to read -----------------------------------------------------------------------------


def _missing(folder: Path) -> Path:
    return folder / "nowhere.tif"


def _empty(folder: Path) -> Path:
    (folder / "a.tif").touch()
    return folder / "a.tif"


def _text(folder: Path) -> Path:
    (folder / "a.tif").write_text("this is no image, whatever its name")
    return folder / "a.tif"


def _unknown_kind(folder: Path) -> Path:
    (folder / "a.czi").write_bytes(b"ZISRAWFILE" + bytes(100))
    return folder / "a.czi"


def _header_only(folder: Path) -> Path:
    (folder / "a.tif").write_bytes(b"II*\0\x08\0\0\0")
    return folder / "a.tif"


def _tiff(folder: Path, **options: Any) -> Path:
    array = np.random.default_rng(0).integers(0, 999, (5, 64, 64)).astype(np.uint16)
    tifffile.imwrite(folder / "a.tif", array, **options)
    return folder / "a.tif"


def _truncated(folder: Path) -> Path:
    file = _tiff(folder)
    file.write_bytes(file.read_bytes()[:20_000])
    return file


def _truncated_compressed(folder: Path) -> Path:
    file = _tiff(folder, compression="zlib")
    file.write_bytes(file.read_bytes()[:20_000])
    return file


def _lying_size(folder: Path) -> Path:
    file = _tiff(folder, metadata=None)
    with tifffile.TiffFile(file, mode="r+b") as opened:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            opened.pages[0].tags[tag].overwrite(1_000_000)
    return file


def _lying_planes(folder: Path) -> Path:
    file = _tiff(folder, imagej=True, metadata={"axes": "ZYX"})
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b"images=5", b"images=9").replace(b"slices=5", b"slices=9"))
    return file


def _complex_tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", np.ones((8, 8), np.complex64))
    return folder / "a.tif"


def _folder(folder: Path) -> Path:
    (folder / "holiday").mkdir()
    return folder / "holiday"


def _zarr(folder: Path, **metadata: Any) -> Path:
    path = folder / "a.zarr"
    array = zarr.create_array(path, shape=(8, 8), chunks=(8, 8), dtype="u1")
    array[:] = 1
    file = path / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | metadata))
    return path


def _zarr_broken_json(folder: Path) -> Path:
    path = _zarr(folder)
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type"')
    return path


def _zarr_lying_shape(folder: Path) -> Path:
    return _zarr(folder, shape=[10**7, 10**7])


def _zarr_negative_shape(folder: Path) -> Path:
    return _zarr(folder, shape=[-8, 8])


def _zarr_unknown_codec(folder: Path) -> Path:
    return _zarr(folder, codecs=[{"name": "secret", "configuration": {}}])


def _zarr_truncated_chunk(folder: Path) -> Path:
    path = _zarr(folder)
    chunk = path / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:5])
    return path


def _zarr_many(folder: Path) -> Path:
    path = folder / "a.zarr"
    group = zarr.create_group(path)
    for name in ("first", "second"):
        group.create_array(name, shape=(8, 8), dtype="u1")
    return path


def _ome_zarr_without_its_array(folder: Path) -> Path:
    path = folder / "a.ome.zarr"
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    level = {"path": "0", "coordinateTransformations": scale}
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}]}
    zarr.create_group(path, attributes={"ome": ome})
    return path


def _pickled_npy(folder: Path) -> Path:
    np.save(folder / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    return folder / "a.npy"


def _truncated_npy(folder: Path) -> Path:
    np.save(folder / "a.npy", np.zeros((64, 64)))
    (folder / "a.npy").write_bytes((folder / "a.npy").read_bytes()[:300])
    return folder / "a.npy"


FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "missing": (_missing, ("nowhere.tif",)),
    "empty": (_empty, ("a.tif", "empty")),
    "text": (_text, ("a.tif",)),
    "unknown kind": (_unknown_kind, ("a.czi", "TIFF")),
    "nothing but a header": (_header_only, ("a.tif",)),
    "truncated": (_truncated, ("a.tif",)),
    "truncated and compressed": (_truncated_compressed, ("a.tif",)),
    "a million squared": (_lying_size, ("a.tif",)),
    "more planes than there are": (_lying_planes, ("a.tif",)),
    "complex": (_complex_tiff, ("a.tif", "complex64")),
    "folder of something else": (_folder, ("holiday",)),
    "zarr with broken JSON": (_zarr_broken_json, ("a.zarr",)),
    "zarr with a negative shape": (_zarr_negative_shape, ("a.zarr",)),
    "zarr with an unknown codec": (_zarr_unknown_codec, ("a.zarr",)),
    "zarr with two arrays": (_zarr_many, ("a.zarr", "first", "second")),
    "OME-Zarr without its array": (_ome_zarr_without_its_array, ("a.ome.zarr",)),
    "npy with a pickle": (_pickled_npy, ("a.npy",)),
    "npy truncated": (_truncated_npy, ("a.npy",)),
}
#: Files that only show their fault when voxels are read.
LAZY_FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "zarr of a hundred terabytes": (_zarr_lying_shape, ("memory",)),
    "zarr with a truncated chunk": (_zarr_truncated_chunk, ("a.zarr",)),
}


@pytest.mark.parametrize("case", FILES)
def test_file(case: str, tmp_path: Path):
    make, names = FILES[case]
    path = make(tmp_path)
    before = contents(tmp_path)
    with refused(nc.InputError, *names):
        nc.read_volume(path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("case", LAZY_FILES)
def test_file_with_a_hidden_fault(case: str, tmp_path: Path):
    make, names = LAZY_FILES[case]
    path = make(tmp_path)
    before = contents(tmp_path)
    with refused(nc.InputError, *names):
        nc.segment(nc.read_volume(path), BlobNetwork(), diameter=4)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("case", FILES)
def test_file_opened_by_a_session(case: str, tmp_path: Path):
    make, names = FILES[case]
    session = nc.Session()
    failures: list[Exception] = []
    session.failed.connect(failures.append)
    try:
        with refused(nc.InputError, *names):
            session.open(make(tmp_path)).wait(60)
        assert session.volume is None
        assert [type(error) for error in failures] == [nc.InputError]
    finally:
        session.close()


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"axes": "zyq"}, ("zyq",)),
        ({"axes": "yx"}, ("yx", "3")),
        ({"axes": "zzx"}, ("zzx",)),
        ({"axes": "tcz"}, ("tcz",)),
        ({"axes": 3}, ("axes", "3")),
        ({"spacing": (0, 1, 1)}, ("spacing",)),
        ({"spacing": (1, float("nan"), 1)}, ("spacing",)),
        ({"spacing": (1, 1)}, ("spacing",)),
    ],
)
def test_what_a_user_says_of_a_file(given: dict[str, Any], names: tuple[str, ...], tmp_path: Path):
    file = _tiff(tmp_path)
    with refused(nc.InputError, *names):
        nc.read_volume(file, **given)


@contextmanager
def no_privileges() -> Iterator[None]:
    """Give up root's right to read and write everything, for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may look into, which `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@posix
def test_file_that_may_not_be_read(open_folder: Path):
    file = _tiff(open_folder)
    assert nc.read_volume(file).shape == (5, 64, 64)
    file.chmod(0)
    with no_privileges(), refused(nc.InputError, "a.tif", "Permission denied"):
        nc.read_volume(file)


# -- files to write ----------------------------------------------------------------------------

NOISE = np.random.default_rng(0).integers(0, 2**32, (4, 256, 256), np.uint32)
SUFFIXES = (".ome.tif", ".ome.zarr")


class Refusal(NamedTuple):
    """How writing goes wrong."""

    kind: type[nc.CellsegError]
    target: Callable[[Path], Path]
    labels: Any = CELLS
    options: Mapping[str, Any] = MappingProxyType({})
    names: tuple[str, ...] = ()


def _below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "out.tif"


def _a_folder_of_that_name(folder: Path) -> Path:
    (folder / "out.tif").mkdir()
    return folder / "out.tif"


def _there_already(folder: Path) -> Path:
    nc.write_labels(folder / "out.tif", CELLS * 3)
    return folder / "out.tif"


def _zarr_there_already(folder: Path) -> Path:
    nc.write_labels(folder / "out.ome.zarr", CELLS * 3)
    return folder / "out.ome.zarr"


def _out(folder: Path) -> Path:
    return folder / "out.tif"


WRITES: dict[str, Refusal] = {
    "no folder": Refusal(nc.StorageError, lambda f: f / "no" / "out.tif", names=("out.tif",)),
    "no folder, zarr": Refusal(nc.StorageError, lambda f: f / "no" / "o.zarr", names=("o.zarr",)),
    "a file for a folder": Refusal(nc.StorageError, _below_a_file, names=("out.tif",)),
    "a folder for a file": Refusal(nc.StorageError, _a_folder_of_that_name, names=("out.tif",)),
    "there already": Refusal(nc.StorageError, _there_already, names=("out.tif", "overwrite")),
    "zarr there already": Refusal(nc.StorageError, _zarr_there_already, names=("out.ome.zarr",)),
    "unknown suffix": Refusal(nc.InputError, lambda f: f / "out.jpg", names=("out.jpg", ".tif")),
    "no suffix": Refusal(nc.InputError, lambda f: f / "out", names=("out", ".tif")),
    "negative": Refusal(nc.InputError, _out, CELLS - 1, names=("-1",)),
    "fractions": Refusal(nc.InputError, _out, CELLS / 2, names=("float64",)),
    "beyond 32 bits": Refusal(nc.InputError, _out, CELLS * 2**40, names=(str(2**41),)),
    "one dimension": Refusal(nc.InputError, _out, CELLS[0], names=("(3,)",)),
    "empty": Refusal(nc.InputError, _out, CELLS[:0], names=("(0, 3)",)),
    "spacing 0": Refusal(nc.InputError, _out, options={"spacing": (0, 1)}, names=("spacing",)),
    "axes that do not fit": Refusal(nc.InputError, _out, options={"axes": "zyx"}, names=("zyx",)),
    "metadata of sets": Refusal(
        nc.InputError, _out, options={"metadata": {"a": {1, 2}}}, names=("metadata",)
    ),
}


@pytest.mark.parametrize("case", WRITES)
def test_writing(case: str, tmp_path: Path):
    write = WRITES[case]
    target = write.target(tmp_path)
    before = contents(tmp_path)
    with refused(write.kind, *write.names):
        nc.write_labels(target, write.labels, **write.options)
    assert contents(tmp_path) == before


def test_labels_of_another_image(tmp_path: Path):
    volume = nc.read_volume(_tiff(tmp_path))
    before = contents(tmp_path)
    with refused(nc.InputError, "(2, 3)", "(5, 64, 64)"):
        nc.write_labels(tmp_path / "out.tif", CELLS, like=volume)
    assert contents(tmp_path) == before


def test_the_image_itself_is_never_replaced(tmp_path: Path):
    file = _tiff(tmp_path)
    volume = nc.read_volume(file)
    before = contents(tmp_path)
    with refused(nc.StorageError, "a.tif"):
        nc.write_labels(file, np.zeros((5, 64, 64), int), like=volume, overwrite=True)
    assert contents(tmp_path) == before


@contextmanager
def files_of_at_most(limit: int) -> Iterator[None]:
    """Let the kernel refuse larger files, as a full disk or a quota does, in mid-write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@posix
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("there", [False, True])
def test_the_disk_is_full_in_mid_write(suffix: str, there: bool, tmp_path: Path):
    target = tmp_path / f"out{suffix}"
    if there:
        nc.write_labels(target, CELLS)
    before = contents(tmp_path)
    with files_of_at_most(20_000), refused(nc.StorageError, target.name):
        nc.write_labels(target, NOISE, overwrite=True)
    assert contents(tmp_path) == before
    assert list(tmp_path.iterdir()) == ([target] if there else [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_disk_is_full_at_the_very_end(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with refused(nc.StorageError, f"out{suffix}", "No space left"):
        nc.write_labels(tmp_path / f"out{suffix}", CELLS)
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folder_that_may_not_be_written_to(suffix: str, open_folder: Path):
    nc.write_labels(open_folder / f"first{suffix}", CELLS)
    before = contents(open_folder)
    open_folder.chmod(0o555)
    with no_privileges(), refused(nc.StorageError, f"out{suffix}", "Permission denied"):
        nc.write_labels(open_folder / f"out{suffix}", CELLS)
    open_folder.chmod(0o755)
    assert contents(open_folder) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_is_cancelled(suffix: str, tmp_path: Path):
    cancel = Event()
    cancel.set()
    with refused(nc.Cancelled):
        nc.write_labels(tmp_path / f"out{suffix}", CELLS, cancel=cancel)
    assert list(tmp_path.iterdir()) == []


# -- models and checkpoints --------------------------------------------------------------------


@pytest.fixture
def small_checkpoint(tmp_path: Path) -> Path:
    """A sound checkpoint of a small network."""
    torch.manual_seed(0)
    folder = tmp_path / "sound"
    folder.mkdir()
    file = folder / "small.safetensors"
    model = FlowUNet((8, 12))
    save_checkpoint(model, file, diameter=16, percentiles=(1, 99.8), familiar=None)
    return file


def _changed(file: Path, change: Callable[[dict[str, Any]], None], **metadata: str) -> Path:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        meta = {**opened.metadata(), **metadata}
    tensors = load_file(file)
    change(tensors)
    target = file.with_name("bad.safetensors")
    save_file(tensors, target, metadata=meta)
    return target


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def _pickle(file: Path) -> Path:
    target = file.with_name("bad.safetensors")
    target.write_bytes(pickle.dumps(Payload(file.with_name("mark"))))
    return target


def _torch_file(file: Path) -> Path:
    target = file.with_name("bad.pth")
    torch.save({"weights": Payload(file.with_name("mark"))}, target)
    return target


def _first(tensors: dict[str, Any]) -> str:
    return min(tensors)


def _nan(tensors: dict[str, Any]) -> None:
    tensors[_first(tensors)].view(-1)[0] = float("nan")


def _one_less(tensors: dict[str, Any]) -> None:
    del tensors[_first(tensors)]


def _one_more(tensors: dict[str, Any]) -> None:
    tensors["surprise"] = torch.zeros(3)


def _other_shape(tensors: dict[str, Any]) -> None:
    tensors[_first(tensors)] = torch.zeros(3, 3)


def _unchanged(tensors: dict[str, Any]) -> None:
    pass


def _half_described(tensors: dict[str, Any]) -> None:
    tensors["familiar.mean"] = torch.zeros(3)


def _other_description(tensors: dict[str, Any]) -> None:
    tensors["familiar.mean"] = torch.zeros(3)
    tensors["familiar.basis"] = torch.zeros(3, 2)


def _cut(file: Path) -> Path:
    target = file.with_name("bad.safetensors")
    target.write_bytes(file.read_bytes()[:2000])
    return target


def _long_header(file: Path) -> Path:
    target = file.with_name("bad.safetensors")
    target.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    return target


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "missing": lambda f: f.with_name("bad.safetensors"),
    "a folder": lambda f: f.parent,
    "empty": lambda f: (f.with_name("bad.safetensors").touch(), f.with_name("bad.safetensors"))[1],
    "a pickle": _pickle,
    "a torch file with a pickle": _torch_file,
    "truncated": _cut,
    "a header of four exabytes": _long_header,
    "NaN": lambda f: _changed(f, _nan),
    "a tensor missing": lambda f: _changed(f, _one_less),
    "a tensor too many": lambda f: _changed(f, _one_more),
    "another shape": lambda f: _changed(f, _other_shape),
    "half of its own description": lambda f: _changed(f, _half_described),
    "a description of another network": lambda f: _changed(
        f,
        _other_description,
        config='{"channels": [8, 12], "diameter": 16, "percentiles": [1, 99], "familiar_limit": 1}',
    ),
    "another format": lambda f: _changed(f, _unchanged, format="pt"),
    "configuration of another kind": lambda f: _changed(f, _unchanged, config="[]"),
    "configuration that is no JSON": lambda f: _changed(f, _unchanged, config="{"),
    "absurd configuration": lambda f: _changed(
        f, _unchanged, config='{"channels": [100000000], "diameter": 16, "percentiles": [1, 99]}'
    ),
    "negative diameter": lambda f: _changed(
        f, _unchanged, config='{"channels": [8, 12], "diameter": -1, "percentiles": [1, 99]}'
    ),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_checkpoint(case: str, small_checkpoint: Path):
    bad = CHECKPOINTS[case](small_checkpoint)
    with refused(nc.ModelError, bad.name):
        nc.load_network("builtin", bad, "cpu")
    with refused(nc.ModelError, bad.name):
        nc.segment(blobs(), "builtin", bad, diameter=12, device="cpu")
    assert not small_checkpoint.with_name("mark").exists()


# -- memory and cancelling ---------------------------------------------------------------------


class SmallMemory(BlobNetwork):
    """Predicts no more planes at a time than fit."""

    def __init__(self, fits: int) -> None:
        super().__init__()
        self.fits = fits
        self.refused = 0

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        if len(planes) > self.fits:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB.")
        return super().predict(planes)


class NoMemory(BlobNetwork):
    """On a device that never has enough memory; torch's meta device stands in for a GPU."""

    def __init__(self) -> None:
        super().__init__("meta")

    def predict(self, planes: torch.Tensor) -> torch.Tensor:
        self.calls.append(tuple(planes.shape))
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB.")


class NoMemoryAnywhere(NoMemory):
    """Not even the computer has enough."""

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device("cpu")


def test_gpu_memory_is_short_and_batches_are_halved():
    expected = nc.segment(blobs(), BlobNetwork(), diameter=12)
    network = SmallMemory(fits=2)
    result = nc.segment(blobs(), network, diameter=12)
    assert network.refused > 0
    assert max(shape[0] for shape in network.calls) <= 2
    np.testing.assert_array_equal(result.labels, expected.labels)


def test_gpu_memory_never_suffices_and_the_cpu_takes_over():
    expected = nc.segment(blobs(), BlobNetwork(), diameter=12)
    network = NoMemory()
    result = nc.segment(blobs(), network, diameter=12)
    assert network.calls
    assert network.calls[-1][0] == 1  # halved down to a plane before giving up
    np.testing.assert_array_equal(result.labels, expected.labels)
    assert any("CPU" in notice for notice in result.notices)
    for notice in result.notices:
        assert "\n" not in notice


def test_no_memory_at_all():
    with refused(nc.ModelError, "memory"):
        nc.segment(blobs(), NoMemoryAnywhere(), diameter=12)


def test_image_larger_than_the_memory():
    huge = np.broadcast_to(np.arange(2.0), (10**5, 10**5, 10**4, 2))[..., 0]
    with refused(nc.InputError, "memory", "region"):
        nc.segment(huge, BlobNetwork(), diameter=12)


def test_cancelled_before_it_began():
    cancel = Event()
    cancel.set()
    with refused(nc.Cancelled):
        nc.segment(blobs(), BlobNetwork(), diameter=12, cancel=cancel)


def test_cancelled_half_way():
    cancel = Event()
    seen: list[float] = []

    def progress(fraction: float, message: str) -> None:
        seen.append(fraction)
        if fraction > 0.3:
            cancel.set()

    with refused(nc.Cancelled):
        nc.segment(blobs(), BlobNetwork(), diameter=12, progress=progress, cancel=cancel)
    assert seen[-1] < 1


# -- command line ------------------------------------------------------------------------------


class Ended(NamedTuple):
    """What a command left."""

    status: int
    error: str


def run(capsys: pytest.CaptureFixture[str], *words: object) -> Ended:
    """Run the command line in this process."""
    from napari_cellseg.cli import main

    try:
        status = main([str(word) for word in words])
    except SystemExit as exit_:
        status = exit_.code
    assert status is None or isinstance(status, int)
    return Ended(status or 0, capsys.readouterr().err.strip())


def last_line(text: str) -> str:
    """The last line of what a command said."""
    return text.splitlines()[-1] if text else ""


@pytest.mark.parametrize("case", ["missing", "empty", "text", "truncated", "unknown kind"])
def test_command_with_a_bad_file(
    case: str, tmp_path: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
):
    make, names = FILES[case]
    path = make(tmp_path)
    before = contents(tmp_path)
    done = run(
        capsys, "segment", path, "-o", tmp_path / "out.tif", "--checkpoint", small_checkpoint,
        "--device", "cpu", "--diameter", 12,
    )  # fmt: skip
    assert done.status == 2
    assert "Traceback" not in done.error
    assert any(names[0] in line for line in done.error.splitlines())
    assert contents(tmp_path) == before


COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "spacing 0": (("--spacing", "0", "1", "1"), "spacing"),
    "spacing NaN": (("--spacing", "nan", "1", "1"), "spacing"),
    "probability": (("--probability", "1.5"), "probability"),
    "diameter": (("--diameter", "-3"), "diameter"),
    "min size": (("--min-size", "-3"), "size"),
    "channel": (("--channel", "7"), "channel"),
    "model": (("--model", "cellpose9"), "cellpose9"),
    "device": (("--device", "abacus"), "abacus"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_command_with_a_bad_option(
    case: str, tmp_path: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
):
    words, name = COMMANDS[case]
    file = _tiff(tmp_path)
    before = contents(tmp_path)
    options = () if "--model" in words else ("--checkpoint", small_checkpoint)
    done = run(capsys, "segment", file, "-o", tmp_path / "out.tif", *options, *words)
    assert done.status == 2
    assert name in done.error
    assert "Traceback" not in done.error
    check_sentence(last_line(done.error))
    assert contents(tmp_path) == before


def test_command_that_may_not_write(
    tmp_path: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
):
    file = _tiff(tmp_path)
    target = _below_a_file(tmp_path)
    before = contents(tmp_path)
    done = run(
        capsys, "segment", file, "-o", target, "--checkpoint", small_checkpoint, "--diameter", 12
    )
    assert done.status == 2
    assert "Traceback" not in done.error
    assert contents(tmp_path) == before


def test_command_with_a_hostile_checkpoint(
    tmp_path: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
):
    file, bad = _tiff(tmp_path), _pickle(small_checkpoint)
    before = contents(tmp_path)
    done = run(capsys, "segment", file, "-o", tmp_path / "out.tif", "--checkpoint", bad)
    assert done.status == 2
    check_sentence(last_line(done.error), "bad.safetensors")
    assert contents(tmp_path) == before


def test_command_that_compares_other_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    nc.write_labels(tmp_path / "a.tif", CELLS)
    nc.write_labels(tmp_path / "b.tif", CELLS[:1])
    done = run(capsys, "evaluate", tmp_path / "a.tif", tmp_path / "b.tif")
    assert done.status == 2
    check_sentence(last_line(done.error), "(2, 3)", "(1, 3)")


def test_command_in_a_process_of_its_own(tmp_path: Path):
    done = subprocess.run(
        [
            Path(sys.executable).with_name("napari-cellseg"),
            "segment",
            tmp_path / "nowhere.tif",
            "-o",
            tmp_path / "out.tif",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nowhere.tif" in done.stderr
    assert list(tmp_path.iterdir()) == []
