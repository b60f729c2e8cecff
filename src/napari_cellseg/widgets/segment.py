"""The Segment dock: open, try, run, refine, save. It drives the session and holds no logic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cellseg.networks import available_networks
from napari_cellseg.widgets.model_section import ModelSection
from napari_cellseg.widgets.region_run import RegionRun
from napari_cellseg.widgets.region_section import RegionSection
from napari_cellseg.widgets.result_section import ResultSection
from napari_cellseg.widgets.segment_run import SegmentRun
from napari_cellseg.widgets.session_dock import SessionDock
from napari_cellseg.widgets.source_section import SourceSection

if TYPE_CHECKING:
    from napari.viewer import Viewer

NOTICES_SHOWN = 3
ASKED = ("Spacing ", "Axes ")  # said to callers of the API; the dock has fields to ask with


def latest(sentences: Iterable[str]) -> Iterable[str]:
    """Return the newest of sentences that differ only in their numbers, in order of speaking."""
    newest: dict[str, str] = {}
    for sentence in sentences:
        saying = re.sub(r"\d+(\.\d+)?", "#", sentence)
        newest.pop(saying, None)
        newest[saying] = sentence
    return newest.values()


class SegmentDock(SessionDock):
    """Segment cells in 2D, 3D and 3D+t.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer that the dock belongs to; kept weakly.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.source = SourceSection()
        self.model = ModelSection()
        self.regions = RegionSection()
        self.result = ResultSection()
        what = QWidget()
        column = QVBoxLayout(what)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.model)
        column.addWidget(self.regions)
        self.build((self.source, what, self.result), 10)
        self.run = SegmentRun(
            self._viewer_now(), self.session, self.layers, self.model, self.result, self
        )
        viewer = self._viewer_now()
        self.region_run = RegionRun(viewer, self.session, self.layers, self.regions, self)
        self.region_run.failed.connect(self._on_failed)
        self.run.failed.connect(self._on_failed)
        self.run.changed.connect(self.refresh)
        self.model.show_models(available_networks(), self.session.parameters.model)
        self.begin()

    # -- life ------------------------------------------------------------------------------------

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802 - Qt's name
        """Stop measuring; see `SessionDock.hideEvent`."""
        super().hideEvent(event)
        self.run.measure.stop()

    def join(self) -> None:
        """Follow the image and the runs."""
        self.image.changed.connect(self.refresh)
        self.run.connect_session()
        self.region_run.connect_session()
        self.image.join(self.source)

    def leave(self) -> None:
        """Follow them no more."""
        self.image.changed.disconnect(self.refresh)
        self.run.disconnect_session()
        self.region_run.disconnect_session()
        self.image.leave(self.source)

    def stop(self) -> None:
        """Leave no timer and no measuring behind."""
        self.run.stop()
        self.region_run.stop()

    # -- showing ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show what can be done, and what is to be said."""
        problem = self.image.problem or self.run.problem
        can, model, result = self.session.can, self.model, self.result
        no_image = "open an image first." if self.image.image is None else ""
        model.try_button.set_available(can("try"), problem)
        model.segment_button.set_available(can("segment"), problem)
        model.measure.set_reason(no_image)
        result.set_sliders_enabled(no_image)
        result.apply_button.set_available(can("apply"))
        result.discard_button.set_available(can("discard"))
        result.undo_button.set_available(can("undo"))
        result.adopt_button.set_available(can("adopt"), no_image)
        result.save_button.set_available(can("save"))
        result.show_field(can("save_field"), can("open_field"))
        self.region_run.refresh(problem)
        self._show_notices()

    def _show_notices(self) -> None:
        typed = self.run.problem or (self.image.problem if self.image.image is not None else "")
        said = [s for s in latest(self.session.notices) if not s.startswith(ASKED)]
        newest_first = reversed(said[-NOTICES_SHOWN:])
        self.notices.show_sentences([typed, *newest_first, self.image.asks_for])
