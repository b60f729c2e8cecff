"""The one place that draws on the canvas itself: outlines, seeds and the line under the mouse.

They would cost a layer each otherwise, which the user would have to look at and could remove. The
visuals hang on what vispy draws the cells layer with (``canvas.layer_to_visual``, measured on
napari 0.9): they follow its scale and place, are taken along when the view turns to 3D, and go
when the layer goes. Without a window nothing is drawn.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.widgets.edit_ground import Ground

_SELECTED, _DRAWN, _SEED = "#ffffff", "#f0e442", "#f0e442"
_SEED_PIXELS = 11
_KEPT = "_cellseg_traces"


class Trace:
    """Draws over a cells layer; coordinates are those of the labels.

    Parameters
    ----------
    viewer : ViewerModel
        Kept weakly.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._visuals: dict[str, Any] = {}
        self.drawn: dict[str, NDArray[np.float64]] = {}

    def outline(self, ends: ArrayLike, ground: Ground) -> None:
        """Draw segments, (2 n, axes), around what is selected; none to take them away."""
        self._draw("selected", ends, ground)

    def line(self, points: ArrayLike, ground: Ground) -> None:
        """Draw a line, (n, axes), under the mouse; fewer than two points take it away."""
        self._draw("line", points, ground)

    def seeds(self, points: ArrayLike, ground: Ground) -> None:
        """Draw points, (n, axes)."""
        self._draw("seeds", points, ground)

    def clear(self) -> None:
        """Draw nothing."""
        self.drawn = {}
        for visual in self._visuals.values():
            visual.visible = False

    def _draw(self, name: str, points: ArrayLike, ground: Ground) -> None:
        places = np.asarray(points, float).reshape(-1, len(ground.axes))
        self.drawn[name] = places
        visual = self._visual(name, ground)
        if visual is None:
            return
        enough = len(places) > (0 if name == "seeds" else 1)
        visual.visible = enough
        if not enough:
            return
        at = self._on_node(places, ground)
        if name == "seeds":
            visual.set_data(
                at, size=_SEED_PIXELS, face_color=_SEED, edge_color="black", edge_width=1.5
            )
        else:
            visual.set_data(at)

    def _on_node(self, places: NDArray[np.float64], ground: Ground) -> NDArray[np.float32]:
        """Coordinates of what the layer is drawn with: (x, y, z) of the displayed axes.

        Always three: a visual that was given two cannot be given three when the view turns to 3D.
        """
        viewer = self._viewer()
        assert viewer is not None
        full = np.zeros((len(places), len(ground.letters)))
        full[:, [ground.letters.index(axis) for axis in ground.axes]] = places
        offset = viewer.dims.ndim - len(ground.letters)
        shown = [axis - offset for axis in viewer.dims.displayed][::-1]
        # a pixel of an image is drawn from its corner, a voxel of a volume around its centre
        half = 0.5 if len(shown) == 2 else 0.0
        at = np.zeros((len(places), 3), np.float32)
        at[:, : len(shown)] = full[:, shown] + half
        return at

    def _visual(self, name: str, ground: Ground) -> Any:
        node = self._node_of(ground)
        if node is None:
            return None
        if name not in self._visuals:
            self._visuals[name] = _made(name, node)
            self._keep(self._visuals[name])
        visual = self._visuals[name]
        if visual.parent is not node:  # another layer, or the node of another number of axes
            visual.parent = node
        return visual

    def _keep(self, visual: Any) -> None:
        """Keep a visual for as long as the canvas lives: see `canvas_shim` for why."""
        canvas = self._canvas()
        kept = getattr(canvas, _KEPT, None)
        if kept is None:
            kept = []
            setattr(canvas, _KEPT, kept)
        kept.append(visual)

    def _canvas(self) -> Any:
        window = getattr(self._viewer(), "window", None)
        return getattr(getattr(window, "_qt_viewer", None), "canvas", None)

    def _node_of(self, ground: Ground) -> Any:
        drawn = getattr(self._canvas(), "layer_to_visual", {}).get(ground.layer)
        return None if drawn is None else drawn.node


def _made(name: str, node: Any) -> Any:
    from vispy.scene.visuals import Line, Markers

    somewhere = np.zeros((2, 3), np.float32)
    if name == "seeds":
        visual = Markers(parent=node)
        visual.set_data(somewhere)
    elif name == "line":
        visual = Line(somewhere, _DRAWN, width=2.5, method="gl", parent=node)
    else:
        visual = Line(somewhere, _SELECTED, width=2, connect="segments", method="gl", parent=node)
    visual.order = 10
    visual.set_gl_state("translucent", depth_test=False)
    visual.visible = False
    return visual
