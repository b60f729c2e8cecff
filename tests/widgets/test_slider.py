import pytest
from qtpy.QtCore import Qt

from napari_cellseg.widgets.scales import LogitScale, LogScale
from napari_cellseg.widgets.slider import ValueSlider


@pytest.fixture
def slider(qtbot):
    slider = ValueSlider(LogitScale(), 0.5)
    qtbot.addWidget(slider)
    return slider


def test_moving_reports_and_shows_the_value(slider, qtbot):
    with qtbot.waitSignal(slider.value_changed) as moved:
        slider.slider.setValue(0)
    assert moved.args == [0.003]
    assert slider.box.text() == "0.003"
    assert slider.value == 0.003


def test_setting_a_value_reports_nothing(slider, qtbot):
    with qtbot.assertNotEmitted(slider.value_changed):
        slider.set_value(0.9)
    assert slider.box.text() == "0.90"
    assert slider.slider.value() > 500


def _type(qtbot, slider, text):
    slider.box.selectAll()
    qtbot.keyClicks(slider.box, text)
    qtbot.keyClick(slider.box, Qt.Key.Key_Return)


def test_a_typed_value_moves_the_slider_and_keeps_its_digits(slider, qtbot):
    with qtbot.waitSignal(slider.value_changed) as moved:
        _type(qtbot, slider, "0.123")
    assert moved.args == [0.123]
    assert slider.slider.value() < 500


@pytest.mark.parametrize("text", ["cell", "nan", ""])
def test_a_typed_word_is_put_back(slider, qtbot, text):
    with qtbot.assertNotEmitted(slider.value_changed):
        _type(qtbot, slider, text) if text else (slider.box.clear(), slider._on_box())
    assert slider.box.text() == "0.50"


@pytest.mark.parametrize(("text", "value"), [("0", 0.003), ("7", 0.997), ("-inf", 0.003)])
def test_a_typed_value_beyond_the_range_becomes_its_end(slider, qtbot, text, value):
    _type(qtbot, slider, text)
    assert slider.value == value


def test_double_click_asks_for_the_usual_value(slider, qtbot):
    with qtbot.waitSignal(slider.reset_requested):
        qtbot.mouseDClick(slider.slider, Qt.MouseButton.LeftButton)


def test_it_says_why_it_is_off(slider):
    slider.setToolTip("What it does.")
    slider.set_available("open an image first.")
    assert not slider.isEnabled()
    assert "Not now: open an image first." in slider.slider.toolTip()
    slider.set_available("")
    assert slider.isEnabled()
    assert slider.slider.toolTip() == "What it does."


def test_sizes_move_on_a_logarithm(qtbot):
    slider = ValueSlider(LogScale(1, 10_000), 100)
    qtbot.addWidget(slider)
    assert slider.slider.value() == 500
