"""A copy of the labels is what they were at one moment, whatever is edited meanwhile."""

import threading

import numpy as np

from napari_cellseg.labels import Edit, LabelDocument
from napari_cellseg.labels.packing import patches_of

SHAPE = (40, 300, 300)


def test_copies_are_exactly_a_moment_of_the_history() -> None:
    document = LabelDocument(np.zeros(SHAPE, np.uint32), copy=False)
    rng = np.random.default_rng(0)
    done = threading.Event()

    def edit() -> None:
        while not done.is_set():
            z, y, x = rng.integers(0, [32, 280, 280]).tolist()
            box = (z, y, x, z + 8, y + 15, x + 15)
            label = int(rng.integers(1, 99))
            gather = bool(rng.random() < 0.3)
            document.apply(Edit(box, np.ones((8, 15, 15), bool), label), gather=gather)
            if rng.random() < 0.3 and document.can_undo:
                document.undo()
            if rng.random() < 0.3 and document.can_redo:
                document.redo()

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        copies = [document.copy_of_labels() for _ in range(12)]
    finally:
        done.set()
        thread.join()
    labels, seen = np.zeros(SHAPE, np.uint32), 0
    moments = {number: copy for copy, number in copies}
    for number in range(len(document._log) + 1):
        if number:
            step, direction = document._log[number - 1]
            patches = list(patches_of(document._payload(step)))
            for patch in reversed(patches) if direction == "undo" else patches:
                ids = patch.before if direction == "undo" else patch.after
                labels[patch.region][patch.mask] = ids
        if number in moments:
            seen += 1
            np.testing.assert_array_equal(moments[number], labels)
    assert seen == len(moments)
    assert document.labels is not copies[0][0]
