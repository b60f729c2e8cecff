"""Labels that others replaced come back one by one; locks and classes come back from files."""

from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.session import Session

WAIT = 20


def some(session: Session, label: int) -> np.ndarray:
    labels = np.zeros(session.label_shape, np.uint32)
    labels[1:4, 2:8, 2:8] = label
    return labels


def test_adopting_three_times_is_undone_three_times(session: Session) -> None:
    for label in (3, 5, 7):
        session.adopt(some(session, label))
    session.change("delete", [7])
    for label in (7, 5, 3):
        session.undo()
        assert session.labels is not None
        assert session.labels.max() == label
    assert not session.can("undo")


def test_removed_labels_and_their_history_come_back(session: Session) -> None:
    session.adopt(some(session, 3))
    session.change("lock", [3])
    session.remove_labels()
    assert "Undo" in session.status.text
    session.undo()
    assert session.locked_ids() == {3}
    session.undo()
    assert not session.locked_ids()


@pytest.mark.parametrize("ending", [".tif", ".ome.zarr"])
def test_locks_and_classes_come_back_from_a_file(
    session: Session, tmp_path: Path, ending: str
) -> None:
    session.adopt(some(session, 3))
    session.change("set_class", [3], "dividing")
    session.change("lock", [3])
    file = tmp_path / f"cells{ending}"
    session.save(file).wait(WAIT)
    session.remove_labels()
    job = session.adopt(file)
    assert job is not None
    job.wait(WAIT)
    document = session.document
    assert document is not None
    assert document.objects.mark(3, "class") == "dividing"
    assert document.is_locked(3)
    assert document.history[-1].source == "file"
