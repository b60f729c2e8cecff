"""The list of image layers that every dock has at its top."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QComboBox, QWidget


class ImageBox(QComboBox):
    """Shows which image layer is in use, and the others.

    Parameters
    ----------
    tip : str
        Its tooltip.
    """

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(tip)
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.show_images([], None)

    def show_images(self, names: Sequence[str], current: int | None) -> None:
        """List the image layers; ``current`` is the one in use."""
        self.clear()
        if names:
            self.addItems(list(names))
            self.setCurrentIndex(-1 if current is None else current)
        else:
            self.addItem("no image open")
        self.setEnabled(bool(names))
