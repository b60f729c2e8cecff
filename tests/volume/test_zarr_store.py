import json

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg import InputError, read_volume

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "?"]


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    order=st.sampled_from("<>"),
    version=st.sampled_from([2, 3]),
    shape=st.sampled_from([(7, 9), (3, 8, 9), (2, 3, 8, 9)]),
)
def test_every_type_comes_back(tmp_path_factory, dtype, order, version, shape):
    path = tmp_path_factory.mktemp("zarr") / "a.zarr"
    data = (
        np.random.default_rng(1).integers(0, 2, shape).astype(np.dtype(dtype).newbyteorder(order))
    )
    if version == 3:
        data = data.astype(dtype)
    array = zarr.create_array(
        path, shape=shape, dtype=data.dtype, chunks=(2,) * len(shape), zarr_format=version
    )
    array[:] = data
    volume = read_volume(path)
    assert volume.dtype == np.dtype(dtype)
    assert volume.dtype.isnative
    assert volume.axes == {2: "yx", 3: "zyx", 4: "tzyx"}[len(shape)]
    assert np.array_equal(np.asarray(volume.data), data)


def _create(path, version=3, shape=(3, 8, 9), **options):
    array = zarr.create_array(
        path, shape=shape, dtype="u2", chunks=shape, zarr_format=version, **options
    )
    array[:] = np.arange(np.prod(shape)).reshape(shape)
    return path


def _patch(path, **changes):
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, **changes}))


def test_dimension_names_are_axes(tmp_path):
    _create(tmp_path / "a.zarr", dimension_names=("c", "y", "x"))
    volume = read_volume(tmp_path / "a.zarr")
    assert volume.axes == "cyx"
    assert not any(text.startswith("Axes") for text in volume.notices)
    _create(tmp_path / "b.zarr", version=2, attributes={"_ARRAY_DIMENSIONS": ["x", "y", "z"]})
    assert read_volume(tmp_path / "b.zarr").shape == (9, 8, 3)
    _create(tmp_path / "c.zarr", dimension_names=("depth", "y", "x"))
    assert any(text.startswith("Axes") for text in read_volume(tmp_path / "c.zarr").notices)


def test_a_group_with_exactly_one_array_is_that_array(tmp_path):
    zarr.create_group(tmp_path / "g.zarr")
    with pytest.raises(InputError, match="0 arrays"):
        read_volume(tmp_path / "g.zarr")
    _create(tmp_path / "g.zarr/one")
    assert read_volume(tmp_path / "g.zarr").shape == (3, 8, 9)
    _create(tmp_path / "g.zarr/two")
    with pytest.raises(InputError, match="'one', 'two'"):
        read_volume(tmp_path / "g.zarr")
    assert read_volume(tmp_path / "g.zarr/two").name == "two"


def test_opening_reads_no_chunk_and_a_missing_chunk_is_zero(tmp_path):
    path = _create(tmp_path / "a.zarr")
    chunk = next(p for p in (path / "c").rglob("*") if p.is_file())
    chunk.write_bytes(b"not a chunk")
    volume = read_volume(path)
    with pytest.raises(InputError, match=r"'a.zarr' is damaged or incomplete"):
        np.asarray(volume.data)
    chunk.unlink()
    assert np.asarray(read_volume(path).data).max() == 0


def test_a_sparse_array_of_a_petabyte_opens_but_is_not_loaded(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(10**5,) * 3, dtype="u1", chunks=(64, 256, 256))
    volume = read_volume(tmp_path / "a.zarr", spacing=(1, 1, 1))
    assert volume.nbytes == 10**15
    assert np.asarray(volume.stack()[7, :5, :5]).max() == 0
    with pytest.raises(InputError, match="memory"):
        volume.load()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [3, 0, 9]},
        {"shape": []},
        {"shape": "big"},
        {"shape": [-1, 8, 9]},
        {"shape": [1e3, 8, 9]},
        {"shape": [2**61, 2**61, 9]},
        {"shape": None},
        {"dtype": "|O", "data_type": "string"},
        {"dtype": "<U4", "data_type": "fixed_length_utf32"},
        {"dtype": "<c8", "data_type": "complex64"},
        {"dtype": "<M8[s]", "data_type": {"name": "numpy.datetime64"}},
        {"dtype": [["a", "<u2"]], "data_type": 7},
        {"zarr_format": 9},
        {"compressor": {"id": "nonsense"}, "codecs": [{"name": "nonsense"}]},
    ],
    ids=lambda c: "-".join(c),
)
def test_metadata_that_cannot_be_are_one_sentence(tmp_path, version, changes):
    path = _create(tmp_path / "a.zarr", version)
    _patch(path / ("zarr.json" if version == 3 else ".zarray"), **changes)
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_chunk_larger_than_memory_is_refused(tmp_path):
    path = _create(tmp_path / "a.zarr", 2)
    _patch(path / ".zarray", shape=[10**4, 10**5, 10**5], chunks=[10**4, 10**5, 10**5])
    with pytest.raises(InputError, match="too large"):
        read_volume(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", "[" * 100_000])
@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zgroup"])
def test_damaged_json_is_one_sentence(tmp_path, name, text):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as caught:
        read_volume(tmp_path / "a.zarr")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "codec"),
    [
        (2, {"filters": [{"id": "pickle"}]}),
        (2, {"compressor": {"id": "pickle"}}),
        (3, {"codecs": [{"name": "numcodecs.pickle"}, {"name": "bytes"}]}),
    ],
)
def test_pickled_chunks_are_never_opened(tmp_path, version, codec):
    path = _create(tmp_path / "a.zarr", version)
    _patch(path / ("zarr.json" if version == 3 else ".zarray"), **codec)
    with pytest.raises(InputError, match="pickled"):
        read_volume(path)
