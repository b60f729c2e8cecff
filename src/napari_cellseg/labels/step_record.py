"""Steps as headers of their records, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from napari_cellseg.labels.edit import Key, Step


def header_from(step: Step) -> dict[str, Any]:
    """Return a step as a header of its record."""
    bounds = None if step.region is None else [[part.start, part.stop] for part in step.region]
    return {
        "kind": step.kind,
        "source": step.source,
        "when": step.when.isoformat(),
        "user": step.user,
        "info": step.info,
        "region": bounds,
        "count": step.count,
        "spared": step.spared,
        "born": step.born,
    }


def step_from(header: Mapping[str, Any], keys: tuple[Key, ...], number: int) -> Step:
    """Return the step of a record's header; the opposite of `header_from`."""
    bounds = header["region"]
    return Step(
        number,
        header["kind"],
        header["source"],
        datetime.fromisoformat(header["when"]),
        header["user"],
        header["info"],
        None if bounds is None else tuple(slice(a, b) for a, b in bounds),
        keys,
        header["count"],
        header["spared"],
        tuple((t, label) for t, label in header["born"]),
    )
