"""The queue on a real document: it follows edits and undo, and its measures equal fresh ones."""

from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.labels import LabelDocument
from napari_cellseg.labels.review import Evidence, Ranking, ReviewQueue
from review_scene import cells, evidence_of


@pytest.fixture
def document(tmp_path: Path):
    labels = cells((64, 64))
    labels[labels == 7] = 6
    made = LabelDocument.create(tmp_path / "document", labels, (1.0, 1.0, 1.0))
    yield made
    made.close()


def test_edits_of_a_document_reach_the_queue(document: LabelDocument):
    evidence = Evidence(evidence_of(cells((64, 64))).field)
    locked = []
    ranking = Ranking(document.labels, document.objects, evidence)
    queue = ReviewQueue(ranking, accept=lambda key: locked.append(document.lock([key[1]])))
    document.changed.connect(queue.follow)

    def fresh() -> list:
        return Ranking(document.labels, document.objects, evidence).items()

    assert queue.items[0].key == ("object", 0, 6)
    before = queue.items
    document.merge([1, 2])
    assert ranking.items() == fresh()
    assert {item.key for item in before} - {item.key for item in queue.items} == {
        ("object", 0, 1),
        ("object", 0, 2),
    }
    document.delete([3])
    assert ranking.items() == fresh()
    assert not any(item.kind == "missing" for item in queue.items)
    document.undo()
    document.undo()
    assert ranking.items() == fresh()
    assert queue.items == before
    assert queue.progress.repaired == 0
    queue.accept()
    assert document.is_locked(6)
    assert queue.progress.accepted == 1
    assert np.isin(6, document.labels)
