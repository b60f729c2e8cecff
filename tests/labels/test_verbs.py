"""The verbs of a document: one undo step each, locks hold, and mistakes change nothing."""

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_worlds import World, worlds
from napari_cellseg.errors import InputError
from napari_cellseg.labels.document import LabelDocument
from napari_cellseg.labels.edit import Step
from napari_cellseg.labels.operations import ball, compile_kernel, disc
from napari_cellseg.labels.select import select

compile_kernel()
SPACING = (2.0, 0.5, 0.5)
PLANE = SimpleNamespace(orientation="xy", index=4)


def example() -> np.ndarray:
    labels = np.zeros((12, 40, 40), np.uint32)
    labels[2:8, 2:14, 2:20] = 3
    labels[2:8, 2:14, 20:34] = 7
    labels[3:10, 20:30, 5:15] = 5
    labels[5, 24, 9] = 0
    return labels


def opened(labels: np.ndarray | None = None) -> LabelDocument:
    return LabelDocument(example() if labels is None else labels, SPACING)


def square() -> np.ndarray:
    mask = np.zeros((40, 40), np.bool_)
    mask[22:28, 6:13] = True
    return mask


VERBS: dict[str, Callable[[LabelDocument], Any]] = {
    "merge": lambda d: d.merge([3, 7]),
    "merge in a plane": lambda d: d.merge([3, 7], plane=("xz", 5)),
    "split": lambda d: d.split(3, seeds=[(4, 6, 4), (4, 6, 16)]),
    "split in a plane": lambda d: d.split(3, [(4, 6, 4), (4, 6, 16)], plane=4),
    "cut": lambda d: d.cut(3, [(0, 9), (39, 9)]),
    "cut by a plane": lambda d: d.cut(3, point=(5, 5, 9), normal=(0, 0, 1)),
    "cut a plane": lambda d: d.cut(3, [(0, 9), (39, 9)], plane=("xy", 4), through=False),
    "delete": lambda d: d.delete([5]),
    "delete in a plane": lambda d: d.delete([3, 7], plane=PLANE),
    "fill holes": lambda d: d.fill_holes(5),
    "fill each plane": lambda d: d.fill_holes([5, 3], each="xy"),
    "smooth": lambda d: d.smooth([3, 5], 1.0),
    "grow": lambda d: d.grow([3, 7, 5], voxels=2),
    "grow in a plane": lambda d: d.grow(5, 1.0, plane=4),
    "shrink": lambda d: d.shrink([3, 5], 0.6),
    "shrink in a plane": lambda d: d.shrink(5, plane=("yz", 8)),
    "paint": lambda d: d.paint(5, *ball((8, 25, 15), 3, SPACING, d.labels.shape)),
    "erase": lambda d: d.erase(*disc((8, 25, 15), 3, SPACING, d.labels.shape, 0, (2, 9))),
    "replace slice": lambda d: d.replace_slice(5, 4, square()),
    "relabel": lambda d: d.relabel(),
    "new object": lambda d: d.new_object(*ball((8, 35, 35), 3, SPACING, d.labels.shape)),
    "class": lambda d: d.set_class([3, 5], "neuron"),
    "lock": lambda d: d.lock([3]),
    "accept": lambda d: d.accept([3, 7]),
}  # fmt: skip


@pytest.mark.parametrize("name", VERBS)
def test_one_step_that_can_be_undone(name: str):
    document = opened()
    before, table = document.labels.copy(), document.table
    VERBS[name](document)
    assert len(document.history) == 1
    after = document.labels.copy()
    if name not in ("class", "lock", "accept"):
        assert not np.array_equal(after, before)
    document.undo()
    assert np.array_equal(document.labels, before)
    assert document.table.drop(columns="edited").equals(table.drop(columns="edited"))
    document.redo()
    assert np.array_equal(document.labels, after)


