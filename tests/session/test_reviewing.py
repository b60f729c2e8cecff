"""Reviewing without a window: what is doubtful comes first, and every answer stays."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review import Filters
from napari_cellseg.session import Session
from napari_cellseg.session.review_follow import MANY
from napari_cellseg.session.review_work import Pixels
from napari_cellseg.session.reviewing import Reviewing, review_for
from napari_cellseg.volume import as_volume
from napari_cellseg.worker import InferenceWorker
from review_scene import cells

TRUTH = cells((20, 80, 80), step=16, radius=6.5)
MERGED, SPLIT, MISSED = 2, 13, 21


def image():
    noise = np.random.default_rng(0).normal(0, 2, TRUTH.shape)
    return ((TRUTH > 0) * 100 + noise).astype(np.float32)


def broken():
    """Cells 2 and 3 are one, cell 13 is two (13 and 99), cell 21 is missing."""
    labels = TRUTH.copy()
    labels[labels == 3] = MERGED
    between = (TRUTH == 2) | (TRUTH == 3)
    where = np.argwhere(between)
    row = round(where[:, 1].mean())
    low, high = where[:, 2].min(), where[:, 2].max()
    labels[6:10, row - 2 : row + 2, low + 5 : high - 5] = MERGED
    half = np.argwhere(labels == SPLIT)
    middle = round(half[:, 2].mean())
    part = labels[:, :, middle:]
    part[part == SPLIT] = 99
    labels[labels == MISSED] = 0
    return labels


@pytest.fixture
def worker():
    own = InferenceWorker(threads=1)
    yield own
    assert own.shutdown(10)


@pytest.fixture
def session(worker, tmp_path):
    one = Session(worker=worker)
    one.documents = tmp_path / "documents"
    one.use_volume(image(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    one.adopt(broken())
    yield one
    one.close()


@pytest.fixture
def review(session):
    one = Reviewing(session)
    one.start()
    assert settled(one)
    return one


def settled(review, seconds=20):
    """Wait until nothing is ranked or measured, then return whether that came true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with review.session._lock:
            quiet = not (review.ranking or review._measuring or review.session.busy)
            if quiet and (review.queue is not None or not review.active):
                return True
        time.sleep(0.005)
    return False


def names(review):
    return [item.key for item in review.items]


def missing(review):
    return next(item for item in review.items if item.kind == "missing")


def test_what_is_wrong_comes_first(review):
    assert review.active
    first = {item.id for item in review.items[:4]}
    assert {MERGED, SPLIT, 99} <= first | {None}
    assert review.item is review.items[0]
    assert review.session.selected == ((0, review.item.id),) or review.item.id is None
    middle = np.argwhere(TRUTH == MISSED).mean(0)
    assert np.abs(np.subtract(missing(review).centre, middle)).max() < 3
    assert review.progress.left == len(review.items) == len(review.all_items)


def test_one_review_for_all_who_ask(session):
    one = review_for(session)
    assert review_for(session) is one


def test_without_cells_it_says_why(worker):
    session = Session(worker=worker)
    review = Reviewing(session)
    with pytest.raises(InputError, match=r"segment or adopt"):
        review.start()
    session.use_volume(image(), axes="zyx")
    session.adopt(np.zeros(TRUTH.shape, np.uint32))
    with pytest.raises(InputError, match="no cells to review"):
        review.start()
    assert not review.active
    with pytest.raises(InputError, match="Start the review"):
        review.accept()
    session.close()


def test_next_and_previous_stay_at_the_ends(review):
    first, second = review.items[:2]
    assert review.previous() is first
    assert review.next() is second
    for _ in range(len(review.items) + 2):
        last = review.next()
    assert last is review.items[-1]
    assert review.go(second.key) is second
    with pytest.raises(InputError, match="no item"):
        review.go(("object", 0, 12345))


def test_accepting_locks_in_one_step_and_goes_on(review):
    review.go(("object", 0, 7))
    after = names(review)[names(review).index(("object", 0, 7)) + 1]
    steps = len(review.session.document.history)
    review.accept()
    document = review.session.document
    assert len(document.history) == steps + 1
    assert document.is_locked(7)
    assert document.objects.mark(7, "accepted") is True
    assert ("object", 0, 7) not in names(review)
    assert review.item.key == after
    assert review.progress.accepted == 1


