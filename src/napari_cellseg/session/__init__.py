"""The evented state of one viewer, which widgets, CLI and tests all drive; no Qt, no napari."""

from napari_cellseg.session.parameters import Parameters
from napari_cellseg.session.records import Availability, JournalState, Proposal, Status
from napari_cellseg.session.session import Session
from napari_cellseg.session.viewers import session_for

__all__ = [
    "Availability",
    "JournalState",
    "Parameters",
    "Proposal",
    "Session",
    "Status",
    "session_for",
]
