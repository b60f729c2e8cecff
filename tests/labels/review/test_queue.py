"""Working through the list: order, filters, progress, what an edit does to it, and its state."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review import Evidence, Filters, Ranking, ReviewItem, ReviewQueue
from review_scene import cells, evidence_of


@dataclass
class Bench:
    """A queue on labels with a merge, a split and a missed cell."""

    labels: np.ndarray
    queue: ReviewQueue
    locked: list


@pytest.fixture
def bench() -> Bench:
    truth = cells((64, 64))
    evidence = evidence_of(truth)
    labels = truth.copy()
    labels[labels == 7] = 6
    points = np.argwhere(labels == 10)
    labels[tuple(points[points[:, 1] > points[:, 1].mean()].T)] = 30
    labels[labels == 11] = 0
    locked: list = []
    queue = ReviewQueue(Ranking(labels, None, Evidence(evidence.field)), accept=locked.append)
    return Bench(labels, queue, locked)


def test_the_list_is_worked_off(bench: Bench):
    queue = bench.queue
    first = queue.items
    assert [item.score for item in first] == sorted((i.score for i in first), reverse=True)
    assert queue.current == first[0]
    assert queue.previous() == first[0]
    assert queue.next() == first[1]
    assert queue.next() == first[2]
    assert queue.previous() == first[1]
    assert queue.accept() == first[2]
    assert first[1] not in queue.items
    assert queue.go_to(first[5].key) == first[5]
    assert queue.done() == first[6]
    assert queue.skip() == first[7]
    assert queue.items[-1] == first[6]
    found = queue.progress
    assert (found.accepted, found.repaired, found.left) == (1, 1, len(first) - 2)
    assert found.total == len(first)
    queue.reopen(first[1].key)
    assert first[1] in queue.items
    while queue.current is not None:
        queue.accept()
    assert queue.progress.left == 0
    assert queue.next() is queue.previous() is queue.accept() is queue.done() is None


def test_accepting_locks_objects_only(bench: Bench):
    kinds = []
    while (item := bench.queue.current) is not None:
        kinds.append((item.kind, item.id))
        bench.queue.accept()
    assert ("missing", None) in kinds
    assert bench.locked == [(0, number) for kind, number in kinds if kind == "object"]


def test_filters_hide_and_do_not_forget(bench: Bench):
    queue = bench.queue
    everything = queue.items
    queue.filters = Filters(kind="missing")
    assert [item.kind for item in queue.items] == ["missing"]
    assert queue.progress.total == 1
    queue.filters = Filters(border=False)
    assert 0 < len(queue.items) < len(everything)
    assert not any(item.touches_border for item in queue.items)
    queue.filters = Filters(least=everything[3].score)
    assert queue.items == everything[:4]
    queue.filters = Filters(t=1)
    assert queue.items == []
    assert queue.current is None
    queue.filters = Filters()
    assert queue.items == everything
    assert queue.all_items == everything


def test_an_edit_settles_what_it_made_and_frees_its_neighbours(bench: Bench):
    queue, labels = bench.queue, bench.labels
    before = {item.key: item for item in queue.items}
    labels[labels == 30] = 10
    queue.update([(0, 10), (0, 30)])
    keys = {item.key for item in queue.items}
    assert ("object", 0, 10) not in keys
    assert ("object", 0, 30) not in keys
    assert len(keys) == len(before) - 2
    assert queue.progress.repaired == 2
    # taken back by undo, both are asked about again
    points = np.argwhere(labels == 10)
    labels[tuple(points[points[:, 1] > points[:, 1].mean()].T)] = 30
    queue.update([(0, 10), (0, 30)], by_user=False)
    assert {item.key: item for item in queue.items} == before
    assert queue.progress.repaired == 0


def test_what_the_user_removed_is_not_called_missing(bench: Bench):
    queue, labels = bench.queue, bench.labels
    missing = [item for item in queue.items if item.kind == "missing"]
    labels[labels == 1] = 0
    queue.update([(0, 1)])
    assert [item.key for item in queue.items if item.kind == "missing"] == [missing[0].key]
    # an added cell fills its place
    hole = missing[0]
    labels[hole.box] = np.where(labels[hole.box] == 0, 40, labels[hole.box])
    queue.update([(0, 40)])
    assert not any(item.kind == "missing" for item in queue.items)


def test_follows_changes_of_a_document(bench: Bench):
    queue, labels = bench.queue, bench.labels
    told = []
    queue.changed.connect(lambda: told.append(len(queue.items)))
    queue.follow(SimpleNamespace(region=None, keys=((0, 6),), direction="do"))
    assert told == []
    old = labels.copy()
    labels[labels == 6] = 0
    everything = (slice(0, 64), slice(0, 64))
    queue.follow(SimpleNamespace(region=everything, keys=((0, 6),), direction="do"))
    assert ("object", 0, 6) not in {item.key for item in queue.items}
    labels[:] = old
    queue.follow(SimpleNamespace(region=everything, keys=((0, 6),), direction="undo"))
    assert ("object", 0, 6) in [item.key for item in queue.items[:3]]
    assert told


def test_follows_changes_of_time_points():
    truth = cells((48, 48))
    labels = np.stack([truth, truth])
    queue = ReviewQueue(Ranking(labels, None, Evidence(timed=True)))
    labels[1][labels[1] == 5] = 0
    region = (slice(1, 2), slice(0, 48), slice(0, 48))
    queue.follow(SimpleNamespace(region=region, keys=((1, 5),), direction="do"))
    keys = {item.key for item in queue.items}
    assert ("object", 0, 5) in keys
    assert ("object", 1, 5) not in keys


def test_the_state_survives_as_json(bench: Bench):
    queue = bench.queue
    queue.filters = Filters(border=True, least=0.01)
    queue.accept()
    queue.skip()
    queue.done()
    queue.next()
    state = json.loads(json.dumps(queue.state()))
    again = ReviewQueue(Ranking(bench.labels, None, queue.ranking.evidence), state)
    assert again.items == queue.items
    assert again.current == queue.current
    assert again.progress == queue.progress
    assert again.filters == queue.filters
    with pytest.raises(InputError, match="cannot be read"):
        ReviewQueue(queue.ranking, {"at": None})
    with pytest.raises(InputError, match="no item"):
        queue.accept(("object", 0, 999))


def test_keys_name_items():
    box = (slice(2, 5), slice(3, 8))
    place = ReviewItem("missing", 2, None, 0.5, (), (0.0, 3.0, 5.0), box)
    assert place.key == ("missing", 2, 0, 3, 5)
    assert ReviewItem("object", 2, 9, 0.5, (), (0.0, 3.0, 5.0), box).key == ("object", 2, 9)


def test_positions_follow_what_is_decided(bench: Bench):
    queue = bench.queue

    def expect() -> None:
        assert [queue.position(item.key) for item in queue.items] == list(range(len(queue.items)))
        assert queue.progress.left == len(queue.items)

    expect()
    first, second = queue.items[:2]
    queue.accept()
    assert queue.position(first.key) is None
    expect()
    queue.skip()
    assert queue.position(second.key) == len(queue.items) - 1
    queue.filters = Filters(least=first.score / 100)
    expect()
    queue.reopen(first.key)
    assert queue.position(first.key) == 0
    bench.labels[bench.labels == queue.items[3].id] = 0
    queue.update([(0, queue.items[3].id)])
    expect()
