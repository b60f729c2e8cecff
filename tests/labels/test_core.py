"""Edits, marks and history of a document without a journal."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dense_oracle import check_table, marks_of
from napari_cellseg.errors import InputError
from napari_cellseg.labels import Change, LabelDocument
from napari_cellseg.labels.edit import MOST, Edit, Labels, Mark


def labels() -> Labels:
    """Two cells, 3 and 7, in (z, y, x)."""
    out = np.zeros((4, 20, 20), np.uint32)
    out[0:2, 2:6, 2:6] = 3
    out[1:3, 10:15, 10:15] = 7
    return out


def edit(box: tuple[int, ...], value: int, **options: Any) -> Edit:
    half = len(box) // 2
    return Edit(box, np.ones(np.subtract(box[half:], box[:half]), bool), value, **options)


INSIDE_3 = (0, 2, 2, 1, 4, 4)
ALL_OF_3 = (0, 2, 2, 2, 6, 6)


# -- what an edit is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "region",
    [
        (),
        (0, 1, 2),
        (slice(0, 1), slice(None, 2)),
        (slice(0, 1), slice(0, 2, 2)),
        (slice(-1, 1), slice(0, 2)),
        (2, 0, 1, 2),
        (0.0, 0, 1, 2),
        (slice(0, 1), 2),
    ],
)
def test_boxes_that_are_none(region: Any) -> None:
    with pytest.raises(InputError, match="box"):
        Edit(region, np.ones((1, 2), bool), 1)


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (np.ones((1, 3), bool), 1),
        (np.ones((1, 2), np.uint8), 1),
        (np.ones((1, 2), bool), -1),
        (np.ones((1, 2), bool), MOST + 1),
        (np.ones((1, 2), bool), 1.0),
        (np.ones((1, 2), bool), "3"),
        (np.ones((1, 2), bool), None),
        (np.ones((1, 2), bool), np.float32(3)),
        (np.ones((1, 2), bool), np.ones((1, 2))),
        (np.ones((1, 2), bool), np.ones((2, 1), int)),
        (np.ones((1, 2), bool), np.array([[1, -1]])),
        (np.ones((1, 2), bool), np.array([[1, MOST + 1]], np.uint32)),
        (np.ones((1, 2), bool), np.array([[1, 2**40]], np.uint64)),
    ],
)
def test_masks_and_values_that_are_none(mask: Any, values: Any) -> None:
    with pytest.raises(InputError):
        Edit((0, 0, 1, 2), mask, values)


def test_values_of_every_whole_type() -> None:
    for kind in ("u1", "u2", "u4", "u8", "i1", "i4", "i8", ">u4", ">i4"):
        document = LabelDocument(labels())
        document.apply(
            Edit((0, 0, 0, 1, 1, 2), np.ones((1, 1, 2), bool), np.array([[[5, 9]]], kind))
        )
        assert document.labels[0, 0, :2].tolist() == [5, 9]
    unmasked = np.array([[[5, -1]]])
    assert Edit((0, 0, 0, 1, 1, 2), np.array([[[True, False]]]), unmasked).values is not None
    assert Edit((0, 0, 1, 1), np.ones((1, 1), bool), np.uint8(4)).values == 4
    assert Edit((0, 0, 1, 1), np.ones((1, 1), bool), np.array(4)).values == 4


# -- steps ---------------------------------------------------------------------------------------


def test_what_fails_half_way_leaves_no_trace() -> None:
    document = LabelDocument(labels())
    document.set_class(3, "glia")
    before = marks_of(document)
    told: list[Change] = []
    document.changed.connect(told.append)
    with pytest.raises(InputError, match="no object 3"):
        document.apply(Mark(0, 7, "score", 2), edit(ALL_OF_3, 0), Mark(0, 3, "class", "neuron"))
    np.testing.assert_array_equal(document.labels, labels())
    assert marks_of(document) == before
    assert len(document.history) == 1
    assert told == []
    check_table(document)


def test_marks_are_plain_before_anything_changes() -> None:
    document = LabelDocument(labels())
    document.apply(
        edit(INSIDE_3, 9),
        Mark(np.int64(0), np.uint32(3), "score", np.float32(0.5)),  # type: ignore[arg-type]
        Mark(0, 7, "bins", np.arange(3)),
    )
    assert marks_of(document) == {((0, 3), "score"): 0.5, ((0, 7), "bins"): [0, 1, 2]}
    assert document.apply(Mark(0, 7, "bins", (0, 1, 2))) is None
    document.undo()
    assert marks_of(document) == {}


def test_a_lock_that_is_false_is_none() -> None:
    document = LabelDocument(labels())
    document.lock(3)
    document.apply(Mark(0, 3, "locked", False))
    assert not document.is_locked(3)
    assert document.objects.marked("locked") == {}
    step = document.apply(edit(INSIDE_3, 9))
    assert step is not None
    assert step.spared == 0


def test_locked_objects_neither_lose_nor_gain_and_it_is_counted() -> None:
    document = LabelDocument(labels())
    document.lock(3)
    step = document.apply(edit((0, 0, 0, 1, 8, 8), 9))
    assert step is not None
    assert (step.count, step.spared) == (64 - 16, 16)
    assert document.apply(edit((3, 0, 0, 4, 5, 5), 3)) is None
    both = Edit((1, 9, 9, 2, 11, 11), np.ones((1, 2, 2), bool), np.array([[[3, 4], [3, 4]]]))
    step = document.apply(both)
    assert step is not None
    assert (step.count, step.spared) == (2, 2)


def test_born_are_those_that_were_not_there_before() -> None:
    document = LabelDocument(labels())
    step = document.apply(edit(ALL_OF_3, 0), edit(INSIDE_3, 3))
    assert step is not None
    assert step.born == ()
    step = document.apply(edit((3, 0, 0, 4, 1, 1), 20), edit((3, 0, 0, 4, 1, 1), 0))
    assert step is not None
    assert step.born == ()
    document.relabel()
    assert document.history[-1].born == ((0, 1), (0, 2))
    document.relabel(start=2)  # 1 → 2 → 3: 2 was there before
    assert document.history[-1].born == ((0, 3),)


def test_table_follows_a_stroke_that_is_abandoned() -> None:
    document = LabelDocument(labels())
    document.apply(edit(INSIDE_3, 9), gather=True)
    assert len(document.table) == 3
    document.abandon_stroke()
    assert len(document.table) == 2
    assert document.table.loc[(0, 3), "voxels"] == 32


def test_quality_is_of_the_objects_that_it_was_found_for() -> None:
    document = LabelDocument(labels())
    index = pd.MultiIndex.from_tuples([(0, 3), (0, 7)], names=["t", "id"])
    document.apply(edit(INSIDE_3, 0))
    document.set_quality(pd.DataFrame({"probability": [0.5, 0.75]}, index=index))
    assert document.table["probability"].tolist() == [0.5, 0.75]
    document.undo()  # object 3 is not the one that was judged
    assert document.table["probability"].isna().tolist() == [True, False]
    document.redo()
    assert document.table["probability"].tolist() == [0.5, 0.75]
    document.delete(7)
    assert document.table["probability"].tolist() == [0.5]
    nobody = index[:0]
    document.set_quality(pd.DataFrame({"probability": np.zeros(0)}, index=nobody))
    assert document.table["probability"].isna().all()


def test_prepared_in_a_stroke_that_is_abandoned() -> None:
    document = LabelDocument(labels())
    other = np.where(labels() == 7, 0, labels()).astype(np.uint32)
    document.apply(edit(INSIDE_3, 9), gather=True)
    prepared = document.prepare(other)
    document.abandon_stroke()
    document.replace(prepared)
    np.testing.assert_array_equal(document.labels, other)
    document.undo()
    np.testing.assert_array_equal(document.labels, labels())


@pytest.mark.parametrize("kind", ["f4", "i8", "?", ">u4", "u2"])
def test_arrays_that_cannot_take_the_place_of_labels(kind: str) -> None:
    document = LabelDocument(labels())
    other = labels()[::-1].copy()
    with pytest.raises(InputError):
        document.replace(other.astype(kind))
    for wrong in (other[:2], other.T, np.asfortranarray(other)):
        with pytest.raises(InputError):
            document.replace(wrong)
    frozen = other.copy()
    frozen.flags.writeable = False
    with pytest.raises(InputError):
        document.replace(frozen)
    np.testing.assert_array_equal(document.labels, labels())
    assert document.history == []
    check_table(document)


# -- written without a word ----------------------------------------------------------------------


def test_foreign_writes_without_a_journal_end_history() -> None:
    document = LabelDocument(labels())
    document.lock(7)
    document.apply(edit(INSIDE_3, 9))
    document.labels[1:3, 10:15, 10:15] = 0  # even what is locked
    step = document.absorb()
    assert step is not None
    assert step.kind == "foreign"
    assert not document.can_undo
    assert marks_of(document) == {}  # 7 is gone
    assert document.absorb() is None
    check_table(document)
    assert list(document.table.index) == [(0, 3), (0, 9)]


def test_a_foreign_write_found_by_undo_without_a_journal() -> None:
    document = LabelDocument(labels())
    document.apply(edit(INSIDE_3, 9))
    document.labels[0, 2, 2] = 50
    with pytest.raises(InputError, match="nothing to undo"):
        document.undo()
    assert document.labels[0, 2, 2] == 50
    check_table(document)


# -- cost ----------------------------------------------------------------------------------------


def test_memory_of_steps_does_not_depend_on_the_volume() -> None:
    peaks = []
    for size in (64, 512):
        array = np.zeros((16, size, size), np.uint32)
        array[2:6, 10:30, 10:30] = 4
        document = LabelDocument(array, copy=False)
        document.lock(4)
        document.unlock(4)
        document.apply(edit((2, 5, 5, 4, 35, 35), 8))
        document.undo()  # all is compiled
        tracemalloc.start()
        document.apply(edit((2, 5, 5, 4, 35, 35), 8))
        document.delete(8)
        document.undo()
        document.undo()
        document.redo()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 20_000
    assert peaks[1] < 16 * 512 * 512 // 10


def test_only_the_box_of_an_edit_is_read() -> None:
    """A page of an array that nobody touches is never brought into memory."""
    psutil = pytest.importorskip("psutil")
    array = np.zeros((400, 512, 512), np.uint32)  # 420 MB, of which counting reads zeros only
    document = LabelDocument(array, copy=False)
    before = psutil.Process().memory_info().rss
    for place in range(50):
        document.apply(edit((place, 5, 5, place + 1, 35, 35), place + 1))
    for _ in range(50):
        document.undo()
    assert psutil.Process().memory_info().rss - before < 100 * 2**20


# -- threads -------------------------------------------------------------------------------------


def test_edits_from_many_threads_are_steps_one_after_the_other() -> None:
    document = LabelDocument(labels())
    failed: list[BaseException] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(40):
                z, y, x = (int(rng.integers(0, n)) for n in (3, 15, 15))
                document.apply(edit((z, y, x, z + 1, y + 4, x + 4), int(rng.integers(0, 9))))
                if rng.random() < 0.3 and document.can_undo:
                    document.undo()
        except InputError:
            pass  # another thread took the last step back
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failed
    check_table(document)
    while document.can_undo:
        document.undo()
    np.testing.assert_array_equal(document.labels, labels())
    check_table(document)
