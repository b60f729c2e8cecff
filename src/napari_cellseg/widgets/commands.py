"""Commands for napari's menus and its command palette; each works through a dock."""

from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_error, show_warning
from napari.viewer import Viewer

from napari_cellseg.errors import CellsegError
from napari_cellseg.widgets.image_layers import layer_axes, layer_volume
from napari_cellseg.widgets.placement import placement
from napari_cellseg.widgets.prompt import PromptDock
from napari_cellseg.widgets.segment import SegmentDock

PLUGIN, DOCK, PROMPT = "napari-cellseg", "Segment", "Prompt"


def segment_selected(viewer: Viewer) -> None:
    """Segment the selected image with the settings of the Segment dock."""
    image = _selected_image(viewer)
    if image is None:
        show_warning("Select an image layer first: there is none to segment.")
        return
    dock = _dock(viewer)
    if dock.image.image is not image:
        dock.image.choose(image)
        dock.image.refresh()
    dock.run.segment_all()


def start_prompting(viewer: Viewer) -> None:
    """Open the Prompt dock and turn prompting on, on the selected image."""
    image = _selected_image(viewer)
    if image is None:
        show_warning("Select an image layer first: there is none to prompt.")
        return
    dock = _prompt_dock(viewer)
    if dock.image.image is not image:
        dock.image.choose(image)
    if dock.tools.prompt.isEnabled():
        dock.run.start()
    else:
        show_warning(dock.tools.prompt.reason)


def new_cells_layer(viewer: Viewer) -> None:
    """Add an empty Labels layer over the selected image, to draw cells by hand."""
    image = _selected_image(viewer)
    if image is None:
        show_warning("Select an image layer first: the new layer takes its shape and scale.")
        return
    try:
        axes, volume = layer_axes(image).axes, layer_volume(image)
    except CellsegError as error:
        show_error(str(error))
        return
    place = placement(image, axes, volume.label_axes, (0,) * len(volume.label_axes))
    shape = [image.data.shape[axes.index(letter)] for letter in place["axis_labels"]]
    viewer.add_layer(Labels(np.zeros(shape, np.uint32), name=f"{image.name} cells", **place))


def save_cells(viewer: Viewer) -> None:
    """Save the cells of the Segment dock."""
    dock = _dock(viewer)
    available = dock.session.can("save")
    if available.ok:
        dock.run.ask_save()
    else:
        show_warning(f"Nothing was saved: {available.reason}")


def _dock(viewer: Viewer) -> SegmentDock:
    dock: SegmentDock = _opened(viewer, DOCK)
    return dock


def _prompt_dock(viewer: Viewer) -> PromptDock:
    dock: PromptDock = _opened(viewer, PROMPT)
    return dock


def _opened(viewer: Viewer, name: str) -> Any:
    window = getattr(viewer, "__wrapped__", viewer).window
    holder, dock = window.add_plugin_dock_widget(PLUGIN, name)
    holder.show()
    holder.raise_()
    return dock


def _selected_image(viewer: Viewer) -> Image | None:
    layers = getattr(viewer, "__wrapped__", viewer).layers
    active = layers.selection.active
    if isinstance(active, Image):
        return active
    images = [layer for layer in layers if isinstance(layer, Image)]
    return images[0] if len(images) == 1 else None