def test_undo_takes_an_acceptance_back_and_redo_gives_it_again(review):
    review.go(("object", 0, 7))
    review.accept()
    review.session.undo()
    assert not review.session.document.is_locked(7)
    assert review.item.key == ("object", 0, 7)
    assert review.item in review.items
    assert review.progress.accepted == 0
    review.session.redo()
    assert ("object", 0, 7) not in names(review)
    assert review.progress.accepted == 1


def test_deleting_goes_on_at_once_and_undo_comes_back(review):
    review.go(("object", 0, 7))
    after = names(review)[names(review).index(("object", 0, 7)) + 1]
    review.delete()
    assert review.item.key == after, "without waiting for the ranking"
    assert settled(review)
    assert ("object", 0, 7) not in {item.key for item in review.all_items}
    assert all(  # nobody is asked whether a cell is missing where they have just deleted one
        TRUTH[tuple(round(c) for c in item.centre)] != 7
        for item in review.items
        if item.kind == "missing"
    )
    assert review.progress.repaired == 1
    review.session.undo()
    assert settled(review)
    assert review.item.key == ("object", 0, 7)
    assert review.progress.repaired == 0


def test_merging_with_the_neighbour_repairs_a_split(review):
    review.go(("object", 0, 99))
    assert review.neighbour() == (0, SPLIT)
    review.merge_with_neighbour()
    labels = review.session.labels
    assert len(np.unique(labels[TRUTH == SPLIT])) == 1
    assert settled(review)
    left = names(review)
    assert ("object", 0, 99) not in left
    assert ("object", 0, SPLIT) not in left
    assert review.item.key in left


def test_one_that_touches_none_has_nothing_to_be_merged_with(review):
    review.go(("object", 0, 7))
    assert review.neighbour() is None
    with pytest.raises(InputError, match="touches no other"):
        review.merge_with_neighbour()


def test_a_split_goes_on_and_its_parts_need_no_look(review):
    review.go(("object", 0, MERGED))
    seeds = [np.argwhere(id == TRUTH).mean(0).round().astype(int) for id in (2, 3)]
    ids = review.session.change("split", MERGED, seeds)
    assert len(ids) == 2
    assert review.item.key != ("object", 0, MERGED)
    assert settled(review)
    assert not {("object", 0, id) for id in ids} & set(names(review))


def test_painting_stays_with_the_cell(review):
    review.go(("object", 0, 7))
    review.session.change("lock", [4])  # the first step of all begins the journal
    at = np.argwhere(TRUTH == 7).max(0)
    review.session.stroke(tuple(np.array([c]) for c in at), 7)
    review.session.stroke((at[:1], at[1:2], at[2:] + 1), 7)
    assert review._measuring is None, "a stroke is measured when it ends"
    review.session.end_stroke()
    assert settled(review)
    assert review.item.key == ("object", 0, 7)
    assert ("object", 0, 7) not in names(review)
    assert review.next().key in names(review)


def test_skipped_ones_come_last(review):
    first, second = review.items[:2]
    review.skip()
    assert review.item is second
    assert review.items[-1] is first
    assert review.progress.left == len(review.items)


def test_a_place_is_accepted_and_has_no_cell_to_delete(review):
    place = missing(review)
    review.go(place.key)
    with pytest.raises(InputError, match="no cell here to delete"):
        review.delete()
    review.accept()
    assert place not in review.items
    assert review.progress.accepted == 1


def test_adding_prompts_at_the_place(review, monkeypatch):
    place, clicked = missing(review), []
    review.go(place.key)
    monkeypatch.setattr(review.session.prompts, "click", clicked.append)
    review.add()
    assert clicked == [place.centre]


def test_reopening_takes_the_cell_in_hand(review):
    review.go(("object", 0, 7))
    review.reopen()
    assert review.session.prompts.current.label == 7
    review.accept()
    review.go_on = False
    review.session.prompts.next_object()
    review.go(("object", 0, 7))
    with pytest.raises(InputError, match="locked"):
        review.reopen()


def test_filters_hide_without_deciding(review):
    total = len(review.items)
    review.filters = Filters(border=False)
    assert 0 < len(review.items) < total
    assert not any(item.touches_border for item in review.items)
    assert review.item in review.items
    review.filters = Filters(kind="missing")
    assert {item.kind for item in review.items} == {"missing"}
    review.filters = Filters()
    assert len(review.items) == total


