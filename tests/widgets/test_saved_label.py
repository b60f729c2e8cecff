from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from napari_cellseg.session.records import JournalState
from napari_cellseg.widgets.saved_label import saved_text, saved_tip
from napari_cellseg.widgets.status_strip import StatusStrip
from widgets.steps import add_image

FOLDER = Path("somewhere/embryo")
NOW = datetime(2026, 5, 4, 10, 41, tzinfo=UTC).astimezone()
FULL = (
    "Edits cannot be saved in /data at the moment because the disk is full (3 MB free): free some "
    "space; they are kept in memory and saved as soon as it works."
)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (JournalState(), ""),
        (JournalState(steps=2), "undo 2"),
        (JournalState(FOLDER, False, None, 1), "saving… · undo 1"),
        (JournalState(FOLDER, True, NOW, 1212), f"saved {NOW:%H:%M} · undo 1,212"),
        (JournalState(FOLDER, True, NOW - timedelta(days=40), 0), f"saved 25 Mar {NOW:%H:%M}"),
        (JournalState(FOLDER, True, None, 3), "saved · undo 3"),
        (JournalState(FOLDER, True, NOW, 3, FULL), "not saved: the disk is full · undo 3"),
        (
            JournalState(None, False, None, 1, "The folder is gone; put it back."),
            "not saved: The folder is gone · undo 1",
        ),
    ],
)
def test_what_is_said(state, text):
    assert saved_text(state, NOW) == text


def test_times_are_local():
    when = datetime(2026, 5, 4, 23, 30, tzinfo=UTC)
    state = JournalState(FOLDER, True, when, 0)
    assert saved_text(state, when) == f"saved {when.astimezone():%H:%M}"


def test_the_tooltip_says_all_of_it():
    assert FULL in saved_tip(JournalState(FOLDER, False, NOW, 3, FULL))
    assert str(FOLDER) in saved_tip(JournalState(FOLDER, True, NOW, 3))
    assert "crash" in saved_tip(JournalState(FOLDER, True, NOW, 1))
    assert "crash" not in saved_tip(JournalState(FOLDER, False, NOW, 1))
    assert saved_tip(JournalState()) == ""


def test_trouble_has_the_warning_colour_until_it_is_over(qtbot):
    strip = StatusStrip()
    qtbot.addWidget(strip)
    strip.show()
    strip.show_journal(JournalState())
    assert strip.saved.isHidden()
    strip.show_journal(JournalState(FOLDER, True, NOW, 3, FULL))
    assert strip.saved.property("warned")
    strip.idle("1,204 cells")
    assert not strip.saved.isHidden()
    strip.show_journal(JournalState(FOLDER, True, NOW, 3))
    assert not strip.saved.property("warned")


@pytest.fixture
def edited(dock, viewer, tmp_path):
    """A dock whose session has cells, and keeps documents in a folder of this test."""
    add_image(viewer)
    session = dock.session
    session.documents = tmp_path / "documents"
    labels = np.zeros(session.label_shape, np.uint32)
    labels[1:4, 4:12, 4:12], labels[1:4, 16:26, 8:18] = 1, 2
    session.adopt(labels)
    return dock


def test_a_dock_says_saved_only_once_it_is(edited, qtbot, monkeypatch):
    session, saved = edited.session, edited.strip.saved
    assert saved.isHidden()
    said = []
    show = edited.strip.show_journal

    def follow(state):
        show(state)
        durable = session.document.saved
        said.append((saved.text().split(" ")[0], durable.all))

    session.journal_changed.disconnect(edited.strip.show_journal)
    session.journal_changed.connect(follow)
    monkeypatch.setattr(edited.strip, "show_journal", follow)
    session.change("merge", [1, 2])
    qtbot.waitUntil(lambda: saved.text().startswith("saved"))
    assert saved.text().endswith("undo 1")
    assert said[0][0] == "saving…"
    assert all(durable for word, durable in said if word == "saved")
    session.undo()
    qtbot.waitUntil(lambda: saved.text().startswith("saved"))
    assert "undo" not in saved.text()
    assert str(session.document.folder) in saved.toolTip()


def test_a_folder_that_cannot_be_written_is_said(edited, qtbot, tmp_path):
    (tmp_path / "file").write_text("no folder")
    edited.session.documents = tmp_path / "file"
    edited.session.change("merge", [1, 2])
    assert edited.strip.saved.text().startswith("not saved: ")
    assert edited.strip.saved.property("warned")
