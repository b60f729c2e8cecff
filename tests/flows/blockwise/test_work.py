"""What the folder of an unfinished run says when it is asked for something else."""

import errno

import pytest

from napari_cellseg.errors import Cancelled, InputError, StorageError
from napari_cellseg.flows.blockwise.work import Work


def unfinished(output, recipe):
    with pytest.raises(Cancelled), Work(output, recipe):
        raise Cancelled("stopped")


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        ({"diameter": 9.0}, {"diameter": None}, r"diameter=9\.0 instead of left out:"),
        ({"diameter": None}, {"diameter": 9.0}, r"diameter left out instead of 9\.0:"),
        ({"block": [1, 2, 3]}, {"block": [4, 5, 6]}, r"block=\[1, 2, 3\] instead of 4 5 6:"),
        ({"recipe": {"a": 1}}, {"recipe": {"a": 2}}, "with another recipe:"),
    ],
)
def test_what_differs_is_said_in_words(tmp_path, before, now, sentence):
    unfinished(tmp_path / "out.zarr", before)
    with pytest.raises(InputError, match=sentence), Work(tmp_path / "out.zarr", now):
        pytest.fail("it went on")


def test_a_run_that_failed_before_any_work_leaves_nothing(tmp_path):
    with pytest.raises(InputError), Work(tmp_path / "out.zarr", {"diameter": 9.0}):
        raise InputError("no")
    assert not any(tmp_path.iterdir())


def test_a_run_that_failed_after_some_work_is_kept(tmp_path):
    (tmp_path / "out.zarr.partial" / "predict").mkdir(parents=True)
    (tmp_path / "out.zarr.partial" / "recipe.json").write_text("{}")
    with pytest.raises(InputError), Work(tmp_path / "out.zarr", {}):
        raise InputError("no")
    with Work(tmp_path / "out.zarr", {}) as work:
        assert work.resumed


def test_a_full_disk_is_told_wherever_it_is_met(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    sentence = r"No space left on device.* goes on where it stopped"
    with pytest.raises(StorageError, match=sentence), Work(tmp_path / "out.zarr", {}):
        raise full
