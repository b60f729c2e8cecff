"""The one place that knows how napari's Labels layer keeps its data and its undo history.

Assigning ``layer.data`` keeps an undo history that belongs to the old array: the next Ctrl+Z then
writes old values into the new array, or raises. Facts measured on napari 0.9; ``VERIFIED`` is what
the version test checks against the installed napari.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels

VERIFIED = ("0.9",)
_STACKS = ("_undo_history", "_redo_history")


def can_reset_history() -> bool:
    """Return whether this napari has the history that the shim knows how to empty."""
    from napari.layers import Labels

    return callable(getattr(Labels, "_reset_history", None))


def replace_data(layer: Labels, data: np.ndarray) -> None:
    """Show another array in a layer and forget the undo history of the old one.

    The array is taken over, not copied, so the cost does not grow with the volume (the redraw
    does). Only for layers whose hand edits are kept elsewhere or that cannot be edited.

    Parameters
    ----------
    layer : napari Labels layer
    data : ndarray of integers, same number of dimensions
    """
    editable = layer.editable
    layer.data = data
    layer._reset_history()
    layer.editable = editable  # assigning data makes the layer editable again


def history_size(layer: Labels) -> tuple[int, int]:
    """Return how many steps a layer could undo and redo; it changes with every edit and undo."""
    undo, redo = (len(getattr(layer, stack, ())) for stack in _STACKS)
    return undo, redo
