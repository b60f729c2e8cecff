"""The table of measures: rows come, go and are used again; boxes are found by place."""

import numpy as np
import pytest

from napari_cellseg.errors import Cancelled
from napari_cellseg.labels.review import Evidence, Ranking
from napari_cellseg.labels.review.boxes import grown, meet
from napari_cellseg.labels.review.measure import RAW
from napari_cellseg.labels.review.measured import Measured
from review_scene import cells


def test_rows_are_found_whatever_came_and_went():
    rng = np.random.default_rng(0)
    known: dict = {}
    table = Measured([(0, 1), (0, 2)], 2)
    for step in range(400):
        key = (int(rng.integers(2)), int(rng.integers(1, 60)))
        if rng.random() < 0.4:
            known.pop(key, None)
            table.remove(key)
        else:
            y, x = (int(n) for n in rng.integers(0, 50, 2))
            box = (slice(y, y + 5), slice(x, x + 7))
            known[key] = box, float(step)
            table.put(key, box, np.full(len(RAW), float(step)))
    keys, raw, ends = table.table()
    assert keys == sorted(known)
    assert len(table) == len(known)
    assert raw["neck"].tolist() == [known[key][1] for key in keys]
    assert [tuple(map(slice, *pair)) for pair in ends.tolist()] == [known[key][0] for key in keys]
    looked_at = (slice(20, 30), slice(10, 25))
    for margin in (0, 1):
        wide = [key for key in keys if meet(grown(known[key][0], margin, (99, 99)), looked_at)]
        assert table.near(1, looked_at, margin) == [key for key in wide if key[0] == 1]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_first_ranking_tells_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch, threads: str):
    monkeypatch.setenv("NAPARI_CELLSEG_THREADS", threads)
    labels = cells((160, 160))
    told: list[float] = []
    Ranking(labels, None, Evidence(), told.append)
    assert told == sorted(told)
    assert len(told) == 7
    measured = []
    monkeypatch.setattr(Ranking, "_measure", lambda self, key: measured.append(key))

    def stop(fraction: float) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        Ranking(labels, None, Evidence(), stop)
    assert 16 <= len(measured) <= 100
