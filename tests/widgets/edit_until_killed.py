"""Run as a program: edits the cells of an image, step after step, until somebody kills it."""

import sys

import numpy as np

from napari_cellseg.labels import Edit
from napari_cellseg.session import Session


def start(shape):
    """Cells before the first step."""
    labels = np.zeros(shape, np.uint32)
    labels[1:4, 4:12, 4:12], labels[1:4, 16:26, 8:18], labels[1:4, 6:12, 26:32] = 1, 2, 3
    return labels


def step(number, shape):
    """The edit that is made as this step: a new small cell, somewhere."""
    corner = np.random.default_rng(number).integers(0, np.array(shape) - 2)
    region = tuple(slice(int(at), int(at) + 2) for at in corner)
    return Edit(region, np.ones((2, 2, 2), np.bool_), 10 + number, kind="paint")


def after(count, shape):
    """Cells after so many steps."""
    labels = start(shape)
    for number in range(1, count + 1):
        edit = step(number, shape)
        labels[edit.region] = edit.values
    return labels


def headless(image):
    session = Session()
    session.open(image).wait()
    session.adopt(start(session.label_shape))
    return session, lambda: None


def in_a_window(image):
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Segment")
    dock.session.open(image)
    while dock.session.volume is None or dock.session.busy:
        QApplication.processEvents()
    dock.session.adopt(start(dock.session.label_shape))
    return dock.session, QApplication.processEvents


def main(image, least, where):
    session, draw = (in_a_window if where == "window" else headless)(image)
    shape, number = session.label_shape, 0
    while True:
        number += 1
        session.change("apply", step(number, shape))
        draw()
        if number == least:
            assert session.document.saved.wait(20)
            print("saved", number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
