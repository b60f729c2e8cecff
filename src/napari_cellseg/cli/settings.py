"""Whether labels that are there were made with the settings of this run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_cellseg.volume.tiff import recipe_of_tiff

_COMPARED = ("model", "channel", "diameter", "probability", "min_size", "flow_error", "fusion")


def other_settings(labels: Path, wanted: Mapping[str, Any]) -> list[str]:
    """Name the settings that differ from those in the recipe of a label file.

    Parameters
    ----------
    labels : Path
        A TIFF; one without a recipe differs in nothing that could be told.
    wanted : mapping
        Parameters of this run; None, which leaves the choice to the engine, differs from nothing.
    """
    metadata = (recipe_of_tiff(labels) or {}).get("metadata")
    if not isinstance(metadata, dict):
        return []
    asked, used = metadata.get("parameters"), metadata.get("result")
    recorded = [one for one in (asked, used) if isinstance(one, dict)]
    return [
        name
        for name in _COMPARED
        if wanted.get(name) is not None
        and any(name in one for one in recorded)
        and not any(_same(one.get(name), wanted[name]) for one in recorded)
    ]


def _same(recorded: Any, wanted: Any) -> bool:
    if isinstance(recorded, int | float) and isinstance(wanted, int | float):
        return math.isclose(recorded, wanted, rel_tol=1e-6)
    return bool(recorded == wanted)
