import pytest
from qtpy.QtCore import Qt

from napari_cellseg.widgets.numbers import NumberEdit
from napari_cellseg.widgets.spacing_edit import SpacingEdit


@pytest.fixture
def field(qtbot):
    field = NumberEdit("The diameter", empty="estimated")
    qtbot.addWidget(field)
    return field


def _type(qtbot, field, text):
    field.selectAll()
    qtbot.keyClick(field, Qt.Key.Key_Delete)
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)


@pytest.mark.parametrize(
    ("text", "value"), [("11", 11.0), (" 0.5 ", 0.5), ("1,5", 1.5), ("1e2", 100.0)]
)
def test_numbers_are_read(field, qtbot, text, value):
    with qtbot.waitSignal(field.changed):
        _type(qtbot, field, text)
    assert field.value == value
    assert not field.problem
    assert not field.property("wrong")


@pytest.mark.parametrize("text", ["0", "-3", "nan", "inf", "cell", "1.2.3"])
def test_anything_else_is_marked_and_said(field, qtbot, text):
    _type(qtbot, field, text)
    assert field.value is None
    assert field.problem.startswith("The diameter")
    assert field.problem.endswith(".")
    assert field.property("wrong")


def test_empty_is_allowed_only_where_it_means_something(field, qtbot):
    assert field.problem == ""
    assert field.value is None
    required = NumberEdit("The z spacing")
    qtbot.addWidget(required)
    assert required.problem


def test_a_value_set_from_outside_reports_nothing_and_keeps_what_was_typed(field, qtbot):
    _type(qtbot, field, "11.00")
    with qtbot.assertNotEmitted(field.changed):
        field.set_value(11.0)
    assert field.text() == "11.00"
    field.set_value(12.34567)
    assert field.text() == "12.35"
    field.set_value(None)
    assert field.text() == ""


def test_spacing_in_2d_hides_z_and_reports_three_numbers(qtbot):
    edit = SpacingEdit()
    qtbot.addWidget(edit)
    edit.show_spacing((1.0, 0.4, 0.4), known=True, is_3d=False)
    assert edit.fields["z"].isHidden()
    with qtbot.waitSignal(edit.changed) as typed:
        _type(qtbot, edit.fields["x"], "0.5")
    assert typed.args == [(1.0, 0.4, 0.5)]


def test_unknown_spacing_is_asked_for_and_a_bad_one_is_said(qtbot):
    edit = SpacingEdit()
    qtbot.addWidget(edit)
    edit.show_spacing((1.0, 1.0, 1.0), known=False, is_3d=True)
    assert edit.fields["z"].property("asked")
    with qtbot.waitSignal(edit.changed) as typed:
        _type(qtbot, edit.fields["z"], "0")
    assert typed.args == [()]
    assert edit.value is None
    assert edit.problem == "The z spacing 0 is not usable: type a number above 0."


@pytest.mark.parametrize("key", ["Key_Return", "Key_Enter", "Key_Escape"])
def test_keys_that_mean_something_in_the_window_stay_in_the_field(qtbot, key):
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QWidget

    reached = []

    class Window(QWidget):
        def keyPressEvent(self, event):  # noqa: N802 - Qt's name
            reached.append(event.key())

    window = Window()
    qtbot.addWidget(window)
    edit = NumberEdit("The diameter", "estimated", window)
    window.show()
    qtbot.keyClick(edit, getattr(Qt.Key, key))
    assert not reached
    qtbot.keyClick(edit, Qt.Key.Key_F5)
    assert reached == [Qt.Key.Key_F5]
