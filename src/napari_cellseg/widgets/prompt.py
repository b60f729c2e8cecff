"""The Prompt dock: click a cell, get its outline. It drives the session and holds no logic."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QWidget

from napari_cellseg.prompts.ray import RULE
from napari_cellseg.prompts.registry import available_predictors, predictor_info
from napari_cellseg.widgets.prompt_files import SUFFIXES, ask_model_files
from napari_cellseg.widgets.prompt_keys import ACTIONS
from napari_cellseg.widgets.prompt_model import PromptModel
from napari_cellseg.widgets.prompt_objects import PromptObjects
from napari_cellseg.widgets.prompt_run import PromptRun
from napari_cellseg.widgets.prompt_scene import PromptScene
from napari_cellseg.widgets.prompt_show import NO_IMAGE, in_hand, ready, reasons, stopped
from napari_cellseg.widgets.prompt_source import PromptSource
from napari_cellseg.widgets.prompt_tools import PromptTools, Tool
from napari_cellseg.widgets.session_dock import SessionDock

if TYPE_CHECKING:
    from napari.viewer import Viewer


NO_WEIGHTS = "The model's weights are missing: see above."


class PromptDock(SessionDock):
    """Prompt cells by clicks, boxes and drawings, in 2D and through 3D.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer that the dock belongs to; kept weakly.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.source = PromptSource()
        self.model = PromptModel()
        self.tools = PromptTools()
        self.objects = PromptObjects()
        self.build((self.source, self.model, self.tools, self.objects), 9)
        viewer = self._viewer_now()
        self.scene = PromptScene(viewer, self.session, self.layers, self)
        self.run = PromptRun(viewer, self.session, self.layers, self.scene, self)
        self.setAcceptDrops(True)
        self.model.show_models(available_predictors(), self.session.prompts.settings.model)
        self._listed = dict(self.run.keys.keys)
        self.objects.show_keys(self._listed, ACTIONS)
        self._connect_parts()
        self.begin()

    # -- life ------------------------------------------------------------------------------------

    def join(self) -> None:
        """Follow the settings, the image and what is prompted."""
        self.session.prompts.settings.changed.connect(self._on_setting)
        self.session.prompts.prompts_changed.connect(self._on_prompts)
        self.image.changed.connect(self._on_image)
        self.run.connect_session()
        self.scene.connect_session()
        self.image.join(self.source)

    def leave(self) -> None:
        """Follow them no more."""
        self.session.prompts.settings.changed.disconnect(self._on_setting)
        self.session.prompts.prompts_changed.disconnect(self._on_prompts)
        self.image.changed.disconnect(self._on_image)
        self.run.disconnect_session()
        self.scene.disconnect_session()
        self.image.leave(self.source)

    def stop(self) -> None:
        """Prompt no more, and leave no timer behind."""
        self.run.stop()
        self.scene.stop()

    def taken_out(self) -> None:
        """Take the layers along."""
        self.run.leave_layers()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take model files."""
        if event is not None and _model_files(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802 - Qt's name
        """Use model files that were dropped."""
        if event is not None:
            event.acceptProposedAction()
            self.scene.use_files(_model_files(event))

    def _connect_parts(self) -> None:
        run, scene = self.run, self.scene
        for part in (run, scene):
            part.failed.connect(self._on_refused)
            part.said.connect(self._on_said)
            part.changed.connect(self.refresh)
        self.source.channels_chosen.connect(scene.use_channels)
        self.model.model_chosen.connect(scene.use_model)
        self.model.file_asked.connect(self._on_file)
        self.model.download.connect(scene.download)
        self.model.follow_toggled.connect(scene.follow_contrast)
        self.model.take_contrast.connect(scene.take_contrast)
        self.model.show_picture.connect(scene.picture)
        self.tools.prompting_toggled.connect(self._on_prompting)
        self.tools.tool_chosen.connect(self._on_tool)
        self.tools.several_toggled.connect(partial(self._set, "several"))
        self.tools.in_3d_toggled.connect(partial(self._set, "in_3d"))
        self.objects.overwrite_toggled.connect(partial(self._set, "overwrite"))
        self.objects.asked.connect(run.press)
        self.objects.candidate_chosen.connect(run.choose)

    # -- from the controls -----------------------------------------------------------------------

    def _on_prompting(self, on: bool) -> None:
        self._said = ""
        if on:
            self.run.start()
        else:
            self.run.stop_prompting()
        self.refresh()

    def _on_tool(self, tool: Tool) -> None:
        if not self.session.prompts.active:
            self.run.tool = tool
            if not self._without_model(self.scene.missing):
                self.run.start()
            self.refresh()
        else:
            self.run.use(tool)

    def _on_file(self) -> None:
        self.scene.use_files(ask_model_files(self))

    def _set(self, name: str, value: bool) -> None:
        setattr(self.session.prompts.settings, name, value)

    # -- from the session ------------------------------------------------------------------------

    def _on_image(self) -> None:
        self.run.settle_soon()
        self.refresh()

    def _on_prompts(self) -> None:
        """What was refused before is past: something else was done."""
        self._said = ""
        self._on_status(self.session.status)

    def _on_setting(self, name: str) -> None:
        if name in ("model", "checkpoint"):
            self.run.look()
        self.refresh()

    def _on_refused(self, error: Exception) -> None:
        """Something just asked for cannot be done: said here, without a notification."""
        self.strip.error(str(error))

    def _on_said(self, sentence: str) -> None:
        self._said = sentence
        if not self.session.busy:
            self.strip.idle(sentence)

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what is prompted, what can be done, and why not."""
        if not self._connected:
            return
        session, prompts = self.session, self.session.prompts
        settings, looking = prompts.settings, self.run.looking
        missing = self.scene.missing
        no_image = NO_IMAGE if self.layers.image is None else ""
        self.source.show_channels(settings.channels)
        files = settings.checkpoint
        named = () if files is None else files if isinstance(files, tuple) else (files,)
        self.model.show_model(settings.model, [file.name for file in named])
        self.model.show_missing(missing, predictor_info(settings.model).url is not None)
        planes = ready(session)
        self.model.show_ready(planes.text, planes.done, planes.count)
        self.model.show_follow(self.scene.follow)
        rgb = session.volume is not None and session.volume.rgb
        colours = no_image or ("Colours are shown as they are." if rgb else "")
        self.model.take.set_reason(colours)
        plane = looking.plane if looking is not None else None
        picture = no_image or ("" if plane is not None else "Turn to a 2D view of the image first.")
        self.model.picture.set_reason(picture or (missing and prompts.active and NO_WEIGHTS) or "")
        self.tools.prompt.set_reason(no_image or self._without_model(missing))
        self.tools.show_prompting(prompts.active, self._state())
        self.tools.show_tool(self.run.tool)
        self._show_tools(no_image, looking is not None and looking.solid)
        self.tools.show_several(settings.several)
        self.tools.show_in_3d(settings.in_3d, prompts.field.reason, RULE)
        self.objects.show_object(in_hand(session))
        self.objects.show_candidates(prompts.candidates, prompts.chosen)
        self.objects.show_reasons(reasons(session, plane, missing))
        self.objects.show_overwrite(settings.overwrite)
        if self._listed != self.run.keys.keys:
            self._listed = dict(self.run.keys.keys)
            self.objects.show_keys(self._listed, ACTIONS)
        one = prompts.current
        said = session.notices[-1:] if session.notices else ()
        problem = one.problem if one is not None else ""
        self.notices.show_sentences([problem, *stopped(session), *said, *self.run.key_problems])

    def _without_model(self, missing: str) -> str:
        """Why prompting cannot begin: neither a model nor a field answers."""
        field = self.session.prompts.field
        if self.session.prompts.active or not missing or not field.reason:
            return ""
        return NO_WEIGHTS

    def _show_tools(self, no_image: str, solid: bool) -> None:
        facts = self.session.prompts.encoding.model
        for tool, button in self.tools.tools.items():
            reason = no_image
            if not reason and solid and tool in (Tool.BOX, Tool.SCRIBBLE, Tool.LASSO):
                reason = "In a 3D view there are only points."
            if not reason and facts is not None:
                able = {Tool.BOX: facts.box, Tool.SCRIBBLE: facts.mask, Tool.LASSO: facts.mask}
                if not able.get(tool, facts.points) and not self.session.prompts.settings.in_3d:
                    reason = f"{facts.title} does not take these."
            button.set_reason(reason)

    def _state(self) -> str:
        prompts, looking = self.session.prompts, self.run.looking
        if not prompts.active:
            count = len(prompts.objects)
            return f"Off; {count} open object{'s' if count != 1 else ''} kept." if count else ""
        if not self.run.layers.in_use:
            return "Paused, because another layer is selected: choose a tool to go on."
        if looking is not None and looking.solid:
            return prompts.field.reason or RULE
        if prompts.waiting:
            return "Working…"
        if self.scene.missing and not prompts.settings.in_3d:
            return NO_WEIGHTS
        return "On: click the cells in the image; drag to move the view."


def _model_files(event: QDropEvent) -> list[Path]:
    data = event.mimeData()
    urls = data.urls() if data is not None else []
    files = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
    return [file for file in files if file.suffix.lower() in SUFFIXES]
