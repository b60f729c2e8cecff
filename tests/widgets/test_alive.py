"""What arrives for a widget that is gone is dropped."""

from qtpy.QtCore import QObject

from napari_cellseg.widgets.alive import while_alive


def test_a_call_is_made_while_its_owner_lives(qtbot):
    owner, told = QObject(), []
    call = while_alive(owner, told.append)
    call(1)
    owner.deleteLater()
    qtbot.waitUntil(lambda: _tried(call, told))
    count = len(told)
    call(2)
    assert len(told) == count
    del owner
    call(3)
    assert len(told) == count


def _tried(call, told):
    before = len(told)
    call(0)
    return len(told) == before
