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
    strip.error("The file cannot be written: " + "very " * 40 + "long.")
    assert strip._label.text().endswith("…")
    assert strip._label.toolTip() == strip.text
    assert strip._label.property("error")


def test_notices_come_and_go_under_their_keys(qtbot):
    notices = Notices()
    qtbot.addWidget(notices)
    assert notices.isHidden()
    notices.set("spacing", "The spacing is not stated.")
    notices.set("domain", "This image looks unlike the training data.")
    notices.set("spacing", "The spacing is still not stated.")
    assert notices.sentences == (
        "The spacing is still not stated.",
        "This image looks unlike the training data.",
    )
    assert not notices.isHidden()
    notices.set("spacing", "")
    assert notices.sentences == ("This image looks unlike the training data.",)
    notices.clear()
    assert notices.isHidden()
