"""Snapshots made of what a label document writes."""

import time
from pathlib import Path

import numpy as np

from napari_cellseg.labels import Edit, LabelDocument
from napari_cellseg.labels.journal import Journal


def test_snapshot_of_a_document_equals_its_labels(tmp_path: Path):
    labels = np.zeros((6, 40, 50), np.uint32)
    labels[1:3, 5:20, 5:20] = 3
    folder = tmp_path / "document"
    document = LabelDocument.create(folder, labels, (2.0, 0.5, 0.5))
    for number in range(12):
        box = (slice(1, 4), slice(2 * number, 2 * number + 9), slice(3, 30))
        document.apply(Edit(box, np.ones((3, 9, 27), bool), 5 + number))
        if number % 3 == 2:
            document.undo()
        if number % 6 == 5:
            document.redo()
    expected = document.labels.copy()
    document.close()

    journal = Journal.open(folder, records=5)
    included = journal.last
    journal.set_meta("looked", True)  # the thread starts with the first thing to save
    end = time.monotonic() + 5
    while journal.base()[1] != included:
        assert time.monotonic() < end
        time.sleep(0.01)
    found, _ = journal.base()
    np.testing.assert_array_equal(found, expected)
    journal.close()

    document = LabelDocument.open(folder)
    np.testing.assert_array_equal(document.labels, expected)
    while document.can_undo:
        document.undo()
    np.testing.assert_array_equal(document.labels, labels)
    document.close()
