"""Prompting without a window: a prompt becomes a mask, and a mask becomes a cell that stays."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import Plane
from prompt_engine import cells, quiet

FIRST = np.s_[6:20, 8:24]
SECOND = np.s_[30:50, 10:30]


def shown(session, plane=2):
    return session.prompts.preview.labels[plane]


def test_a_click_is_answered_at_once_without_a_key(prompted):
    one = prompted.prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert one.number in np.unique(shown(prompted))
    assert (shown(prompted)[FIRST] == one.number).all()
    assert np.count_nonzero(prompted.prompts.preview.labels) == 14 * 16
    assert prompted.labels is None, "nothing is written before it is accepted"


def test_an_accepted_object_is_in_the_labels_and_the_preview_is_empty(prompted):
    prompted.prompts.click((2, 10, 12))
    assert quiet(prompted)
    ids = prompted.prompts.accept()
    assert ids == [1]
    assert (prompted.labels[2][FIRST] == 1).all()
    assert np.count_nonzero(prompted.labels) == 14 * 16
    assert not prompted.prompts.preview.labels.any()
    assert prompted.prompts.current is None
    assert prompted.dirty


def test_candidates_are_cycled_best_first(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert [round(score, 1) for score in prompts.candidates] == [0.9, 0.7, 0.5]
    sizes = [np.count_nonzero(shown(prompted))]
    for expected in (1, 2, 0):
        assert prompts.cycle() == expected == prompts.chosen
        sizes.append(np.count_nonzero(shown(prompted)))
    assert sizes == [14 * 16, 18 * 20, 10 * 12, 14 * 16]
    assert prompts.choose(1) == 1


def test_a_second_point_adds_and_a_negative_one_takes_away(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    one = prompts.click((2, 40, 15))
    assert quiet(prompted)
    assert np.count_nonzero(shown(prompted)) == 14 * 16 + 20 * 20
    prompts.click((2, 40, 20), positive=False)
    assert quiet(prompted)
    assert np.count_nonzero(shown(prompted)) == 14 * 16
    assert len(prompts.objects) == 1
    prompts.remove_prompt(one.points[-1].number)
    assert quiet(prompted)
    assert np.count_nonzero(shown(prompted)) == 14 * 16 + 20 * 20


def test_the_last_prompt_taken_back_leaves_nothing(prompted):
    prompts = prompted.prompts
    one = prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.remove_prompt(one.points[0].number)
    assert not prompts.objects
    assert not shown(prompted).any()


def test_a_moved_point_is_asked_again(prompted):
    prompts = prompted.prompts
    one = prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.move_prompt(one.points[0].number, (2, 40, 15))
    assert quiet(prompted)
    assert (shown(prompted)[SECOND] == one.number).all()
    assert np.count_nonzero(shown(prompted)) == 20 * 20


def test_boxes_scribbles_and_lassos(prompted):
    prompts = prompted.prompts
    plane = Plane("xy", 2)
    prompts.box(plane, (4, 6, 22, 26))
    assert quiet(prompted)
    assert np.count_nonzero(shown(prompted)) == 14 * 16
    prompts.box(plane, (28, 8, 52, 32))
    assert quiet(prompted)
    assert np.count_nonzero(shown(prompted)) == 20 * 20, "the object's box was replaced"
    prompts.next_object()
    prompts.draw(plane, [(8, 10), (15, 20)], "scribble", width=3)
    assert quiet(prompted)
    assert np.count_nonzero(shown(prompted)) == 14 * 16 + 20 * 20
    prompts.next_object()
    prompts.draw(plane, [(8, 48), (8, 72), (32, 72), (32, 48)], "lasso")
    assert quiet(prompted)
    assert sorted(np.unique(shown(prompted))) == [0, 1, 2, 3]
    assert prompts.accept() == [1, 2, 3]


def test_each_point_an_object(prompted):
    prompts = prompted.prompts
    prompts.settings.several = True
    for place in ((2, 10, 12), (2, 40, 15), (2, 20, 60)):
        prompts.click(place)
    assert quiet(prompted)
    assert len(prompts.objects) == 3
    prompts.click((2, 40, 16), positive=False)
    assert quiet(prompted)
    assert len(prompts.objects) == 3, "a negative point belongs to the object in hand"
    assert prompts.accept() == [1, 2, 3]
    assert prompted.labels.max() == 3


def test_finished_cells_stay_unless_asked(prompted):
    prompts = prompted.prompts
    prompts.box(Plane("xy", 2), (4, 6, 22, 26))
    assert quiet(prompted)
    prompts.accept()
    before = prompted.labels.copy()
    assert prompts.click((2, 10, 12)) is None, "a click on a finished cell begins nothing"
    assert any("finished" in notice for notice in prompted.notices)
    prompts.box(Plane("xy", 2), (0, 0, 22, 26))
    assert quiet(prompted)
    assert not shown(prompted).any(), "the preview shows what would be written"
    assert prompts.accept() == []
    assert np.array_equal(prompted.labels, before)
    prompts.settings.overwrite = True
    assert prompts.accept() == [2]
    assert (prompted.labels[2][FIRST] == 2).all()


def test_locked_cells_stay_even_if_overwriting_is_allowed(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.accept()
    prompts.lock(1)
    prompts.settings.overwrite = True
    assert prompts.click((2, 10, 12)) is None
    with pytest.raises(InputError, match="locked"):
        prompts.reopen((2, 10, 12))
    prompts.box(Plane("xy", 2), (0, 0, 22, 26))
    assert quiet(prompted)
    assert prompts.accept() == []
    assert (prompted.labels[2][FIRST] == 1).all()


def test_reopening_brings_the_prompts_back(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    prompts.click((2, 40, 15))
    assert quiet(prompted)
    prompts.accept()
    one = prompts.reopen((2, 10, 12))
    assert [point.position for point in one.points] == [(2, 10, 12), (2, 40, 15)]
    assert prompts.current is one
    assert np.count_nonzero(shown(prompted)) == 14 * 16 + 20 * 20
    prompts.remove_prompt(one.points[1].number)
    assert quiet(prompted)
    assert prompts.accept() == [1]
    assert np.count_nonzero(prompted.labels) == 14 * 16, "what it lost is background"


def test_reopening_what_was_never_prompted(prompted):
    labels = np.zeros((6, 64, 80), np.uint32)
    labels[1:5, 6:20, 8:30] = 7
    labels[5, 60, 70] = 9
    prompted.adopt(labels)
    prompts = prompted.prompts
    one = prompts.reopen((3, 10, 12))
    assert one.label == 7
    assert np.count_nonzero(prompts.preview.labels) == 4 * 14 * 22
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert np.count_nonzero(shown(prompted, 2)) == 14 * 16
    assert np.count_nonzero(shown(prompted, 3)) == 14 * 22, "other planes are as they were"
    assert prompts.accept() == [7]
    assert np.count_nonzero(labels == 7) == 3 * 14 * 22 + 14 * 16
    assert labels[5, 60, 70] == 9


def test_undo_and_redo(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.accept()
    first = prompted.labels.copy()
    prompts.click((2, 40, 15))
    assert quiet(prompted)
    prompts.accept()
    second = prompted.labels.copy()
    prompts.undo()
    assert np.array_equal(prompted.labels, first)
    prompts.undo()
    assert not prompted.labels.any()
    prompts.redo()
    prompts.redo()
    assert np.array_equal(prompted.labels, second)
    prompts.undo()
    assert prompts.reopen((2, 40, 15)) is None


def test_neighbours_are_encoded_after_the_plane_in_view(prompted, tiny):
    prompts = prompted.prompts
    prompts.look_at(Plane("xy", 3))
    assert not tiny.encoded, "nothing happens before prompting is on"
    prompts.start()
    assert quiet(prompted)
    assert {plane.index for plane in prompts.encoding.ready} == set(range(6))
    assert prompts.ready


def test_a_second_click_encodes_nothing(prompted, tiny):
    prompts = prompted.prompts
    prompts.encoding.ahead = 0
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert len(tiny.encoded) == 1
    prompts.click((2, 40, 15))
    assert quiet(prompted)
    assert len(tiny.encoded) == 1


def test_a_click_on_a_ready_plane_does_not_wait_for_an_encoding(prompted, tiny):
    prompts = prompted.prompts
    prompts.encoding.ahead = 0
    prompts.look_at(Plane("xy", 2))
    prompts.start()
    assert quiet(prompted)
    tiny.before = threading.Event()  # from now on encoding stands still
    prompts.look_at(Plane("xy", 4))
    one = prompts.click((2, 10, 12), plane=Plane("xy", 2))
    answered = threading.Event()

    def look():
        if one.parts:
            answered.set()

    prompts.changed.connect(look)
    look()
    assert answered.wait(5)
    assert prompts.encoding.running == Plane("xy", 4)
    tiny.before.set()
    assert quiet(prompted)


def test_a_click_elsewhere_stops_an_encoding_nobody_waits_for(prompted, tiny):
    prompts = prompted.prompts
    prompts.encoding.ahead = 0
    tiny.before = threading.Event()
    prompts.look_at(Plane("xy", 0))
    prompts.start()
    prompts.look_at(Plane("xy", 4))
    one = prompts.click((4, 10, 12), plane=Plane("xy", 4))
    tiny.before.set()
    assert quiet(prompted)
    assert Plane("xy", 4) in one.parts
    assert Plane("xy", 0) not in prompts.encoding.ready


def test_an_image_edited_under_its_embedding(prompted, tiny):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.discard()
    prompted.volume.data[2, 6:20, 8:24] = 20  # somebody paints the cell away and says nothing
    prompted.volume.data[2, 6:10, 8:24] = 200
    one = prompts.click((2, 7, 12))
    assert quiet(prompted)
    assert one.parts[Plane("xy", 2)].voxels == 4 * 16


def test_other_orientations(prompted):
    prompts = prompted.prompts
    one = prompts.click((2, 10, 12), plane=Plane("xz", 10))
    assert quiet(prompted)
    found = prompts.preview.labels[:, 10]
    assert (found[1:5, 8:24] == one.number).all()
    assert np.count_nonzero(prompts.preview.labels) == 4 * 16
    prompts.accept()
    prompts.click((2, 40, 15), plane=Plane("yz", 15))
    assert quiet(prompted)
    assert prompts.accept() == [2]
    assert (prompted.labels[1:5, 30:50, 15] == 2).all()


def test_through_z_and_back(prompted):
    prompts = prompted.prompts
    one = prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.through_z().wait(20)
    assert sorted(plane.index for plane in one.parts) == [1, 2, 3, 4]
    assert np.count_nonzero(prompts.preview.labels) == 4 * 14 * 16
    assert all("overlap" in part.scores for plane, part in one.parts.items() if plane.index != 2)
    prompts.click((4, 12, 12))  # corrected: from here on only what lies beyond is computed
    assert quiet(prompted)
    prompts.through_z().wait(20)
    assert sorted(plane.index for plane in one.parts) == [1, 2, 3, 4]
    assert prompts.accept() == [1]
    assert (prompted.labels[1:5, 6:20, 8:24] == 1).all()


def test_through_z_needs_an_object_and_planes(prompted):
    with pytest.raises(InputError, match="No object is in hand"):
        prompted.prompts.through_z()
    prompted.use_volume(cells((64, 80)), axes="yx")
    prompted.prompts.click((10, 12))
    assert quiet(prompted)
    with pytest.raises(InputError, match="one plane only"):
        prompted.prompts.through_z()


def test_everything_in_the_plane(prompted):
    prompts = prompted.prompts
    prompts.look_at(Plane("xy", 2))
    prompts.everything(points_per_side=12, least_stability=0.0, least_score=0.8).wait(20)
    assert len(prompts.objects) == 3
    assert prompts.accept() == [1, 2, 3]
    truth = cells()[2] > 127
    found = prompted.labels[2] > 0
    assert (found & truth).sum() > 0.9 * (found | truth).sum()
    one = prompts.reopen((2, 10, 12))
    assert len(one.said) == 1, "its box is its prompt"


def test_what_the_model_sees(prompted):
    got = []
    prompts = prompted.prompts
    prompts.pictured.connect(lambda plane, picture: got.append((plane, picture)))
    with pytest.raises(InputError, match="No plane"):
        prompts.picture()
    prompts.look_at(Plane("xy", 2))
    prompts.picture().wait(10)
    assert got[0][0] == Plane("xy", 2)
    assert np.array_equal(got[0][1][..., 0], cells()[2])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((2, -1, 3), "outside"),
        ((2, 64, 3), "outside"),
        ((9, 4, 3), "outside"),
        ((2, float("nan"), 3), "not finite"),
        ((2, 3), "one number for each"),
    ],
)
def test_clicks_that_cannot_be(prompted, place, said):
    with pytest.raises(InputError, match=said):
        prompted.prompts.click(place)
    assert not prompted.prompts.objects


def test_other_prompts_that_cannot_be(prompted):
    prompts = prompted.prompts
    with pytest.raises(InputError, match="negative point"):
        prompts.click((2, 4, 3), positive=False)
    with pytest.raises(InputError, match="no area"):
        prompts.box(Plane("xy", 2), (4, 4, 4, 9))
    with pytest.raises(InputError, match="outside"):
        prompts.box(Plane("xy", 2), (100, 100, 120, 120))
    with pytest.raises(InputError):
        prompts.draw(Plane("xy", 2), [(1, 1), (2, 2)], "lasso")
    with pytest.raises(InputError, match="no xy plane 6"):
        prompts.look_at(Plane("xy", 6))
    assert not prompts.objects


def test_ten_thousand_points_end_in_a_sentence(prompted):
    prompts = prompted.prompts
    one = prompts.click((2, 10, 12))
    assert quiet(prompted)
    from napari_cellseg.session.prompt_object import Point

    for number in range(10_000):
        one.said[-1 - number] = Point(-1 - number, (2.0, 10.0, 12.0), True, Plane("xy", 2))
    prompts.click((2, 11, 12))
    assert quiet(prompted)
    assert "10,002 points" in one.problem


def test_a_click_on_nothing_says_so(prompted):
    one = prompted.prompts.click((2, 60, 75))
    assert quiet(prompted)
    assert "Nothing was found" in one.problem
    assert prompted.prompts.accept() == []


def test_a_missing_model_says_where_its_file_goes(prompted, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_cellseg.prompts.download.model_folder", lambda: tmp_path)
    prompts = prompted.prompts
    prompts.settings.model = "sam"
    one = prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert "sam_vit_b_01ec64.pth" in one.problem
    assert "sam_vit_b_01ec64.pth" in str(prompted.last_error)
    prompts.settings.model = "mobile-sam"
    prompts.click((2, 11, 12))
    assert quiet(prompted)
    assert one.parts


def test_another_image_takes_the_objects_along(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.accept()
    prompted.use_volume(cells((64, 80)), axes="yx")
    assert not prompts.objects
    assert not prompts.commits.committed
    assert prompts.preview.labels.shape == (64, 80)
    prompts.click((10, 12))
    assert quiet(prompted)
    assert prompts.accept() == [1]


def test_closing_while_a_plane_is_encoded(prompted, tiny):
    tiny.before = threading.Event()
    prompted.prompts.click((2, 10, 12))
    prompted.close()
    tiny.before.set()
    assert not prompted.prompts.objects


def test_two_sessions_share_embeddings_and_nothing_else(prompted, prompt_worker, tiny):
    from napari_cellseg.session import Session

    other = Session(worker=prompt_worker)
    other.use_volume(cells(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    for session in (prompted, other):
        session.prompts.encoding.ahead = 0
        session.prompts.click((2, 10, 12))
        assert quiet(session)
    assert len(tiny.encoded) == 1
    prompted.prompts.accept()
    assert other.labels is None
    assert len(other.prompts.objects) == 1
    other.close()


def test_a_cell_over_the_border_of_two_tiles_of_a_large_plane(prompted, tiny):
    image = np.zeros((1100, 2600), np.uint8)
    image[300:360, 500:1500] = 200  # long enough for two tiles, however they lie
    prompted.use_volume(image, axes="yx")
    prompts = prompted.prompts
    prompts.look_at(Plane(), near=(330, 600))
    prompts.start()
    assert quiet(prompted)
    assert len(tiny.encoded) == 1, "only the tile that is looked at"
    prompts.click((330, 600))
    assert quiet(prompted)
    assert np.array_equal(prompts.preview.labels > 0, image > 0)
    assert len(tiny.encoded) < 5
    prompts.click((900, 2500), positive=False)
    assert quiet(prompted)
    assert np.array_equal(prompts.preview.labels > 0, image > 0)


def test_a_cache_that_keeps_nothing_ends_in_a_sentence(prompted, own_cache):
    own_cache.resize(device=0, host=0, disk=0)
    one = prompted.prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert not one.parts
    assert "not kept" in one.problem


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_no_voxel_of_a_locked_cell_ever_changes(prompted, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    labels = np.zeros((6, 64, 80), np.uint32)
    for label in range(1, 6):
        z, y, x = rng.integers(0, (4, 50, 60))
        labels[z : z + 3, y : y + 14, x : x + 18] = label
    present = sorted(set(np.unique(labels)) - {0})
    locked = set(data.draw(st.lists(st.sampled_from(present), max_size=3)))
    prompted.use_volume(cells(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    prompted.adopt(labels.copy())
    prompts = prompted.prompts
    prompts.lock(*locked)
    prompts.settings.overwrite = data.draw(st.booleans())
    stays = np.isin(labels, list(locked) if prompts.settings.overwrite else present)
    reopened = set()
    for _ in range(data.draw(st.integers(1, 6))):
        verb = data.draw(st.sampled_from(["click", "box", "reopen", "accept", "undo", "cycle"]))
        place = tuple(int(data.draw(st.integers(0, side - 1))) for side in labels.shape)
        if verb == "click":
            prompts.click(place)
        elif verb == "box":
            row, col = min(place[1], 60), min(place[2], 70)
            prompts.box(Plane("xy", place[0]), (row - 3, col - 3, row + 30, col + 40))
        elif verb == "reopen" and labels[place] not in locked:
            one = prompts.reopen(place)
            if one is not None and one.label is not None:
                reopened.add(one.label)
        elif verb == "accept":
            prompts.accept()
        elif verb == "undo":
            history = prompted.document.history
            if history and history[-1].kind != "lock":  # that would unlock
                prompts.undo()
        elif verb == "cycle":
            prompts.cycle()
        assert quiet(prompted)
    prompts.accept()
    stays &= ~np.isin(labels, list(reopened - locked)) if reopened else True
    assert np.array_equal(prompted.labels[stays], labels[stays])
    prompts.settings.overwrite = False


def test_many_objects_are_shown_and_accepted_at_once(prompted):
    prompts = prompted.prompts
    shown_regions, written = [], []
    prompts.preview.changed.connect(shown_regions.append)
    prompted.labels_written.connect(written.append)
    prompts.look_at(Plane("xy", 2))
    prompts.everything(points_per_side=12, least_stability=0.0, least_score=0.8).wait(20)
    assert len(prompts.objects) == 3
    assert len(shown_regions) == 1
    prompts.accept()
    assert len(shown_regions) == 2
    assert len(written) == 1


def test_what_is_accepted_before_it_is_answered_is_accepted_then(prompted, tiny):
    prompts = prompted.prompts
    prompts.encoding.ahead = 0
    tiny.before = threading.Event()
    prompts.click((2, 10, 12))
    assert prompts.accept() == []
    assert prompts.current is None
    second = prompts.click((2, 40, 15))
    tiny.before.set()
    assert quiet(prompted)
    assert (prompted.labels[2][FIRST] == 1).all()
    assert list(prompts.objects.values()) == [second]
    assert (shown(prompted)[SECOND] == second.number).all()


def test_locks_and_prompts_outlive_another_segmentation(session):
    session.segment().wait(20)
    locked = int(session.labels[2, 4, 4])
    before = session.labels == locked
    session.prompts.lock(locked)
    session.parameters.probability = 0.95
    session.segment().wait(20)
    assert session.proposal is not None, "locked cells are not simply replaced"
    session.apply().wait(20)
    assert locked in session.prompts.commits.locked
    assert np.array_equal(session.labels == locked, before)


def test_what_was_discarded_can_be_brought_back(prompted):
    prompts = prompted.prompts
    assert not prompts.can_bring_back
    prompts.settings.several = True
    prompts.click((2, 10, 12))
    prompts.click((2, 40, 15))
    assert quiet(prompted)
    before = prompts.preview.labels.copy()
    prompts.next_object()
    prompts.discard()
    assert not prompts.objects
    assert prompts.can_bring_back
    prompts.bring_back()
    assert np.array_equal(prompts.preview.labels, before)
    assert not prompts.can_bring_back
    assert prompts.accept() == [1, 2]


def test_a_click_on_an_open_object_takes_it_in_hand(prompted):
    prompts = prompted.prompts
    prompts.look_at(Plane("xy", 2))
    prompts.everything(points_per_side=12, least_stability=0.0, least_score=0.8).wait(20)
    one = prompts.click((2, 10, 12))
    assert prompts.current is one
    assert len(prompts.objects) == 3
    assert not one.points, "it was shown there, so nothing is begun"
    prompts.discard()
    assert len(prompts.objects) == 2
    assert prompts.reopen((2, 40, 15)) in prompts.objects.values()


def test_accepting_while_an_object_is_carried_waits_for_it(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.through_z()
    assert prompts.accept() == []
    assert quiet(prompted)
    assert (prompted.labels[1:5, 6:20, 8:24] == 1).all()
    assert not prompts.objects


def test_open_objects_that_go_with_their_image_are_told(prompted):
    prompted.prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompted.use_volume(cells((64, 80)), axes="yx")
    assert any("1 open object was not accepted" in notice for notice in prompted.notices)
