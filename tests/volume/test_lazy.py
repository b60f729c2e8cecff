import numpy as np
import pytest

from napari_cellseg import InputError
from napari_cellseg.volume.lazy import lazy


class Counting:
    """An array that counts what is read from it."""

    def __init__(self, shape, dtype=np.uint8):
        self.shape, self.dtype, self.read = shape, np.dtype(dtype), 0

    def __getitem__(self, key):
        value = np.broadcast_to(np.zeros((), self.dtype), self.shape)[key]
        self.read += value.size
        return value


def test_nothing_is_read_until_it_is_used_and_then_only_what_is_asked_for():
    source = Counting((1000, 10**4, 10**4))
    array = lazy(source, "file", (64, 128, 128))
    view = array.transpose(0, 2, 1)[5]
    assert source.read == 0
    assert np.asarray(view[:10, :20]).shape == (10, 20)
    assert source.read <= 1 << 26
    source.read = 0
    assert np.asarray(array[5, 10:20, 30:50]).shape == (10, 20)
    assert source.read == 200


def test_an_impossibly_large_array_opens_at_once():
    source = Counting((10**6, 10**6, 10**6))
    array = lazy(source, "file", (64, 128, 128))
    assert array[3].transpose(1, 0).shape == (10**6, 10**6)
    assert source.read == 0
    assert array.npartitions <= 200_000


def test_tiny_chunks_are_read_together():
    assert lazy(Counting((1000, 1000)), "file", (1, 1000)).chunksize[0] == 1000


def test_a_chunk_that_cannot_be_decoded_whole_is_refused():
    with pytest.raises(InputError, match="too large"):
        lazy(Counting((10**6, 10**6)), "file", (10**6, 10**6))


def test_a_read_error_names_file_and_place():
    class Broken(Counting):
        def __getitem__(self, key):
            raise RuntimeError("bad block\nwith details")

    with pytest.raises(
        InputError, match=r"^TIFF 'a' is damaged or incomplete: part \[.*\(bad block\)\.$"
    ):
        np.asarray(lazy(Broken((4, 4)), "TIFF 'a'", (2, 2)))