def test_it_goes_on_in_a_document_opened_again(review, worker):
    session = review.session
    review.go(("object", 0, 7))
    review.accept()
    review.skip()
    review.go(missing(review).key)
    review.accept()
    review.go(("object", 0, 9))
    review.delete()
    assert settled(review)
    review.filters = Filters(least=0.01)
    review.start_audit()
    review.answer(False)
    review.answer(True)
    review.stop_audit()
    at = names(review)[3]
    review.go(at)
    was, said = names(review), review.verdict
    document = session.document
    assert document.saved.wait(10)
    folder = document.folder
    session.close()
    document.close()
    other = Session(worker=worker)
    other.use_volume(image(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    other.recover(folder)
    again = Reviewing(other)
    assert wait(lambda: other.document is not None)
    again.start()
    assert settled(again)
    assert set(names(again)) == set(was)
    assert again.item.key == at
    assert again.filters == Filters(least=0.01)
    assert again.progress.accepted == 2
    assert again.verdict == said
    other.close()


def wait(what, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.005)
    return False


def test_what_cannot_be_read_begins_anew(session):
    session.document.set_meta("review", {"at": 5, "filters": {"no such": 1}})
    session.document.set_meta("review_audit", {"items": 3})
    review = Reviewing(session)
    review.start()
    assert settled(review)
    assert review.items
    assert review.audit is None
    assert len([said for said in session.notices if "anew" in said]) == 2


def test_the_audit_draws_answers_and_says_when_to_stop(review):
    with pytest.raises(InputError, match="start the audit"):
        review.answer(True)
    review.start_audit()
    assert review.verdict.startswith("Check ")
    seen = set()
    for _ in range(200):
        item = review.item
        if item is None:
            break
        assert item.key not in seen
        assert review.next() is item, "what is drawn must be answered"
        seen.add(item.key)
        review.answer(item.id == MERGED)
    assert len(seen) == len(review.session.document.objects)
    assert review.estimate.wrong == 1
    assert "wrong [" in review.verdict
    review.stop_audit()
    assert review.item in review.items
    review.forget_audit()
    assert review.audit is None
    assert review.verdict == ""


@pytest.mark.parametrize("of", ["object", "space"])
def test_an_answer_is_taken_back(review, of):
    review.start_audit(of)
    with pytest.raises(InputError, match="Nothing was answered"):
        review.take_back_answer()
    first = review.item.key
    review.answer(True)
    second = review.item.key
    review.answer(False)
    assert review.answered == 2
    review.take_back_answer()
    assert review.item.key == second
    review.take_back_answer()
    assert review.item.key == first
    assert review.answered == 0
    assert review.estimate.checked == 0
    review.answer(False)
    assert (review.estimate.checked, review.estimate.wrong) == (1, 0)


def test_what_is_repaired_while_it_is_checked_was_wrong(review):
    review.start_audit()
    drawn = review.item
    review.delete()
    assert settled(review)
    found = review.estimate
    assert (found.checked, found.wrong, found.corrected) == (1, 1, 1)
    assert review.item is not None
    assert review.item.key != drawn.key
    review.session.undo()
    assert settled(review)
    assert review.estimate.corrected == 0


def test_accepting_answers_the_audit_and_undoing_it_stays_there(review):
    review.start_audit()
    drawn = review.item
    review.accept()
    assert review.session.document.is_locked(drawn.id)
    assert (review.estimate.checked, review.estimate.wrong) == (1, 0)
    second = review.item
    assert second.key not in (drawn.key, None)
    review.session.undo()
    assert review.item is second
    review.filters = Filters(kind="missing")
    assert review.item is second


def test_the_audit_of_empty_space(review):
    review.start_audit("space")
    assert review.item.kind == "missing"
    z, y, x = (int(c) for c in review.item.centre)
    assert review.session.labels[z, y, x] == 0
    review.answer(False)
    review.accept()
    assert review.estimate.checked == 2
    review.start_audit("missing")
    assert review.item in review.all_items


def test_cancelling_the_ranking_turns_it_off(session):
    review, told = Reviewing(session), []
    review.changed.connect(lambda: told.append(review.active))
    review.start()
    session.cancel()
    assert settled(review)
    assert not review.active
    assert told[-1] is False
    review.start()
    assert settled(review)
    assert review.items


def test_an_edit_while_it_is_ranked_is_measured_afterwards(session):
    review = Reviewing(session)
    review.start()
    session.change("delete", [7])
    session.change("accept", [9])
    assert settled(review)
    assert wait(lambda: not review._pending and review._measuring is None)
    assert ("object", 0, 7) not in names(review)
    assert ("object", 0, 9) not in names(review)


def test_edits_while_it_is_off_are_followed_when_it_is_on_again(review):
    review.stop()
    review.session.change("delete", [7])
    assert review._measuring is None
    review.start()
    assert settled(review)
    assert ("object", 0, 7) not in names(review)


def test_other_labels_are_ranked_anew(review):
    session = review.session
    session.adopt(TRUTH.copy())
    assert settled(review)
    assert review.active
    assert {item.id for item in review.all_items if item.id} == set(range(1, TRUTH.max() + 1))
    session.remove_labels()
    assert not review.active
    assert review.item is None
    assert not review.items


def test_a_step_that_changes_everything_ranks_anew(review, monkeypatch):
    monkeypatch.setattr("napari_cellseg.session.review_follow.MANY", 2)
    assert MANY > 2
    review.session.change("delete", [4, 5, 6, 8])
    assert review.ranking
    assert settled(review)
    assert not {4, 5, 6, 8} & {item.id for item in review.all_items}


def test_another_array_is_ranked_anew(review):
    session = review.session
    other = session.labels.copy()
    other[other == 7] = 0
    session.document.replace(other, "edit", "user")
    assert settled(review)
    assert 7 not in {item.id for item in review.all_items}


def test_many_marks_at_once(review):
    ids = [int(id) for id in review.session.document.objects.ids()][:24]
    review.session.change("accept", ids)
    assert review.progress.accepted == 24
    review.session.undo()
    assert review.progress.accepted == 0


def test_ranking_never_holds_the_caller_up(session):
    review = Reviewing(session)
    began = time.perf_counter()
    review.start()
    assert time.perf_counter() - began < 0.5
    assert threading.current_thread() is threading.main_thread()
    assert settled(review)


def test_labels_of_time_points(worker):
    frames = np.stack([TRUTH[7], TRUTH[7]])
    frames[1][frames[1] == 7] = 0
    session = Session(worker=worker)
    session.documents = None
    session.use_volume((frames > 0) * np.float32(9), axes="tyx")
    session.adopt(frames)
    review = Reviewing(session)
    review.start()
    assert settled(review)
    review.go(("object", 0, 7))
    review.accept()
    assert session.document.is_locked(7, 0)
    review.go(("object", 1, 9))
    review.reopen()
    assert session.prompts.current.label == 9
    review.delete()
    assert (0, 9) in session.document.objects
    assert (1, 9) not in session.document.objects
    review.start_audit("space")
    assert review.item is not None
    session.close()


@pytest.mark.parametrize("axes", ["zyx", "czyx", "tzcyx"])
def test_pixels_of_a_channel(axes):
    rng = np.random.default_rng(0)
    shape = [{"t": 2, "c": 3, "z": 4, "y": 5, "x": 6}[axis] for axis in axes]
    data = rng.random(shape).astype(np.float32)
    volume = as_volume(data, axes=axes)
    channel = min(1, volume.n_channels - 1)
    pixels = Pixels(volume, channel)
    assert pixels.shape == volume.label_shape
    box = (slice(1, 3), slice(0, 4), slice(2, 6))
    where = (1, *box) if "t" in axes else box
    expected = np.asarray(volume.stack(channel, int("t" in axes)))[box]
    np.testing.assert_array_equal(pixels[where], expected)
    whole = pixels.loaded()
    assert isinstance(whole, np.ndarray)
    np.testing.assert_array_equal(whole[where], expected)


def test_pixels_of_colours_are_their_mean():
    data = np.random.default_rng(0).integers(0, 255, (8, 9, 3), np.uint8)
    volume = replace(as_volume(data, axes="yxc"), rgb=True, channels=())
    np.testing.assert_allclose(Pixels(volume, 0)[2:5, 1:4], data.mean(-1)[2:5, 1:4], rtol=1e-5)


def test_facts_of_the_document_itself_are_not_overwritten(session):
    with pytest.raises(InputError, match="choose another name"):
        session.document.set_meta("axes", "yx")
    session.change("accept", [7])  # begins the journal
    with pytest.raises(InputError):
        session.document.set_meta("review", object())
    assert session.document.meta.get("review") is None
