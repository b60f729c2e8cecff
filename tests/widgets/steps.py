"""What a user does, in one word each."""

import numpy as np
from qtpy.QtCore import Qt


def blobs(shape=(6, 32, 40)):
    """Two bright boxes and a dim one on a dark ground, from 0 to 1."""
    image = np.zeros(shape, np.float32)
    image[..., 4:12, 4:12] = 0.9
    image[..., 16:26, 8:18] = 0.9
    image[..., 6:12, 26:32] = 0.3
    return image


def add_image(viewer, data=None, name="embryo", spacing=(2.0, 0.5, 0.5)):
    data = blobs() if data is None else data
    ndim = data.ndim
    return viewer.add_image(
        data,
        name=name,
        scale=(1.0, *spacing)[-ndim:],
        units=("pixel", "um", "um", "um")[-ndim:],
        axis_labels=tuple("tzyx"[-ndim:]),
    )


def click(qtbot, button):
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def type_into(qtbot, field, text):
    field.selectAll()
    qtbot.keyClick(field, Qt.Key.Key_Delete)
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)


def layer(viewer, name):
    return viewer.layers[name]


def count(labels):
    return len(np.unique(labels[labels > 0]))
