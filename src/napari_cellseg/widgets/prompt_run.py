"""Binds the Prompt dock to the session's prompting and to what happens in the viewer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.prompts.ray import RULE
from napari_cellseg.widgets.canvas_modes import modes_for
from napari_cellseg.widgets.placement import check_upright
from napari_cellseg.widgets.preferences import preferences
from napari_cellseg.widgets.prompt_edits import PromptEdits
from napari_cellseg.widgets.prompt_keys import PromptKeys, usable_keys
from napari_cellseg.widgets.prompt_layers import PromptLayers
from napari_cellseg.widgets.prompt_mouse import Click, ClickTool
from napari_cellseg.widgets.prompt_ray import voxel_on_ray
from napari_cellseg.widgets.prompt_scene import PromptScene
from napari_cellseg.widgets.prompt_tools import Tool
from napari_cellseg.widgets.prompt_view import Looking, looking_at

if TYPE_CHECKING:
    from napari.viewer import ViewerModel

    from napari_cellseg.session import Session
    from napari_cellseg.session.prompt_marks import Preview
    from napari_cellseg.widgets.session_layers import SessionLayers

LOOK_MS = 30
_MODES = {Tool.BOX: "add_rectangle", Tool.SCRIBBLE: "add_path", Tool.LASSO: "add_polygon_lasso"}
_DIMS = ("current_step", "ndisplay", "order")
_CAMERA = ("center", "zoom")


class PromptRun(QObject):
    """What the user does in the viewer while prompting, and what the session answers.

    Emits ``failed`` with a typed error when something asked for cannot be done, ``said`` with a
    sentence that helps, and ``changed`` when what the dock shows may be other.
    """

    failed = Signal(object)
    said = Signal(str)
    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        layers: SessionLayers,
        scene: PromptScene,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._modes = modes_for(viewer)
        self._session = session
        self._image_layers = layers
        self._scene = scene
        self._connected = False
        self._ours = False  # whether a layer is removed by us
        self._deleted = False
        self._preview: Preview | None = None
        self._displayed: tuple[Any, ...] = ()
        self.tool = Tool.POINT
        self.looking: Looking | None = None
        self.layers = PromptLayers(viewer, session, layers)
        self.edits = PromptEdits(session, self.layers, self._plane, self)
        self.clicks = ClickTool(self._on_click)
        self.keys, self.key_problems = self._chosen_keys()
        self.edits.failed.connect(self.failed)
        self._look_timer = self._timer(LOOK_MS, self.look)
        self._settle_timer = self._timer(0, self.settle)

    def _timer(self, milliseconds: int, call: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(call)
        return timer

    def _chosen_keys(self) -> tuple[PromptKeys, tuple[str, ...]]:
        keys, problems = usable_keys(preferences().keys)
        return PromptKeys(keys, self.press), problems

    # -- life ------------------------------------------------------------------------------------

    def connect_session(self) -> None:
        """Follow the session and the viewer."""
        viewer, prompts = self._viewer(), self._session.prompts
        if self._connected or viewer is None:
            return
        self._connected = True
        prompts.changed.connect(self.settle_soon)
        prompts.prompts_changed.connect(self._on_prompts)
        prompts.preview_replaced.connect(self._on_preview)
        for name in _DIMS:
            getattr(viewer.dims.events, name).connect(self._on_view)
        for name in _CAMERA:
            getattr(viewer.scene.camera.events, name).connect(self._on_view)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.layers.events.removed.connect(self._on_removed)
        self._on_preview(prompts.preview)

    def disconnect_session(self) -> None:
        """Follow nothing any more, and stop prompting; open objects stay in the session."""
        if not self._connected:
            return
        self._connected = False
        viewer, prompts = self._viewer(), self._session.prompts
        prompts.changed.disconnect(self.settle_soon)
        prompts.prompts_changed.disconnect(self._on_prompts)
        prompts.preview_replaced.disconnect(self._on_preview)
        self._follow_preview(None)
        if viewer is not None:
            for name in _DIMS:
                getattr(viewer.dims.events, name).disconnect(self._on_view)
            for name in _CAMERA:
                getattr(viewer.scene.camera.events, name).disconnect(self._on_view)
            viewer.layers.selection.events.active.disconnect(self._on_active)
            viewer.layers.events.removed.disconnect(self._on_removed)
        self._release()
        self._modes.give_back(self)
        if prompts.active and not self._session.is_closed:
            prompts.stop()

    def stop(self) -> None:
        """Leave no timer behind."""
        self._look_timer.stop()
        self._settle_timer.stop()
        self.edits.stop()

    def leave_layers(self) -> None:
        """Take our layers out of a viewer that goes on without the dock."""
        self._remove_layers()

    # -- verbs -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Turn prompting on."""
        prompts, image = self._session.prompts, self._image_layers.image
        if image is None or self._session.volume is None:
            self.failed.emit(InputError("Open an image first: there is nothing to prompt."))
            self.changed.emit()
            return
        if not self._do(check_upright, image) or not self._do(self._scene.prepare):
            self.changed.emit()
            return
        if not self.layers.shown:  # they may have been changed in the preferences
            self.keys, self.key_problems = self._chosen_keys()
        self._do(prompts.start)
        self._modes.take(self, self.stop_prompting)
        self.settle()
        self.use(self.tool)
        self.look()

    def stop_prompting(self) -> None:
        """Turn prompting off; open objects stay open."""
        self._do(self._session.prompts.stop)
        self._modes.give_back(self)
        self.settle()

    def use(self, tool: Tool) -> None:
        """Take a tool in hand; that also ends a pause."""
        viewer = self._viewer()
        if self.looking is not None and self.looking.solid and tool in _MODES:
            tool = Tool.POINT
        self.tool = tool
        layer = self.layers.boxes if tool in _MODES else self.layers.points
        if viewer is None or layer is None:
            self.changed.emit()
            return
        if tool in _MODES and self.layers.boxes is not None:
            self.layers.boxes.mode = _MODES[tool]
        elif self.layers.points is not None:
            self.layers.points.mode = "pan_zoom"
        viewer.layers.selection.active = layer
        self.changed.emit()

    def press(self, action: str) -> None:
        """Do what a key or a button asks for."""
        prompts = self._session.prompts
        if action == "tool":
            tools = list(Tool)
            self.use(tools[(tools.index(self.tool) + 1) % len(tools)])
            return
        verbs: dict[str, Callable[[], Any]] = {
            "accept": prompts.accept,
            "discard": prompts.discard,
            "cycle": prompts.cycle,
            "next": prompts.next_object,
            "undo": prompts.bring_back if prompts.can_bring_back else prompts.undo,
            "redo": prompts.redo,
            "through": self._scene.through_z,
            "everything": self._scene.everything,
        }
        self._do(verbs[action])

    def choose(self, index: int) -> None:
        """Show one of the candidates."""
        self._do(self._session.prompts.choose, index)

    def _do(self, verb: Callable[..., Any], *args: Any) -> bool:
        try:
            verb(*args)
        except CellsegError as error:
            self.failed.emit(error)
            return False
        return True

    # -- the view --------------------------------------------------------------------------------

    def look(self) -> None:
        """Tell the session which plane is in view."""
        viewer, image, volume = self._viewer(), self._image_layers.image, self._session.volume
        if viewer is None or image is None or volume is None or not self._connected:
            self.looking = None
            return
        axes = self._image_layers.axes
        self.looking = looking_at(viewer, image, axes, image.data.shape[: len(axes)])
        prompts = self._session.prompts
        unanswerable = prompts.active and self._scene.missing  # only the flow field answers
        self._do(prompts.look_at, None if unanswerable else self.looking.plane, self.looking.near)
        if self.looking.solid and self.tool in _MODES:
            self.use(Tool.POINT)
        displayed = (viewer.dims.ndisplay, tuple(viewer.dims.displayed), self._others())
        if displayed != self._displayed:
            self._displayed = displayed
            self.layers.forget_drawn()
            self.layers.draw()
            self.layers.draw_outline()
        self.changed.emit()

    def _others(self) -> tuple[float, ...]:
        frame = self.layers.frame()
        return frame.to_layer((0.0,) * len(frame.label_axes))

    def _plane(self) -> Plane | None:
        if self._look_timer.isActive():
            self._look_timer.stop()
            self.look()
        return None if self.looking is None else self.looking.plane

    def _on_click(self, click: Click) -> None:
        plane = self._plane()
        prompts, looking = self._session.prompts, self.looking
        if looking is None or not prompts.active:
            return
        try:
            place = self._solid(click) if looking.solid else self._flat(click, plane)
            if place is None:
                self.said.emit(f"There is nothing along the line of sight. {RULE}")
            elif click.reopens:
                if prompts.reopen(place) is None:
                    self.said.emit("There is no finished cell to reopen.")
            else:
                positive = not click.negative and self.tool is not Tool.NEGATIVE
                prompts.click(place, positive, plane or self._plane_through(place, looking))
        except CellsegError as error:
            self.failed.emit(error)

    def _flat(self, click: Click, plane: Plane | None) -> tuple[float, ...]:
        layer = self.layers.points
        if plane is None or layer is None:
            raise InputError("This view shows no plane of the image: roll its axes back.")
        frame = self.layers.frame()
        at = frame.to_labels(layer.world_to_data(click.position))
        return plane.position(*plane.pixel(at, frame.label_axes), frame.label_axes)

    def _solid(self, click: Click) -> tuple[float, ...] | None:
        image, prompts = self._image_layers.image, self._session.prompts
        assert image is not None
        assert self.looking is not None
        if not click.reopens:
            if prompts.field.reason:
                raise InputError(prompts.field.reason)
            prompts.settings.in_3d = True
        return voxel_on_ray(self._session, image, self._image_layers.axes, click, self.looking.t)

    def _plane_through(self, place: tuple[float, ...], looking: Looking) -> Plane:
        at = dict(zip(self._session.label_axes, place, strict=True))
        return Plane("xy", round(at.get("z", 0.0)), looking.t)

    # -- the layers ------------------------------------------------------------------------------

    def settle(self) -> None:
        """Have the layers that are needed now, and no others; tell the dock."""
        self._settle_timer.stop()
        if not self._connected:
            return
        prompts, image = self._session.prompts, self._image_layers.image
        if self._deleted or (image is None and (prompts.active or prompts.objects)):
            self._deleted = False
            self._do(prompts.stop)
            self._drop_all()
        wanted = (
            image is not None
            and prompts.preview is not None
            and bool(prompts.active or prompts.objects)
        )
        if self.layers.shown and not (wanted and self.layers.fitting):
            self._remove_layers()
        if wanted and not self.layers.shown:
            self._add_layers()
        self.changed.emit()

    def _drop_all(self) -> None:
        prompts = self._session.prompts
        prompts.next_object()
        if prompts.objects:
            prompts.discard()

    def _add_layers(self) -> None:
        viewer = self._viewer()
        active = viewer.layers.selection.active if viewer is not None else None
        self.layers.show()
        if self.layers.points is None or self.layers.boxes is None:
            return
        self.edits.connect_layers()
        self.clicks.connect(self.layers.points)
        for layer in (self.layers.points, self.layers.boxes):
            self.keys.bind(layer)
        if self._session.prompts.active:
            self.look()
            self.use(self.tool)
        elif viewer is not None and active is not None and active in viewer.layers:
            viewer.layers.selection.active = active

    def _release(self) -> None:
        if self.layers.points is not None and self.layers.boxes is not None:
            self.clicks.disconnect(self.layers.points)
            for layer in (self.layers.points, self.layers.boxes):
                self.keys.unbind(layer)

    def _remove_layers(self) -> None:
        viewer, image = self._viewer(), self._image_layers.image
        in_use = self.layers.in_use
        self._release()
        self._ours = True
        try:
            self.layers.remove()
        finally:
            self._ours = False
        if in_use and viewer is not None:
            last = self._image_layers.cells or image
            if last is not None and last in viewer.layers:
                viewer.layers.selection.active = last

    # -- from the session and the viewer ---------------------------------------------------------

    def settle_soon(self, *_: Any) -> None:
        """Call `settle` on the next turn: a layer may be in the middle of being added."""
        self._settle_timer.start()

    def _on_prompts(self) -> None:
        if self._connected:
            self.layers.draw()
            self.layers.draw_outline()
            self.settle_soon()

    def _on_preview(self, preview: Preview | None) -> None:
        self._follow_preview(preview)
        self._scene.new_image()
        self.settle_soon()
        self._look_timer.start()

    def _follow_preview(self, preview: Preview | None) -> None:
        if self._preview is not None:
            self._preview.changed.disconnect(self._on_region)
        self._preview = preview
        if preview is not None:
            preview.changed.connect(self._on_region)

    def _on_region(self, region: tuple[slice, ...]) -> None:
        self.layers.redraw(region)
        self.layers.draw_outline()

    def _on_view(self, event: Any) -> None:
        if event.type == "ndisplay" and self.layers.outline is not None:
            self.layers.draw_outline()
        if not self._look_timer.isActive():
            self._look_timer.start()

    def _on_active(self, event: Any) -> None:
        active = event.value
        if active is not None and active is self.layers.points and self.tool in _MODES:
            self.tool = Tool.POINT
        elif active is not None and active is self.layers.boxes and self.tool not in _MODES:
            self.tool = Tool.BOX
        self.settle_soon()

    def _on_removed(self, event: Any) -> None:
        if not self._ours and self.layers.owns(event.value):
            self._deleted = True
        self.settle_soon()
