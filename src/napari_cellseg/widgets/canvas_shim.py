"""The one place that knows how layers that were taken away can end the process.

With napari 0.9 and vispy 0.17 on Mesa, adding a Shapes layer, removing it, and adding another
crashes inside OpenGL (``glDrawArrays``): buffers are deleted while what is drawn next still has
them enabled; those of other layers that go with it do the same. It does not happen as long as what
the removed layers were drawn with is alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import ViewerModel

_KEPT = "_cellseg_kept"


def keep_drawn(viewer: ViewerModel, layer: Layer) -> None:
    """Keep what a layer is drawn with for as long as the viewer's canvas lives.

    That is a few kB, besides the textures of images and labels, which take what their layer showed
    last: give it little before it is removed.

    Parameters
    ----------
    viewer : ViewerModel
        Without a window there is nothing to keep.
    layer : napari layer
        That was just added to the viewer.
    """
    window = getattr(viewer, "window", None)
    canvas = getattr(getattr(window, "_qt_viewer", None), "canvas", None)
    visual = getattr(canvas, "layer_to_visual", {}).get(layer)
    if visual is None:
        return
    kept = getattr(canvas, _KEPT, None)
    if kept is None:
        kept = []
        setattr(canvas, _KEPT, kept)
    # images and labels have another node in 3D; this one holds both
    for node in (visual.node, getattr(visual, "_layer_node", None)):
        if node is not None and not any(one is node for one in kept):
            kept.append(node)
