import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg import InputError, read_volume
from napari_cellseg.volume.read import title


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.tif", b"", "is empty"),
        ("text.tif", b"hello there, no image", "is no TIFF"),
        ("short.tif", b"II*\x00", "truncated"),
        ("movie.mp4", b"\x00\x00\x00\x18ftyp", "unknown kind"),
        ("noext", b"\x00" * 100, "unknown kind"),
        ("short.npy", b"\x93NUMPY", "no usable .npy"),
        ("text.npy", b"hello there", "unknown kind"),
    ],
)
def test_files_that_are_no_image(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_volume(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["missing.tif", "missing/x.tif", "", "bad\0name.tif", None, 3.5, "a" * 5000]
)
def test_paths_that_are_none(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_zarr(tmp_path):
    with pytest.raises(InputError, match="no zarr store"):
        read_volume(tmp_path)


def test_a_symlink_loop(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "b.tif")
    (tmp_path / "b.tif").symlink_to(tmp_path / "a.tif")
    with pytest.raises(InputError, match="cannot be opened"):
        read_volume(tmp_path / "a.tif")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))

    def denied(self, *args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="Permission denied"):
        read_volume(tmp_path / "a.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in the file system")
def test_what_is_neither_file_nor_folder(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        read_volume(tmp_path / "a.tif")


def test_npy_is_memory_mapped_and_never_unpickled(tmp_path):
    data = np.arange(24, dtype=">i4").reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", data.astype("i4"))
    volume = read_volume(tmp_path / "a.npy", spacing=(2, 1, 1))
    assert isinstance(volume.data, np.memmap)
    assert np.array_equal(volume.data, data)
    assert volume.axes == "zyx"
    np.save(tmp_path / "b.npy", data)
    assert np.array_equal(np.asarray(read_volume(tmp_path / "b.npy").data), data)

    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (marker.write_text, ("x",))

    np.save(tmp_path / "c.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    (tmp_path / "d.npy").write_bytes(pickle.dumps(Payload()))
    for name in ("c.npy", "d.npy"):
        with pytest.raises(InputError):
            read_volume(tmp_path / name)
    assert not marker.exists()


def test_an_npy_header_that_lies_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((100, 100)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(100, 100)", b"(10**9, 9)"[:10]))
    with pytest.raises(InputError):
        read_volume(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(content[:5000])
    with pytest.raises(InputError, match="no usable"):
        read_volume(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.tif", "a"),
        ("a.b.OME.TIF", "a.b"),
        ("a.ome.zarr", "a"),
        ("a.zarr", "a"),
        ("a", "a"),
        (".tif", ".tif"),
    ],
)
def test_titles(name, expected):
    assert title(Path(name)) == expected