PREVIEWED: dict[str, Callable[..., Any]] = {
    "split": lambda d, **k: d.split(3, seeds=[(4, 6, 4), (4, 6, 16)], **k),
    "cut": lambda d, **k: d.cut(3, [(0, 9), (39, 9)], **k),
    "delete": lambda d, **k: d.delete([3, 5], **k),
    "fill": lambda d, **k: d.fill_holes(5, **k),
    "smooth": lambda d, **k: d.smooth([3, 5], 1.0, **k),
    "grow": lambda d, **k: d.grow([3, 7, 5], voxels=2, **k),
    "shrink": lambda d, **k: d.shrink([3, 5], 0.6, **k),
    "replace": lambda d, **k: d.replace_slice(5, 4, square(), **k),
    "interpolate": lambda d, **k: d.interpolate(5, [3, 9], **k),
}


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("name", PREVIEWED)
def test_preview_is_what_will_be(name: str, timed: bool):
    labels = np.stack([np.zeros_like(example()), example()]) if timed else example()
    document = opened(labels)
    where = {"t": 1} if timed else {}
    edits = PREVIEWED[name](document, preview=True, **where)
    assert np.array_equal(document.labels, labels)
    assert not document.history
    region, box = document.preview(edits)
    expected = labels.copy()
    expected[region] = box
    PREVIEWED[name](document, **where)
    assert np.array_equal(document.labels, expected)


def test_what_they_return():
    document = opened()
    assert document.merge([7, 3]) == 7
    parts = document.split(7, seeds=[(4, 6, 4), (4, 6, 30)])
    assert parts == [7, 8]
    assert isinstance(document.delete([5]), Step)
    assert document.fill_holes(7) is None
    assert document.new_object(*ball((10, 35, 35), 2, SPACING, document.labels.shape)) == 9
    assert document.relabel() == {7: 1, 8: 2, 9: 3}


def test_split_components_keeps_the_class():
    document = opened()
    document.set_class(5, " glia ")
    document.erase((slice(0, 12), slice(24, 25), slice(0, 40)), np.ones((12, 1, 40), np.bool_))
    old, new = document.split_components(5)
    assert (old, new) == (5, 8)
    assert document.objects.mark(8, "class") == "glia"
    assert len(document.history) == 3
    with pytest.raises(InputError, match="in one piece"):
        document.split_components(5)
    document.undo()
    assert document.objects.mark(8, "class") is None


def test_keep_largest():
    document = opened()
    document.paint(5, *ball((10, 35, 35), 1, SPACING, document.labels.shape))
    document.keep_largest([5, 3])
    assert np.array_equal(document.labels, example())
    assert document.keep_largest(5) is None


def test_interpolate():
    document = opened()
    whole = np.ones((4, 40, 40), np.bool_)
    document.erase((slice(4, 8), slice(0, 40), slice(0, 40)), whole, ids=[5])
    document.interpolate(5)
    assert (document.labels[4:8, 20:30, 5:15] == 5).all()
    document.undo()
    assert not (document.labels[4:8] == 5).any()


def test_relabel_takes_marks_along_and_leaves_locked_ids():
    document = opened()
    document.set_class(5, "glia")
    document.set_class(7, "neuron")
    document.lock(3)
    assert document.relabel() == {3: 3, 5: 1, 7: 2}
    classes = document.table["class"].to_dict()
    assert classes == {(0, 1): "glia", (0, 2): "neuron", (0, 3): ""}
    document.undo()
    assert document.table["class"].to_dict() == {(0, 3): "", (0, 5): "glia", (0, 7): "neuron"}


def test_relabel_by_one_moves_every_mark_once():
    labels = np.array([[2, 3, 4]], np.uint32)
    document = opened(labels)
    for id in (2, 3, 4):
        document.set_class(id, f"was {id}")
    for start in (1, 2):
        document.relabel(start=start)
        assert document.table["class"].tolist() == ["was 2", "was 3", "was 4"]


def test_transfer():
    document = opened()
    other = opened(np.zeros_like(example()))
    other.paint(5, *ball((10, 35, 35), 3, SPACING, other.labels.shape))
    other.paint(2, *ball((2, 35, 5), 3, SPACING, other.labels.shape))
    other.paint(3, *ball((4, 5, 8), 1, SPACING, other.labels.shape))
    other.set_class(5, "glia")
    before = other.labels.copy()
    assert document.transfer(other) == {2: 2, 5: 9}
    assert len(document.history) == 1
    assert document.objects.mark(9, "class") == "glia"
    assert np.array_equal(document.labels == 9, other.labels == 5)
    assert np.array_equal(other.labels, before)
    with pytest.raises(InputError, match="no room"):
        document.transfer(other, [3])
    with pytest.raises(InputError, match="no object 4"):
        document.transfer(other, [4])
    document.lock(3)
    with pytest.raises(InputError, match="no room"):
        document.transfer(other, [3], over_others=True)


