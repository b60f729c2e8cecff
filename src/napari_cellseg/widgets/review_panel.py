"""The Review dock's parts: how far it is, which are shown, what to do with one, the audit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_cellseg.labels.review import Filters, Progress
from napari_cellseg.widgets.form import ActionButton
from napari_cellseg.widgets.review_keys import shown_key
from napari_cellseg.widgets.review_plot import DoubtPlot
from napari_cellseg.widgets.thin_bar import ThinBar

BUTTONS = {
    "accept": ("accept", "It is right: it is marked as accepted and locked, as one step."),
    "next": ("next", "Leave it as it is and go to the next."),
    "previous": (
        "previous",
        "Go back to the one before; while checking at random, take the last answer back.",
    ),
    "split": ("split", "It is more than one cell: click a point in each part of it."),
    "merge": ("merge", "It is a part only: make one cell of it and the one that it touches most."),
    "delete": ("delete", "It is no cell: delete it."),
    "new": ("add", "A cell is missing here: prompt it, in 3D where there is a flow field."),
    "reopen": ("reopen", "Take it up for prompting again, with the prompts that made it."),
    "skip": ("put off", "Put it off to the end of the list."),
}
_KINDS = {"all": None, "cells": "object", "missing": "missing"}
_STRATA = {"cells": "object", "places": "missing", "empty space": "space"}


class ReviewHead(QWidget):
    """Turns reviewing on and off, and shows how far it is."""

    toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.on = ActionButton(
            "Review",
            "Rank all cells, and places where one may be missing, by how doubtful they are; then "
            "go through them with one key each.",
            primary=True,
        )
        self.on.setCheckable(True)
        self.on.clicked.connect(self.toggled)
        self.state = QLabel()
        self.state.setObjectName("cellseg_name")
        self.state.setWordWrap(True)
        self.counts = QLabel()
        self.bar = ThinBar()
        self.plot = DoubtPlot()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        for part in (self.on, self.state, self.counts, self.bar, self.plot):
            layout.addWidget(part)

    def show_on(self, on: bool, state: str) -> None:
        """Show whether reviewing is on, and what is going on."""
        self.on.setChecked(on)
        self.on.setText("Stop reviewing" if on else "Review")
        self.state.setText(state)
        self.state.setVisible(bool(state))

    def show_progress(self, progress: Progress | None) -> None:
        """Show how many are accepted; None before anything is ranked."""
        for part in (self.counts, self.bar, self.plot):
            part.setVisible(progress is not None)
        if progress is None:
            return
        more = f" · repaired {progress.repaired:,}" if progress.repaired else ""
        self.counts.setText(f"accepted {progress.accepted:,} / {progress.total:,}{more}")
        self.counts.setToolTip(f"{progress.left:,} are left to look at.")
        self.bar.show_fraction(progress.accepted + progress.repaired, progress.total)


class ReviewFilters(QWidget):
    """Which items the list shows."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = QComboBox()
        self.kind.addItems(list(_KINDS))
        self.kind.setToolTip("Cells, places where one may be missing, or both.")
        self.least = QDoubleSpinBox()
        self.least.setRange(0.0, 1.0)
        self.least.setSingleStep(0.05)
        self.least.setKeyboardTracking(False)
        self.least.setPrefix("≥ ")
        self.least.setToolTip("Only what is at least so doubtful.")
        self.border = QCheckBox("at border")
        self.border.setToolTip("Show what touches the border of the image, too.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.kind)
        row.addWidget(self.least)
        row.addStretch(1)
        row.addWidget(self.border)
        self._shown = Filters()
        self.show_filters(self._shown)
        self.kind.activated.connect(self._tell)
        self.least.valueChanged.connect(self._tell)
        self.border.toggled.connect(self._tell)

    def show_filters(self, filters: Filters) -> None:
        """Show filters without reporting them."""
        self._shown = filters
        for part in (self.kind, self.least, self.border):
            part.blockSignals(True)
        self.kind.setCurrentIndex(list(_KINDS.values()).index(filters.kind))
        self.least.setValue(filters.least)
        self.border.setChecked(filters.border)
        for part in (self.kind, self.least, self.border):
            part.blockSignals(False)

    def _tell(self, *_: object) -> None:
        kind = {"cells": "object", "missing": "missing"}.get(self.kind.currentText())
        self.chosen.emit(
            Filters(self.border.isChecked(), self.least.value(), kind, self._shown.t)  # type: ignore[arg-type]
        )


class ReviewButtons(QWidget):
    """What can be done with the item in hand; each says its key."""

    pressed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel()
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self.title.setWordWrap(True)
        self.title.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.go_on = QCheckBox("go on by itself")
        self.go_on.setToolTip("Go to the next once one is accepted, deleted, split or merged.")
        self.buttons: dict[str, ActionButton] = {}
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, (name, (text, tip)) in enumerate(BUTTONS.items()):
            button = self.buttons[name] = ActionButton(text, tip, primary=name == "accept")
            button.clicked.connect(partial(self.pressed.emit, name))
            grid.addWidget(button, place // 3, place % 3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self.title)
        layout.addLayout(grid)
        layout.addWidget(self.go_on)

    def show_item(
        self, title: str, reasons: Mapping[str, str], keys: Mapping[str, str], neighbour: str
    ) -> None:
        """Show what is in hand, what can be done with it, and with whom it would be merged."""
        self.title.setText(title)
        lines = 3 * self.title.fontMetrics().lineSpacing()
        self.title.setMinimumHeight(lines + 4)  # the buttons below stay where they are
        for name, button in self.buttons.items():
            text, tip = BUTTONS[name]
            if name == "merge" and neighbour:
                text = f"{text} +{neighbour}"
            key = shown_key(keys.get(name, ""))
            button.setText(f"{text}  {key}" if key else text)
            button.set_tip(f"{tip}\n\nKey: {key}" if key else tip)
            button.set_reason(reasons.get(name, ""))


class ReviewCheck(QWidget):
    """The audit: random items, right or wrong, and what follows from the answers."""

    toggled = Signal(bool)
    answered = Signal(bool)
    forget = Signal()
    stratum_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.check = ActionButton(
            "Check at random",
            "Look at random ones, whatever the list says of them, and say whether they are right: "
            "that tells how many are wrong, and when you may stop.",
        )
        self.check.setCheckable(True)
        self.of = QComboBox()
        self.of.addItems(list(_STRATA))
        self.of.setToolTip(
            "What is drawn: cells; places where one may be missing; or voxels without a cell."
        )
        self.right = ActionButton("right", "It is right: the cell, or that there is none here.")
        self.wrong = ActionButton("wrong", "It is wrong, or a cell is missing here.")
        self.verdict = QLabel()
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict.setWordWrap(True)
        self.anew = ActionButton("anew", "Drop the answers and draw anew.")
        self.anew.setSizePolicy(self.of.sizePolicy())
        top, below = QHBoxLayout(), QHBoxLayout()
        for row, parts in ((top, (self.check, self.of)), (below, (self.right, self.wrong))):
            row.setSpacing(4)
            for part in parts:
                row.addWidget(part)
        below.addWidget(self.anew)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(top)
        layout.addLayout(below)
        layout.addWidget(self.verdict)
        self.check.clicked.connect(self.toggled)
        self.of.activated.connect(self._on_stratum)
        self.right.clicked.connect(partial(self.answered.emit, False))
        self.wrong.clicked.connect(partial(self.answered.emit, True))
        self.anew.clicked.connect(self.forget)

    @property
    def stratum(self) -> str:
        """What is to be drawn: "object", "missing" or "space"."""
        return _STRATA[self.of.currentText()]

    def show_audit(
        self, auditing: str, verdict: str, reason: str, keys: Mapping[str, str], begun: bool
    ) -> None:
        """Show whether the audit is on, and what it says."""
        self.check.setChecked(bool(auditing))
        self.check.setText("Back to the list" if auditing else "Check at random")
        self.check.set_reason(reason)
        if auditing:
            self.of.setCurrentIndex(list(_STRATA.values()).index(auditing))
        for name, button in (("right", self.right), ("wrong", self.wrong)):
            key = shown_key(keys.get(name, ""))
            button.setText(f"{name}  {key}" if key else name)
            button.setVisible(bool(auditing))
        self.anew.setVisible(begun)
        self.verdict.setText(verdict)
        self.verdict.setVisible(bool(verdict))

    def _on_stratum(self, index: int) -> None:
        if self.check.isChecked():
            self.stratum_chosen.emit()
