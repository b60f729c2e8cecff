from qtpy.QtCore import Qt

from napari_cellseg.widgets.notices import Notices
from napari_cellseg.widgets.status_strip import StatusStrip


def test_progress_shows_bar_and_cancel_and_idle_hides_them(qtbot):
    strip = StatusStrip()
    qtbot.addWidget(strip)
    strip.show()
    assert not strip.busy
    strip.progress(0.47, "xz 120/256")
    assert strip.busy
    assert strip.bar.value() == 470
    assert strip.text == "xz 120/256"
    with qtbot.waitSignal(strip.cancelled):
        qtbot.mouseClick(strip.cancel, Qt.MouseButton.LeftButton)
    height = strip.height()
    strip.idle("1,204 cells")
    assert not strip.busy
    assert strip.height() == height  # the dock does not jump


def test_unknown_progress_is_a_busy_bar(qtbot):
    strip = StatusStrip()
    qtbot.addWidget(strip)
    strip.progress(-1, "loading the model")
    assert (strip.bar.minimum(), strip.bar.maximum()) == (0, 0)
    strip.progress(2.0, "nearly")
    assert strip.bar.value() == strip.bar.maximum() == 1000


def test_a_long_message_is_cut_but_kept_in_the_tooltip(qtbot):
    strip = StatusStrip()
    qtbot.addWidget(strip)
    strip.resize(200, 40)
    strip.show()
    message = "segmenting " + "very " * 40 + "long"
    strip.idle(message)
    assert strip._label.text().endswith("…")
    assert strip._label.toolTip() == strip.text == message
    strip.resize(2000, 40)
    qtbot.waitUntil(lambda: strip._label.text() == message)


def test_an_error_is_shown_whole(qtbot):
    strip = StatusStrip()
    qtbot.addWidget(strip)
    strip.resize(200, 40)
    strip.show()
    message = "The file cannot be written: " + "very " * 10 + "long."
    strip.error(message)
    assert strip._label.text() == message
    assert strip._label.wordWrap()
    assert strip.property("error")
    strip.idle("ready")
    assert not strip.property("error")


def test_notices_come_and_go(qtbot):
    notices = Notices()
    qtbot.addWidget(notices)
    assert notices.isHidden()
    notices.show_sentences(["", "It looks unlike the training data.", "No spacing."])
    assert notices.sentences == ("It looks unlike the training data.", "No spacing.")
    assert not notices.isHidden()
    notices.show_sentences(["No spacing."])
    assert notices.sentences == ("No spacing.",)
    notices.show_sentences([])
    assert notices.sentences == ()
    assert notices.isHidden()
