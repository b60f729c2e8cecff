"""Two docks in one window are two tabs in one place."""

import pytest
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_cellseg.widgets.tabs import share_place


@pytest.fixture
def window(qtbot):
    from qtpy.QtCore import Qt

    main = QMainWindow()
    qtbot.addWidget(main)
    main.resize(800, 600)
    main.show()

    def add(floating=False):
        holder, body = QDockWidget(main), QWidget()
        holder.setWidget(body)
        main.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, holder)
        holder.setFloating(floating)
        holder.show()
        share_place(body)
        return holder

    main.add = add
    return main


def test_the_second_dock_is_a_tab_in_front(window, qtbot):
    first, second = window.add(), window.add()
    assert window.tabifiedDockWidgets(first) == [second]
    qtbot.waitUntil(lambda: not second.visibleRegion().isEmpty())
    assert first.visibleRegion().isEmpty()


def test_docks_of_others_and_floating_ones_stay_where_they_are(window, qtbot):
    from qtpy.QtCore import Qt

    other = QDockWidget(window)
    other.setWidget(QWidget())
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, other)
    floating = window.add(floating=True)
    ours = window.add()
    assert not window.tabifiedDockWidgets(ours)
    assert floating.isFloating()


def test_a_widget_outside_any_window(qtbot):
    alone = QWidget()
    qtbot.addWidget(alone)
    share_place(alone)
    assert alone.parent() is None
