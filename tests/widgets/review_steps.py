"""A window in which cells with known errors are reviewed."""

import numpy as np

from widgets.steps import add_image

MERGED, SPLIT, OTHER = 2, 5, 99


def wrong_cells(shape=(8, 96, 96)):
    """Nine round cells; 2 and 3 are one (2), 5 is two (5 and 99)."""
    grid = np.stack(np.indices(shape), -1).astype(float)
    labels = np.zeros(shape, np.uint32)
    for number, (row, col) in enumerate(((r, c) for r in (20, 48, 76) for c in (20, 48, 76)), 1):
        away = (grid - [3.5, row, col]) / [3.2, 9.0, 9.0]
        labels[(away**2).sum(-1) < 1] = number
    labels[labels == 3] = MERGED
    labels[2:6, 17:23, 28:69] = MERGED
    half = labels[:, :, 48:]
    half[half == SPLIT] = OTHER
    return labels


def review_window(make_napari_viewer, labels=None, truth=None):
    """A window with an image, cells, and the Review dock."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1300, 1000)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Review")
    labels = wrong_cells() if labels is None else labels
    truth = labels if truth is None else truth
    image = (truth > 0) * 200 + np.random.default_rng(0).normal(20, 2, labels.shape)
    add_image(viewer, image.astype(np.float32), spacing=(1.0, 0.5, 0.5))
    dock.session.adopt(labels)
    return viewer, dock


def shown(qtbot, dock):
    """Wait until nothing is measured, flown to or shown."""

    def quiet():
        review, run = dock.review, dock.run
        busy = review.ranking or review._measuring is not None or dock.session.busy
        return not (busy or dock._soon.isActive() or run._back.isActive() or run._fly.isActive())

    qtbot.waitUntil(quiet, timeout=20000)  # what measures is compiled once


def ids(dock):
    return [item.id for item in dock.review.items]