def test_flow_and_image_are_cut_to_the_object():
    labels = np.zeros((2, 4, 20, 60), np.uint32)
    labels[:, :, 2:18, 2:58] = 6
    along = np.arange(60.0)
    flow = np.zeros((2, 3, 4, 20, 60), np.float16)
    flow[1, 2] = np.clip((np.where(along < 18, 9, 38) - along) / 4, -1, 1)
    for given_flow in (flow, flow[1], SimpleNamespace(flow=flow)):
        document = opened(labels)
        document.split(6, seeds=[(2, 10, 12), (2, 10, 30)], flow=given_flow, t=1)
        assert abs(int((document.labels[1, 2, 10] == 7).sum()) - 16) <= 1
        assert (document.labels[0] == labels[0]).all()
    image = np.broadcast_to(np.abs(along - 18), labels.shape)
    document = opened(labels)
    document.split(6, seeds=[(2, 10, 6), (2, 10, 50)], image=image, t=0)
    assert abs(int((document.labels[0, 2, 10] == 7).sum()) - 16) <= 2
    with pytest.raises(InputError, match=r"image of shape \(3, 3\)"):
        document.split(6, seeds=[(2, 10, 6), (2, 10, 50)], image=np.zeros((3, 3)), t=1)


MISTAKES: dict[str, tuple[Callable[[LabelDocument], Any], str]] = {
    "missing": (lambda d: d.delete([4]), "There is no object 4"),
    "one of them missing": (lambda d: d.delete([5, 4]), "There is no object 4"),
    "background": (lambda d: d.merge([0, 3]), "There is no object 0"),
    "locked": (lambda d: d.merge([3, 9]), "Object 9 is locked: unlock it"),
    "locked first": (lambda d: d.merge([9, 3]), "Object 9 is locked"),
    "locked split": (lambda d: d.split(9, [(10, 38, 38), (11, 38, 38)]), "Object 9 is locked"),
    "locked grow": (lambda d: d.grow([3, 9]), "Object 9 is locked"),
    "locked paint": (lambda d: d.paint(9, *ball((1, 1, 1), 1, SPACING, d.labels.shape)), "locked"),
    "locked interpolate": (lambda d: d.interpolate(9), "Object 9 is locked"),
    "alone": (lambda d: d.merge([3]), "two or more"),
    "twice": (lambda d: d.merge([3, 3]), "two or more"),
    "none": (lambda d: d.delete([]), "No object is chosen"),
    "fraction": (lambda d: d.delete([3.5]), "whole number"),
    "time": (lambda d: d.delete([3], t=1), "no time axis"),
    "time key": (lambda d: d.delete([(1, 3)]), "no time axis"),
    "plane": (lambda d: d.delete([3], plane=("xt", 3)), "no 'xt' planes"),
    "plane far": (lambda d: d.delete([3], plane=("xz", 40)), "There is no xz plane 40"),
    "plane shape": (lambda d: d.delete([3], plane=("xz",)), "orientation and an index"),
    "not in plane": (lambda d: d.delete([3, 5], plane=2), "Object 5 has nothing in plane 2"),
    "vanish": (lambda d: d.shrink([3, 5], 50), "Object 3 would vanish: use Delete"),
    "both": (lambda d: d.grow(3, 1.0, voxels=1), "not both"),
    "line and plane": (lambda d: d.cut(3), "either a line or"),
    "which plane": (lambda d: d.cut(3, [(0, 1), (2, 3)], through=False), "in which plane"),
    "line misses": (lambda d: d.cut(3, [(35, 0), (35, 39)]), "misses object 3"),
    "class": (lambda d: d.set_class(3, " "), "must not be empty"),
    "id": (lambda d: d.paint(0, *ball((1, 1, 1), 1, SPACING, d.labels.shape)), "between 1"),
    "box": (lambda d: d.erase((slice(0, 99),) * 3, np.ones((99,) * 3, bool)), "does not lie"),
    "new over locked": (
        lambda d: d.new_object((10, 36, 36, 12, 40, 40), np.ones((2, 4, 4), bool), over_others=1),
        "is locked",
    ),
    "shape": (lambda d: d.transfer(opened(np.ones((3, 3), np.uint32))), "same grid"),
    "orientation": (lambda d: d.interpolate(3, orientation="zz"), "no 'zz' planes"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_change_nothing(name: str):
    labels = example()
    labels[10:12, 36:, 36:] = 9
    document = opened(labels)
    document.lock(9)
    call, message = MISTAKES[name]
    with pytest.raises(InputError, match=message):
        call(document)
    assert np.array_equal(document.labels, labels)
    assert len(document.history) == 1


def test_time():
    labels = np.stack([example(), example()])
    document = opened(labels)
    with pytest.raises(InputError, match="2 time points: say which"):
        document.merge([3, 7])
    with pytest.raises(InputError, match="no time point 2"):
        document.merge([3, 7], t=2)
    document.merge([3, 7], t=1)
    assert np.array_equal(document.labels[0], labels[0])
    assert not (document.labels[1] == 7).any()
    document.delete([(0, 5), (1, 3)])
    assert len(document.history) == 2
    assert document.objects.keys() == [(0, 3), (0, 7), (1, 5)]
    document.grow(3, plane=SimpleNamespace(orientation="xy", index=4, t=0))
    assert np.array_equal(np.delete(document.labels[0], 4, 0) == 3, np.delete(labels[0], 4, 0) == 3)
    with pytest.raises(InputError, match="different time points"):
        document.grow([(0, 3), (1, 5)], t=0)


def test_pictures():
    labels = np.zeros((20, 30), np.uint32)
    labels[2:10, 2:20] = 4
    document = LabelDocument(labels, None)
    assert document.split(4, seeds=[(5, 4), (5, 16)]) == [4, 5]
    document.undo()
    assert document.cut(4, [(0, 10), (19, 10)]) == [4, 6]
    document.grow([4, 6], voxels=1)
    document.delete(6, plane=0)
    assert document.objects.keys() == [(0, 4)]
    for call in (lambda: document.delete(4, plane=("xz", 0)), lambda: document.interpolate(4)):
        with pytest.raises(InputError, match=r"no ('xz' planes|slices)"):
            call()


@settings(deadline=None, max_examples=60)
@given(worlds(), st.data())
def test_locked_objects_never_change(world: World, data: st.DataObject):
    document = LabelDocument(world.labels, world.spacing)
    locked = data.draw(st.sets(st.sampled_from(world.ids)))
    if locked:
        document.lock(sorted(locked))
    before = np.where(np.isin(world.labels, sorted(locked)), world.labels, 0)
    region = tuple(slice(0, size) for size in world.labels.shape)
    mask = np.random.default_rng(0).random(world.labels.shape) < 0.5
    actions = {
        "merge": lambda: document.merge(sorted(document.objects.ids(0).tolist())),
        "delete": lambda: document.delete(document.objects.keys()),
        "grow": lambda: document.grow(
            [id for id in document.objects.ids(0).tolist() if id not in locked], voxels=2
        ),
        "smooth": lambda: document.smooth(document.objects.keys(), voxels=1),
        "erase": lambda: document.erase(region, mask),
        "paint": lambda: document.paint(50, region, mask, over_others=True),
        "new": lambda: document.new_object(region, mask, over_others=True),
        "relabel": lambda: document.relabel(),
    }
    for name in data.draw(st.lists(st.sampled_from(sorted(actions)), max_size=5)):
        with suppress(InputError):
            actions[name]()
        now = np.where(np.isin(document.labels, sorted(locked)), document.labels, 0)
        assert np.array_equal(now, before)
        ids = document.objects.ids().tolist()
        assert ids == [one for one in np.unique(document.labels).tolist() if one]
        for id in ids:
            assert document.objects.voxels(id) == (document.labels == id).sum()
    end, keys = document.labels.copy(), document.objects.keys()
    while len(document.history) > bool(locked):
        document.undo()
    assert np.array_equal(document.labels, world.labels)
    while document.can_redo:
        document.redo()
    assert np.array_equal(document.labels, end)
    assert document.objects.keys() == keys


def test_select_and_delete():
    document = opened()
    small = select(document.table, voxels=(None, 1000))
    document.delete(small)
    assert document.objects.keys() == [(0, 3), (0, 7)]
