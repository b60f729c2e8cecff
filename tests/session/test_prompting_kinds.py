"""Every kind of image is clicked through a session; and what is bad about images and machines."""

import errno
import gc
import threading
import time
import weakref

import dask.array as da
import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.everything import Everything
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session import Session
from napari_cellseg.session.prompt_object import Part
from napari_cellseg.worker.scene import Scene, _clickers, clicker_of
from prompt_engine import cells, quiet

FIRST = 14 * 16
"""Pixels of the first cell of `cells`."""


def stack(*axes, dtype=np.uint8):
    """The cells of `cells`, with more axes before; no two planes are the same."""
    image = cells().astype(np.float64)
    for count in reversed(axes):
        image = np.stack([image + 0.25 * step for step in range(count)])
    return image.astype(dtype)


def composite(image):
    """A channel with the first cell alone, and one with the others."""
    first = image.copy()
    first[..., 26:, :] = first[..., 40:] = 20
    return np.stack([first, np.where(first > 100, 20, image)], axis=0)


KINDS = {
    "yx": (lambda: cells((64, 80)), "yx", (10, 12), None, {}),
    "tyx": (lambda: stack()[1:5], "tyx", (2, 10, 12), None, {}),
    "tzyx": (lambda: stack(2), "tzyx", (1, 2, 10, 12), None, {}),
    "zyx, lazy": (lambda: da.from_array(cells(), chunks=(1, 64, 80)), "zyx", (2, 10, 12), None, {}),
    "uint16": (
        lambda: cells().astype(np.uint16) * 100, "zyx", (2, 10, 12), None,
        {"limits": ((0.0, 25_500.0),)},
    ),
    "uint16, percentiles": (
        lambda: cells().astype(np.uint16) * 100, "zyx", (2, 10, 12), None, {},
    ),
    "float": (
        lambda: cells().astype(np.float32) / 255, "zyx", (2, 10, 12), None,
        {"limits": ((0.0, 1.0),)},
    ),
    "int8": (
        lambda: (cells().astype(np.int16) - 128).astype(np.int8), "zyx", (2, 10, 12), None,
        {"limits": ((-128.0, 127.0),)},
    ),
    "rgb": (
        lambda: np.stack([cells((64, 80))] * 3, axis=-1), "yxs", (10, 12), None, {},
    ),
    "two channels": (
        lambda: composite(cells()), "czyx", (2, 10, 12), None, {"channels": (0, 1)},
    ),
    "two channels, limits": (
        lambda: composite(cells()).astype(np.uint16), "czyx", (2, 10, 12), None,
        {"channels": (0, 1), "limits": ((0.0, 255.0), (0.0, 255.0))},
    ),
    "second channel": (
        lambda: composite(cells())[::-1].copy(), "czyx", (2, 10, 12), None, {"channels": (1,)},
    ),
    "tczyx, lazy": (
        lambda: da.from_array(np.stack([composite(cells())] * 2), chunks=(1, 1, 1, 64, 80)),
        "tczyx", (1, 2, 10, 12), None, {"channels": (0, 1)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_finds_the_cell_in_any_kind_of_image(prompted, kind):
    make, axes, place, spacing, chosen = KINDS[kind]
    prompted.use_volume(make(), axes=axes, spacing=spacing)
    prompted.prompts.settings.update(**chosen)
    prompts = prompted.prompts
    one = prompts.click(place)
    assert quiet(prompted)
    assert one.problem == ""
    assert np.count_nonzero(prompts.preview.labels == one.number) == FIRST
    assert prompts.accept() == [1]
    assert prompted.labels.shape == prompted.label_shape
    written = prompted.labels[(*place[:-2], slice(6, 20), slice(8, 24))]
    assert written.all()
    assert np.count_nonzero(prompted.labels) == FIRST
    again = prompts.reopen(place)
    assert [point.position for point in again.points] == [tuple(map(float, place))]
    prompts.undo()
    assert not prompted.labels.any()
    prompted.prompts.settings.update(channels=(0,), limits=(None,))


@pytest.mark.parametrize(("orientation", "index"), [("xz", 12), ("yz", 15)])
@pytest.mark.parametrize("coarse", [1.0, 3.0])
@pytest.mark.parametrize("lazy", [False, True])
def test_planes_along_z_of_any_spacing(prompted, orientation, index, coarse, lazy):
    image = cells((12, 64, 80))
    prompted.use_volume(
        da.from_array(image, chunks=(1, 64, 80)) if lazy else image,
        axes="zyx",
        spacing=(coarse, 1.0, 1.0),
    )
    plane = Plane(orientation, index)
    prompts = prompted.prompts
    place = (2, 12, 15)
    one = prompts.click(place, plane=plane)
    assert quiet(prompted)
    truth = np.zeros(image.shape, bool)
    truth[1:5, 6:20, 8:24] = True
    cut = np.zeros_like(truth)
    cut[plane.region(slice(None), slice(None), "zyx")] = True
    assert np.array_equal(prompts.preview.labels == one.number, truth & cut)


def test_a_plane_beyond_2048_pixels_in_a_lazy_stack(prompted, tiny):
    big = np.full((3, 1200, 2100), 20, np.uint8)
    big[:, 500:540, 1000:1050] = big[:, 1100:1140, 2000:2050] = 220
    big += np.arange(3, dtype=np.uint8)[:, None, None]
    prompted.use_volume(da.from_array(big, chunks=(1, 1200, 2100)), axes="zyx")
    one = prompted.prompts.click((1, 510, 1010))
    assert quiet(prompted)
    assert np.count_nonzero(prompted.prompts.preview.labels == one.number) == 40 * 50
    assert max(max(shape) for shape in tiny.encoded) <= 1024


def test_several_objects_of_a_large_plane_clicked_at_once_all_come(prompted, tiny):
    big = np.full((1300, 4100), 20, np.uint8)
    places = [(20, col) for col in (20, 1100, 2100, 3100, 4000)]
    for row, col in places:
        big[row - 5 : row + 5, col - 5 : col + 5] = 220
    prompted.use_volume(big, axes="yx")
    prompts = prompted.prompts
    prompts.settings.several = True
    tiny.before = threading.Event()
    prompts.look_at(Plane(), (1200.0, 60.0))
    made = [prompts.click(place) for place in places]
    tiny.before.set()
    assert quiet(prompted, 20)
    assert [one.problem for one in made] == [""] * len(made)
    assert all(one.parts for one in made)
    prompts.settings.several = False


def test_planes_that_cannot_be_seen_stop_nothing(prompted):
    image = cells().astype(np.float32)
    image[0], image[1, 3, 3], image[5, 3, 3] = 7.0, np.nan, 40
    prompted.use_volume(image, axes="zyx", spacing=(1.0, 1.0, 1.0))
    failures = []
    prompted.failed.connect(failures.append)
    prompts = prompted.prompts
    prompts.start()
    prompts.look_at(Plane("xy", 3))
    assert quiet(prompted)
    assert failures == [], "nobody asked for those planes"
    assert prompts.encoding.ready == {Plane("xy", index) for index in (2, 3, 4, 5)}
    for place, reason in (((0, 5, 5), "constant"), ((1, 10, 12), "NaN")):
        prompts.next_object()
        one = prompts.click(place)
        assert quiet(prompted)
        assert reason in one.problem
        assert isinstance(failures[-1], InputError)
    prompts.next_object()
    one = prompts.click((4, 10, 12))
    assert quiet(prompted)
    assert one.parts
    prompts.look_at(Plane("xy", 1))
    assert quiet(prompted)
    assert "NaN" in prompts.encoding.problem
    prompts.look_at(Plane("xy", 2))
    assert prompts.encoding.problem == ""


def test_a_composite_painted_on_is_seen_as_it_is(prompted):
    image = composite(cells())
    prompted.use_volume(image, axes="czyx", spacing=(1.0, 1.0, 1.0))
    prompts = prompted.prompts
    prompts.settings.channels = (0, 1)
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.discard()
    image[0, 2, 6:10, 8:24] = 20
    prompts.click((2, 15, 12))
    assert quiet(prompted)
    assert np.count_nonzero(prompts.preview.labels) == 10 * 16
    prompts.settings.channels = (0,)


@pytest.mark.parametrize("limits", [(), ((0, 1), (0, 1)), None, 3, "ab", ((1, 0),), ((0,),)])
def test_limits_that_do_not_fit(prompted, limits):
    with pytest.raises(InputError):
        prompted.prompts.settings.limits = limits
    with pytest.raises(InputError):
        prompted.prompts.settings.update(limits=limits, model="sam")
    assert prompted.prompts.settings.model == "mobile-sam"


def test_a_click_is_asked_again_when_contrast_or_model_change(prompted, tiny):
    prompts = prompted.prompts
    tiny.before = threading.Event()
    one = prompts.click((2, 10, 12))
    prompts.settings.limits = ((0.0, 250.0),)
    assert prompts.waiting
    tiny.before.set()
    assert quiet(prompted)
    assert one.parts, "the click was not lost"


def test_clicks_in_two_planes_are_both_answered(prompted, tiny):
    prompts = prompted.prompts
    tiny.before = threading.Event()
    one = prompts.click((2, 10, 12))
    assert prompts.click((3, 10, 12)) is one
    tiny.before.set()
    assert quiet(prompted)
    assert set(one.parts) == {Plane("xy", 2), Plane("xy", 3)}


def test_turning_prompting_off_and_on_loses_no_click(prompted, tiny):
    prompts = prompted.prompts
    tiny.before = threading.Event()
    one = prompts.click((2, 10, 12))
    prompts.stop()
    assert not prompts.waiting
    prompts.stop()  # again, which changes nothing
    tiny.before.set()
    assert quiet(prompted)
    assert not one.parts
    prompts.start()
    assert quiet(prompted)
    assert one.parts


def test_what_is_dropped_takes_nothing_from_others_who_wait(prompted, tiny):
    prompts = prompted.prompts
    prompts.settings.several = True
    prompts.encoding.ahead = 0
    tiny.before = threading.Event()
    prompts.start()
    prompts.look_at(Plane("xy", 5))
    one, other = prompts.click((2, 10, 12)), prompts.click((2, 40, 15))
    prompts.discard()  # the last
    tiny.before.set()
    assert quiet(prompted)
    assert one.parts
    assert other.number not in prompts.objects
    prompts.settings.several = False


def test_a_chosen_candidate_is_corrected_however_many_points_follow(prompted, tiny):
    prompts = prompted.prompts
    one = prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert prompts.choose(2) == 2
    plane = Plane("xy", 2)
    for place in ((2, 12, 14), (2, 14, 16)):
        prompts.click(place)
        assert quiet(prompted)
        assert one.choice == {plane: 2}
        assert prompts.chosen == 0, "there is one candidate now"
        assert prompts.choose(1) == 0
    while len(one.said) > 1:
        prompts.remove_prompt(list(one.said)[-1])
        assert quiet(prompted)
    assert prompts.chosen == 2, "a deleted prompt leaves no trace"
    prompts.accept()
    again = prompts.reopen((2, 12, 14))
    prompts.click((2, 13, 15))
    assert quiet(prompted)
    assert again.choice == {plane: 2}


def test_locking_is_a_step_so_that_undo_never_changes_a_locked_cell(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.accept()
    before = prompted.labels.copy()
    prompts.lock(1)
    assert prompts.commits.locked == {1}
    prompts.undo()
    assert np.array_equal(prompted.labels, before)
    assert not prompts.commits.locked
    prompts.undo()
    assert not prompted.labels.any()
    prompts.lock(1)
    assert not prompts.commits.locked, "what is not there cannot be locked"
    prompts.redo()
    prompts.redo()
    assert prompts.commits.locked == {1}
    assert np.array_equal(prompted.labels, before)


def test_undo_leaves_reopened_cells_open(prompted):
    labels = np.zeros((6, 64, 80), np.uint32)
    labels[2, 52:60, 60:75] = 7
    prompted.adopt(labels)
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert prompts.accept() == [8]
    one = prompts.reopen((2, 55, 65))
    prompts.undo()
    assert prompts.objects == {one.number: one}
    assert (prompts.preview.labels == one.number).sum() == 8 * 15


def test_labels_that_come_back_have_no_history_of_others(prompted):
    prompts = prompted.prompts
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    prompts.accept()
    own = prompted.labels
    prompted.adopt(np.ones((6, 64, 80), np.uint32))
    prompts.settings.overwrite = True
    prompts.click((2, 40, 15))
    assert quiet(prompted)
    assert prompts.accept() == [2]
    prompted.undo()
    assert (prompted.labels == 1).all()
    prompted.undo()
    assert prompted.labels is own
    assert list(prompts.commits.committed) == [1]
    prompted.undo()
    assert not own.any(), "their own history is still theirs"
    assert not prompts.commits.committed
    assert not prompted.can("undo")
    prompted.remove_labels()
    prompts.settings.overwrite = False


def test_ids_up_to_the_largest(prompted):
    labels = np.zeros((6, 64, 80), np.uint32)
    labels[0, 0, 0] = 2**32 - 2
    prompted.adopt(labels)
    prompts = prompted.prompts
    prompts.settings.several = True
    prompts.click((2, 10, 12))
    prompts.click((2, 40, 15))
    assert quiet(prompted)
    assert sorted(prompts.accept()) == [1, 2]
    prompts.settings.several = False


def test_everything_twice_finds_everything_once(prompted):
    labels = np.zeros((64, 80), np.uint32)
    labels[6:20, 8:24], labels[30:50, 10:30] = 1, 2
    table = np.array([(1, 0.9), (2, 0.8)], [("id", np.int64), ("score", np.float64)])
    prompts = prompted.prompts
    for count in (2, 3):
        prompts._spread(Plane("xy", 2), Everything(labels, table))
        assert len(prompts.objects) == count
        touched = next(iter(prompts.objects))
        prompts.hand(touched)
        prompts.click((2, 10, 12))  # its own now
        assert quiet(prompted)
    assert prompts.accept() == [1, 2]
    assert len(prompts.objects) == 1, "nothing is left of the first cell for its double"


def test_a_full_disk_costs_no_answer(prompted, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    one = prompted.prompts.click((2, 10, 12))
    assert quiet(prompted)
    assert one.parts
    assert prompted.last_error is None


def test_a_lost_device_leaves_no_model_behind(prompt_worker, tiny, own_cache):
    tried = []

    class Broken(type(tiny)):
        def encode(self, *args, **kwargs):
            tried.append(1)
            raise RuntimeError("CUDA error: device-side assert triggered")

    broken = Broken()
    kept = prompt_worker.models
    kept.clear()
    kept.get("prompt", "mobile-sam", None, "cuda", lambda model=broken: model)
    kept.get("prompt", "mobile-sam", None, "cpu", lambda: tiny)
    gone = weakref.ref(broken)
    del broken
    session = Session(worker=prompt_worker)
    session.use_volume(cells(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    session.prompts.settings.device = "cuda"
    session.prompts.encoding.ahead = 0
    for place in ((2, 10, 12), (4, 10, 12)):
        one = session.prompts.click(place)
        assert quiet(session)
        assert Plane("xy", place[0]) in one.parts
    assert session.prompts.encoding.model.device == "cpu"
    assert len(tried) == 1, "a device that is lost is not tried at every click"
    session.close()
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("how", ["closed", "other image"])
def test_an_image_dropped_while_it_is_encoded_is_let_go(prompt_worker, tiny, how):
    class Image(np.ndarray):
        """An array that can be watched."""

    image = cells().view(Image)
    session = Session(worker=prompt_worker)
    session.use_volume(image, axes="zyx", spacing=(1.0, 1.0, 1.0))
    prompts = session.prompts
    one = prompts.click((2, 10, 12))
    assert quiet(session)
    prompts.accept()
    one = prompts.click((2, 40, 15))
    assert quiet(session)
    tiny.before = threading.Event()
    prompts.click((4, 40, 16))
    gone = [weakref.ref(image), weakref.ref(one)]
    if how == "closed":
        session.close()
    else:
        session.use_volume(cells((3, 40, 40)), axes="zyx")
    tiny.before.set()
    del image, one
    end = time.monotonic() + 5
    while any(ref() is not None for ref in gone) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert [ref() for ref in gone] == [None, None]
    assert not [key for key in _clickers._kept if key[0] == prompts._owner]
    session.close()


def test_work_that_comes_late_keeps_no_image(tiny, own_cache):
    from napari_cellseg.volume import as_volume
    from napari_cellseg.worker.scene import forget_scenes

    volume = as_volume(cells(), axes="zyx", spacing=(1.0, 1.0, 1.0))
    forget_scenes("late", 2)
    for revision, kept in ((1, False), (2, True)):
        first = clicker_of(Scene("late", revision, volume), Plane("xy", 2), tiny)
        again = clicker_of(Scene("late", revision, volume), Plane("xy", 2), tiny)
        assert (first is again) == kept
    forget_scenes("late", 3)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_click_returns_at_once(prompted, lazy):
    data = np.random.default_rng(0).integers(0, 1000, (64, 1024, 1024), np.uint16)
    volume = da.from_array(data, chunks=(1, 1024, 1024)) if lazy else data
    prompted.use_volume(volume, axes="zyx")
    prompts = prompted.prompts
    prompts.settings.several = True
    took = []
    for column in range(8):
        began = time.perf_counter()
        prompts.click((30, 100, 100 + 50 * column))
        took.append(time.perf_counter() - began)
    assert sorted(took)[4] < 0.05  # measured: well under 5 ms; machines differ
    prompts.settings.several = False


def test_a_plane_painted_on_while_an_object_is_carried_through_z(prompted, tiny, monkeypatch):
    prompts = prompted.prompts
    prompts.encoding.ahead = 0
    prompts.click((2, 10, 12))
    assert quiet(prompted)
    encode, data = tiny.encode, prompted.volume.data

    def encoded(plane, *args, **kwargs):
        found = encode(plane, *args, **kwargs)
        if not data[3, 60, 70]:
            return found
        data[3, 60, 70] = 0  # once
        return found

    monkeypatch.setattr(tiny, "encode", encoded)
    prompts.through_z().wait(20)
    assert set(prompts.current.parts) == {Plane("xy", index) for index in (1, 2, 3, 4)}


def test_a_field_that_answers_late_answers_only_what_was_asked_last(prompted, monkeypatch):
    lands, prompts = [], prompted.prompts
    monkeypatch.setattr(prompts.field, "ask", lambda *given: lands.append(given[3]))
    prompts.settings.in_3d = True
    one = prompts.click((2, 10, 12))
    prompts.click((2, 40, 15), positive=False)
    assert prompts.waiting
    prompts.remove_prompt(one.points[0].number)
    assert not prompts.waiting, "a negative point alone asks nothing"
    for land in lands:
        land(Part((slice(0, 1),) * 3, np.ones((1, 1, 1), bool), "basin"), "")
    assert not one.parts
    prompts.settings.in_3d = False


@pytest.fixture
def flowing(prompt_worker):
    """A session whose balls were segmented but for two rows, and the middle of one of them."""
    from fakes import BlobNetwork, blob_volume

    network = BlobNetwork()
    for device in ("auto", "cpu"):
        prompt_worker.models.get("flow", "builtin", None, device, lambda: network)
    image, truth = blob_volume((24, 44, 44), radius=6.0)
    session = Session(worker=prompt_worker)
    session.use_volume(image.astype(np.float32), axes="zyx", spacing=(1.0, 1.0, 1.0))
    session.parameters.device = "cpu"
    session.parameters.diameter = 12.0
    session.try_region((slice(0, 24), slice(2, 44), slice(0, 44))).wait(60)
    yield session, np.argwhere(truth == truth.max()).mean(axis=0).round().astype(int)
    session.close()


def test_a_box_bounds_a_cell_that_was_clicked_in_3d(flowing):
    session, (z, y, x) = flowing
    prompts = session.prompts
    prompts.settings.in_3d = True
    one = prompts.click((z, y, x))
    assert quiet(session, 60)
    whole = prompts.preview.labels == one.number
    assert whole.any()
    box = (y - 2, x - 2, y + 2, x + 2)
    prompts.box(Plane("xy", z), box)
    assert quiet(session)
    bounded = prompts.preview.labels == one.number
    inside = np.zeros_like(whole)
    inside[:, y - 2 : y + 3, x - 2 : x + 3] = True
    assert np.array_equal(bounded, whole & inside)
    prompts.accept()
    again = prompts.reopen((z, y, x))
    prompts.remove_prompt(next(iter(again.bounds)))
    assert quiet(session)
    assert np.array_equal(prompts.preview.labels == again.number, whole)
