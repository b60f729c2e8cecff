"""Small immutable records that a session hands out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_cellseg.flows import Segmentation

Region = tuple[slice, ...]


@dataclass(frozen=True)
class Status:
    """What the status strip shows.

    Attributes
    ----------
    text : str
        A few words.
    fraction : float or None
        Progress in [0, 1]; None where it is unknown or nothing runs.
    busy : bool
    operation : str
        The verb that runs ("open", "try", "segment", "relabel", "apply", "save", "adopt",
        "recover", "estimate_diameter", or of prompts "through z", "everything", "picture",
        "download"), "" when idle.
    """

    text: str = "Open an image to begin."
    fraction: float | None = None
    busy: bool = False
    operation: str = ""


@dataclass(frozen=True)
class Availability:
    """Whether a verb can be used now, and if not, why: one sentence for a tooltip."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True)
class JournalState:
    """What of the labels' history is durable.

    Attributes
    ----------
    folder : Path or None
        Where the journal is; None where there is none (yet).
    saved : bool
        Whether every step so far would survive a crash.
    when : datetime or None
        When the last step became durable, in UTC.
    steps : int
        Steps that can be undone.
    trouble : str
        What keeps steps from being saved now; "" where nothing does.
    """

    folder: Path | None = None
    saved: bool = False
    when: datetime | None = None
    steps: int = 0
    trouble: str = ""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Labels that are shown but not applied yet.

    Attributes
    ----------
    labels : ndarray of uint32
        Over `region` only, or over everything where that is None.
    offset : tuple of int
        Of the first voxel, in voxels along the label axes.
    region : tuple of slice or None
    kind : {"try", "relabel", "segment"}
    segmentation : Segmentation
        What the labels come from; its field can be labelled anew.
    settings : dict
        The session's parameters that made them, by name.
    """

    labels: NDArray[np.uint32]
    offset: tuple[int, ...]
    region: Region | None
    kind: Literal["try", "relabel", "segment"]
    segmentation: Segmentation
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Run:
    """A segmentation, where it lies, and the session's parameters that made it."""

    segmentation: Segmentation
    region: Region | None
    settings: dict[str, Any]
