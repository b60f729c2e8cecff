"""Colours of prompts and open objects; told apart by colour-blind eyes, and by shape besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.utils.colormaps import CyclicLabelColormap

POSITIVE = (0.0, 0.78, 0.45, 1.0)
NEGATIVE = (0.92, 0.20, 0.14, 1.0)
IN_HAND = (1.0, 1.0, 1.0, 1.0)
FAINT = 0.45
"""Opacity of prompts of objects that are not in hand."""

#: Okabe & Ito (2008), "Color universal design", without its black.
_CYCLE = ("#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#0072b2", "#d55e00", "#009e73")


def preview_colors() -> CyclicLabelColormap:
    """Return the colours of open objects, by their numbers."""
    from napari.utils.colormaps import CyclicLabelColormap
    from napari.utils.colormaps.standardize_color import transform_color

    colors = np.concatenate([np.zeros((1, 4)), transform_color(list(_CYCLE))])
    return CyclicLabelColormap(colors=colors, name="open objects")


def outline_colors() -> CyclicLabelColormap:
    """Return the colour of the outline of the object in hand."""
    from napari.utils.colormaps import CyclicLabelColormap

    return CyclicLabelColormap(colors=np.array([(0, 0, 0, 0), IN_HAND]), name="in hand")


def faint(color: tuple[float, float, float, float], in_hand: bool) -> tuple[float, ...]:
    """Return a colour as it is for the object in hand, else faint."""
    return color if in_hand else (*color[:3], FAINT)
