"""The Table dock: measure the cells, find one in the other, save. It holds no logic."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QBoxLayout, QFileDialog, QMessageBox, QWidget

from napari_cellseg.errors import CellsegError
from napari_cellseg.session import Availability
from napari_cellseg.widgets.alive import while_alive
from napari_cellseg.widgets.cell_table_panel import CellTablePanel
from napari_cellseg.widgets.cell_table_regions import drawn_regions, region_layers
from napari_cellseg.widgets.cell_table_work import Measured, Moment
from napari_cellseg.widgets.edit_run import edit_for
from napari_cellseg.widgets.fly_to import fly_to
from napari_cellseg.widgets.session_dock import SessionDock
from napari_cellseg.widgets.source_section import SourceSection
from napari_cellseg.worker import Priority

if TYPE_CHECKING:
    import pandas as pd
    from napari.layers import Shapes
    from napari.viewer import Viewer

    from napari_cellseg.labels import Change, Key, LabelDocument

_SHOWN = 12
"""Regions whose counts are listed; the others are in the saved table."""


class TableDock(SessionDock):
    """Measure cells, and go from a row to its cell and back.

    Parameters
    ----------
    napari_viewer : napari Viewer
        The viewer that the dock belongs to; kept weakly.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.source = SourceSection()  # not shown: it follows the image for a dock that is alone
        self.panel = CellTablePanel()
        # clicks on cells mean the same as in the Edit dock
        self.run = edit_for(self._viewer_now(), self.session, self.layers)
        self.measured: Measured | None = None
        self._of: weakref.ref[LabelDocument] | None = None
        self._stale = self._measuring = self._saving = False
        self._listed: list[weakref.ref[Shapes]] = []
        self.build((self.panel,), 8)
        self._fill()
        self.panel.measure_pressed.connect(self._on_measure)
        self.panel.save_pressed.connect(self._on_save)
        self.panel.selected.connect(self._on_rows)
        self.panel.looked_at.connect(self._on_looked_at)
        self.begin()

    def _fill(self) -> None:
        """Let the table take all the height that there is."""
        body = self.panel.parentWidget()
        column = None if body is None else body.layout()
        if isinstance(column, QBoxLayout):
            column.setStretchFactor(self.panel, 100)

    # -- life ------------------------------------------------------------------------------------

    def join(self) -> None:
        """Follow the image, the labels, and the layers with regions."""
        session = self.session
        self.image.changed.connect(self._on_image)
        self.image.join(self.source)
        session.document_changed.connect(self._on_document)
        session.volume_changed.connect(self._on_volume)
        session.stepped.connect(self._on_step)
        session.selection_changed.connect(self.panel.show_selected)
        session.parameters.events.spacing.connect(self._on_spacing)
        viewer = self._viewer_now()
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._on_layers)
        self.run.join()
        self.run.settle()
        self._on_layers()
        self._on_document(session.document)

    def leave(self) -> None:
        """Follow them no more."""
        session = self.session
        self.image.changed.disconnect(self._on_image)
        self.image.leave(self.source)
        session.document_changed.disconnect(self._on_document)
        session.volume_changed.disconnect(self._on_volume)
        session.stepped.disconnect(self._on_step)
        session.selection_changed.disconnect(self.panel.show_selected)
        session.parameters.events.spacing.disconnect(self._on_spacing)
        self.run.leave()
        viewer = self._viewer()
        if viewer is not None:
            for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
                event.disconnect(self._on_layers)

    # -- what happens elsewhere ------------------------------------------------------------------

    def _on_image(self) -> None:
        self.run.settle()
        self.refresh()

    def _on_document(self, document: LabelDocument | None) -> None:
        if document is not None and self._of is not None and self._of() is document:
            return
        self._of = None if document is None else weakref.ref(document)
        self._show(None)

    def _on_volume(self, volume: object) -> None:
        self._measuring = self._saving = False  # another image ends what was under way
        self._show(None)

    def _on_step(self, change: Change) -> None:
        if not self._stale and self.measured is not None:
            self._stale = True
            self.refresh()

    def _on_spacing(self, spacing: object) -> None:
        if self.measured is not None:
            self._stale = True
            self.refresh()

    def _on_layers(self, event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is None:
            return
        chosen = self._regions()
        layers = region_layers(viewer)
        self._listed = [weakref.ref(layer) for layer in layers]
        current = layers.index(chosen) if chosen in layers else -1
        self.panel.show_regions([layer.name for layer in layers], current)

    def _regions(self) -> Shapes | None:
        index = self.panel.region_index
        return self._listed[index]() if 0 <= index < len(self._listed) else None

    # -- from the panel --------------------------------------------------------------------------

    def _on_measure(self) -> None:
        session, document, ground = self.session, self.session.document, self.run.ground()
        if document is None:
            return
        regions, layer = None, self._regions()
        try:
            if layer is not None and ground is not None:
                regions = drawn_regions(layer, ground)
        except CellsegError as error:
            self._on_failed(error)
            return
        known = session.unit == "µm"
        arguments = {
            "labels": document.labels,
            "axes": document.axes,
            "spacing": session.parameters.spacing,
            "known": known,
            "volume": session.volume,
            "regions": regions,
            "marks": Moment.of(document).objects.marks,
        }
        number = document.number

        def land(measured: Measured) -> None:
            if session.document is document:
                self._show(measured, stale=document.number != number)
                self._say(f"{len(measured.table):,} cells measured")

        def end() -> None:
            self._measuring = False

        self._measuring = True
        self.strip.progress(-1.0, "measuring the cells")
        self._background("measure cells", arguments, land, end)

    def _on_save(self) -> None:
        document, measured = self.session.document, self.measured
        path = None if measured is None else ask_table_path(self, self._suggestion())
        if path is None or measured is None or document is None:
            return
        moment = Moment.of(document) if self.panel.history.isChecked() else None
        arguments = {"path": path, "table": measured.table, "moment": moment}

        def end() -> None:
            self._saving = False

        self._saving = True
        self._background(
            "write table", arguments, lambda written: self._say(f"saved {written.name}"), end
        )

    def _background(
        self,
        name: str,
        arguments: dict[str, Any],
        land: Callable[[Any], None],
        end: Callable[[], None],
    ) -> None:
        def ended(job: object) -> None:
            end()
            if self._connected:
                self.refresh()

        self.session.background(
            name,
            arguments,
            key=(name, id(self)),
            lane="decode" if name == "measure cells" else "files",
            priority=Priority.VIEW,
            land=while_alive(self, land),
            fail=while_alive(self, self._on_failed),
            end=while_alive(self, ended),
        )
        self.refresh()

    def _suggestion(self) -> Path:
        image = self.layers.image
        name = "cells" if image is None else f"{image.name} cells"
        saved = self.session.saved_path
        folder = Path.cwd() if saved is None else saved.parent
        return folder / f"{name}.csv"

    def _on_rows(self, keys: list[Key]) -> None:
        self.session.select(keys)

    def _on_looked_at(self, key: Key) -> None:
        viewer, ground, document = self._viewer(), self.run.ground(), self.session.document
        if viewer is None or ground is None or document is None:
            return
        if not fly_to(viewer, ground, document, key):
            self._say(f"Cell {key[1]} is not there any more: measure again.")

    # -- showing ---------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self._said = text
        self.strip.idle(text)

    def _show(self, measured: Measured | None, stale: bool = False) -> None:
        self.measured, self._stale = measured, stale
        document = self.session.document
        table = None if measured is None else measured.table
        self.panel.model.show(table, timed=document is not None and document.timed)
        header = self.panel.view.horizontalHeader()
        if header is not None and table is not None:
            self.panel.model.sort(header.sortIndicatorSection(), header.sortIndicatorOrder())
        self.panel.view.resizeColumnsToContents()
        self.panel.show_counts([] if measured is None else self._counted(measured.counts))
        self.panel.show_selected(self.session.selected)
        self.refresh()

    def _counted(self, counts: pd.DataFrame | None) -> list[str]:
        if counts is None:
            return []
        unit = "µm²" if self.session.unit == "µm" else "pixel"
        document = self.session.document
        timed = document is not None and document.timed
        lines = [
            f"{f't {t} · ' if timed else ''}{name}: {row.objects:,} cells, "
            f"{row.per_area:.3g} per {unit}"
            for (t, name), row in zip(counts.index, counts.itertuples(), strict=True)
        ]
        more = len(lines) - _SHOWN
        return lines if more <= 0 else [*lines[:_SHOWN], f"and {more:,} more regions"]

    def refresh(self) -> None:
        """Show what can be done, and whether the numbers are of the cells as they are."""
        panel, session = self.panel, self.session
        available = session.can("edit")
        if self._measuring:
            available = Availability(False, "The cells are being measured.")
        panel.measure.set_available(available)
        nothing = "" if self.measured is not None else "Measure the cells first."
        panel.save.set_reason("The table is being saved." if self._saving else nothing)
        count = None if self.measured is None else len(self.measured.table)
        panel.show_count(count, stale=self._stale)
        self.notices.show_sentences(session.notices[-1:])


def ask_table_path(parent: QWidget, suggestion: Path) -> Path | None:
    """Ask where to save a table; what exists is only returned if the user agreed to replace it."""
    chosen, _ = QFileDialog.getSaveFileName(
        parent, "Save the table", str(suggestion), "Tables (*.csv)"
    )
    if not chosen:
        return None
    if chosen.lower().endswith(".csv"):
        return Path(chosen)  # the dialog has asked about a file of this name
    path = Path(f"{chosen}.csv")
    if path.exists():
        question = f"{path.name} exists already. Replace it?"
        answer = QMessageBox.question(parent, "Save the table", question)
        if answer != QMessageBox.StandardButton.Yes:
            return None
    return path
