"""The layers of prompting: points, boxes and drawings, open objects, and the one in hand."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.session.prompt_object import BoxPrompt, Drawing, Point
from napari_cellseg.widgets.canvas_shim import keep_drawn
from napari_cellseg.widgets.labels_shim import redraw, replace_data
from napari_cellseg.widgets.placement import aligned, layer_letters, layer_region, placement
from napari_cellseg.widgets.prompt_colors import (
    NEGATIVE,
    POSITIVE,
    faint,
    outline_colors,
    preview_colors,
)
from napari_cellseg.widgets.prompt_outline import Outline
from napari_cellseg.widgets.prompt_view import Frame
from napari_cellseg.widgets.session_layers import METADATA, PREVIEW, PROMPTS, SessionLayers

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Points, Shapes
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Session
    from napari_cellseg.session.prompt_object import PromptObject, Said

SHAPES = {"lasso": "polygon", "scribble": "path"}
_POINT_PIXELS = 13
"""Diameter of a point on the screen."""
MOST_BOXES = 60
"""Beyond so many, only those of the object in hand are drawn."""
_EDGE = 0.7
"""Width of the lines of boxes and outlines, in pixels of the image."""
SCRIBBLE_WIDTH = 3.0
"""Of a scribble, in pixels of the image."""


class PromptLayers:
    """Shows a session's prompts and open objects; what the user does to them is not its business.

    Parameters
    ----------
    viewer : ViewerModel
        Kept weakly.
    session : Session
    layers : SessionLayers
        Knows the image that they lie on.

    Attributes
    ----------
    points, boxes, preview, outline : napari layers, or None while they are not shown
    point_numbers, box_numbers : list of int
        The prompt that each row of `points` and each shape of `boxes` is.
    drawing : bool
        Whether a change of a layer's data is ours.
    """

    def __init__(self, viewer: ViewerModel, session: Session, layers: SessionLayers) -> None:
        self._viewer = weakref.ref(viewer)
        self._session = session
        self._layers = layers
        self._image: weakref.ref[Image] | None = None
        self._outline: Outline | None = None
        self._drawn_boxes: list[Any] = []
        self.points: Points | None = None
        self.boxes: Shapes | None = None
        self.preview: Labels | None = None
        self.outline: Labels | None = None
        self.point_numbers: list[int] = []
        self.box_numbers: list[int] = []
        self.drawing = False

    # -- there or not ----------------------------------------------------------------------------

    @property
    def shown(self) -> bool:
        """Whether the layers are in the viewer."""
        return self.points is not None

    @property
    def fitting(self) -> bool:
        """Whether they lie on the image in use and show its preview."""
        preview = self._session.prompts.preview
        return (
            self.preview is not None
            and preview is not None
            and self._image is not None
            and self._image() is self._layers.image
            and np.may_share_memory(self.preview.data, preview.labels)
            and self._placed()
        )

    def _placed(self) -> bool:
        """Whether they lie where the image does: its scale may have been stated since."""
        image, axes = self._layers.image, self._session.label_axes
        if image is None or self.preview is None:
            return False
        place = placement(image, self._layers.axes, axes, (0,) * len(axes))
        return all(
            np.shape(place[name]) == np.shape(getattr(self.preview, name))
            and np.allclose(place[name], getattr(self.preview, name))
            for name in ("scale", "translate")
        )

    def owns(self, layer: Any) -> bool:
        """Whether a layer is one of these."""
        return layer is not None and any(layer is one for one in self._all())

    @property
    def in_use(self) -> bool:
        """Whether one that takes prompts is the active layer."""
        viewer = self._viewer()
        if viewer is None or not self.shown:
            return False
        active = viewer.layers.selection.active
        return active is self.points or active is self.boxes

    def frame(self) -> Frame:
        """How voxels are coordinates of these layers, at present."""
        viewer, image = self._viewer(), self._layers.image
        others: dict[str, float] = {}
        axes = self._session.label_axes
        if viewer is not None and image is not None:
            at = image.world_to_data(np.asarray(viewer.dims.point, float)[-image.ndim :])
            others = {
                letter: float(round(float(value)))
                for letter, value in zip(self._layers.axes, at, strict=True)
                if letter not in axes
            }
        return Frame(self._layers.axes, axes, others)

    def show(self) -> None:
        """Add the layers above the others, and draw what there is."""
        from napari.layers import Labels, Points, Shapes

        viewer, image, prompts = self._viewer(), self._layers.image, self._session.prompts
        if viewer is None or image is None or prompts.preview is None or self.shown:
            return
        axes = self._session.label_axes
        place = placement(image, self._layers.axes, axes, (0,) * len(axes))
        described = {METADATA: {"role": PROMPTS}}
        self._image = weakref.ref(image)
        self._outline = Outline(self._session.label_shape)
        self.preview = Labels(
            self._aligned(prompts.preview.labels),
            name=f"{image.name} open objects",
            opacity=0.5,
            colormap=preview_colors(),
            metadata={METADATA: {"role": PREVIEW}},
            **place,
        )
        self.outline = Labels(
            self._aligned(self._outline.array),
            name=f"{image.name} in hand",
            opacity=0.95,
            colormap=outline_colors(),
            metadata={METADATA: {"role": PREVIEW}},
            visible=viewer.dims.ndisplay == 2,
            **place,
        )
        ndim = len(place["axis_labels"])
        self.boxes = Shapes(
            ndim=ndim, name=f"{image.name} boxes", metadata=dict(described), **place
        )
        self.points = Points(
            ndim=ndim,
            name=f"{image.name} prompts",
            metadata=dict(described),
            size=_POINT_PIXELS,
            canvas_size_limits=(_POINT_PIXELS - 2, _POINT_PIXELS + 3),
            border_width=0.12,
            **place,
        )
        for layer in (self.preview, self.outline, self.boxes, self.points):
            viewer.add_layer(layer)
            keep_drawn(viewer, layer)
        self.preview.editable = self.outline.editable = False
        self._drawn_boxes = []
        self.draw()
        self.draw_outline()

    def remove(self) -> None:
        """Take the layers out of the viewer."""
        viewer, layers = self._viewer(), list(self._all())
        for labels in (self.preview, self.outline):
            if labels is not None and viewer is not None and labels in viewer.layers:
                # what it was drawn with is kept, see the shim: let that be little
                replace_data(labels, np.zeros((1,) * labels.ndim, labels.data.dtype))
        self.forget()
        for layer in layers:
            if viewer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)

    def forget(self) -> None:
        """Let go of the layers, wherever they are."""
        self.points = self.boxes = self.preview = self.outline = None
        self._image = self._outline = None
        self.point_numbers, self.box_numbers, self._drawn_boxes = [], [], []

    def _all(self) -> Iterator[Any]:
        for layer in (self.points, self.boxes, self.outline, self.preview):
            if layer is not None:
                yield layer

    # -- drawing ---------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw the session's prompts anew."""
        if self.points is None or self.boxes is None or not self.fitting:
            return  # another image is being taken up: `settle` replaces the layers
        self.drawing = True
        try:
            self._draw_points(self.points)
            self._draw_boxes(self.boxes)
        finally:
            self.drawing = False

    def redraw(self, region: tuple[slice, ...]) -> None:
        """Show a box of the preview that has changed."""
        if self.preview is not None and self.fitting:
            redraw(self.preview, self._region(region))

    def draw_outline(self) -> None:
        """Outline the object in hand where it is shown."""
        viewer, prompts = self._viewer(), self._session.prompts
        if self.outline is None or self._outline is None or viewer is None or not self.fitting:
            return
        flat = viewer.dims.ndisplay == 2
        if self.outline.visible != flat:
            self.outline.visible = flat
        one, preview = prompts.current, prompts.preview
        part = one.whole(self._session.label_axes) if one is not None and flat else None
        region = mask = None
        if part is not None and one is not None and preview is not None:
            region, mask = part.region, preview.labels[part.region] == one.number
        letters = layer_letters(self._layers.axes, self._session.label_axes)
        axes = [letters[axis - viewer.dims.ndim] for axis in viewer.dims.displayed]
        along = [index for index, letter in enumerate(self._session.label_axes) if letter in axes]
        for changed in self._outline.draw(region, mask, along):
            redraw(self.outline, self._region(changed))

    def _said(self) -> Iterator[tuple[PromptObject, Said, bool]]:
        prompts = self._session.prompts
        for one in prompts.objects.values():
            for said in one.said.values():
                yield one, said, one is prompts.current

    def _draw_points(self, layer: Points) -> None:
        frame = self.frame()
        rows = [(said, hand) for _, said, hand in self._said() if isinstance(said, Point)]
        data = np.array([frame.to_layer(said.position) for said, _ in rows], float)
        layer.selected_data = set()
        layer.data = data.reshape(len(rows), layer.ndim)
        self.point_numbers = [said.number for said, _ in rows]
        if rows:
            colors = [faint(POSITIVE if said.positive else NEGATIVE, hand) for said, hand in rows]
            layer.face_color = np.array(colors)
            layer.border_color = np.array([faint((1.0, 1.0, 1.0, 1.0), hand) for _, hand in rows])
            layer.symbol = ["disc" if said.positive else "diamond" for said, _ in rows]
            layer.size = _POINT_PIXELS

    def _draw_boxes(self, layer: Shapes) -> None:
        rows = [(said, hand) for _, said, hand in self._said() if not isinstance(said, Point)]
        if len(rows) > MOST_BOXES:  # of everything in a plane; each costs a third of a millisecond
            rows = [(said, hand) for said, hand in rows if hand]
        drawn = [(id(said), hand) for said, hand in rows]
        if drawn == self._drawn_boxes and layer.nshapes == len(rows):
            return
        if layer.nshapes:
            layer.selected_data = set(range(layer.nshapes))
            layer.remove_selected()
        frame = self.frame()
        if rows:
            layer.add(
                [frame.pixels_to_layer(said.plane, _vertices(said)) for said, _ in rows],
                shape_type=[_shape(said) for said, _ in rows],
                edge_width=[_width(said) for said, _ in rows],
                edge_color=np.array([faint(POSITIVE, hand) for _, hand in rows]),
                face_color=np.zeros((len(rows), 4)),
            )
        layer.selected_data = set()
        self._drawn_boxes = drawn
        self.box_numbers = [said.number for said, _ in rows]

    def forget_drawn(self) -> None:
        """Draw everything at the next `draw`, because the layers' data are not ours any more."""
        self._drawn_boxes = [None]

    def _region(self, region: tuple[slice, ...]) -> tuple[slice, ...]:
        axes = self._session.label_axes
        return layer_region(region, axes, layer_letters(self._layers.axes, axes))

    def _aligned(self, array: np.ndarray) -> np.ndarray:
        image = self._layers.image
        assert image is not None
        return aligned(array, self._session.label_axes, self._layers.axes, image.data.shape)


def _shape(said: Said) -> str:
    return SHAPES[said.kind] if isinstance(said, Drawing) else "rectangle"


def _width(said: Said) -> float:
    return SCRIBBLE_WIDTH if isinstance(said, Drawing) and said.kind == "scribble" else _EDGE


def _vertices(said: Said) -> Any:
    if isinstance(said, Drawing):
        return said.vertices
    assert isinstance(said, BoxPrompt)
    row0, col0, row1, col1 = said.box
    return [(row0, col0), (row0, col1), (row1, col1), (row1, col0)]
