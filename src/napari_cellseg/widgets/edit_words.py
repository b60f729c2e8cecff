"""Steps, cells and how they came to be, in a few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_cellseg.labels import Key, LabelDocument, Step

_FEW = 3


def listed(ids: Iterable[int], few: int = _FEW) -> str:
    """List a few ids, and how many more there are."""
    all_of = list(ids)
    shown = ", ".join(str(one) for one in all_of[:few])
    return f"{shown} and {len(all_of) - few:,} more" if len(all_of) > few else shown


def step_words(step: Step) -> str:
    """Name a step: what was done, and to which cells."""
    given = step.info.get("ids") or ([step.info["id"]] if "id" in step.info else [])
    ids = [int(one) for one in given] or [id for _, id in step.keys]
    name = f"{step.info['class']}:" if step.info.get("class") else ""
    return " ".join(part for part in (step.kind, name, listed(ids)) if part)


def clock(when: datetime) -> str:
    """The time of day here, with the date where that is not today's."""
    local = when.astimezone()
    same = local.date() == datetime.now(UTC).astimezone().date()
    return local.strftime("%H:%M" if same else "%d %b %H:%M")


def size_words(document: LabelDocument, key: Key, known: bool) -> str:
    """Say how large a cell is: voxels, and the lengths of its box."""
    t, id = key
    voxels = document.objects.voxels(id, t)
    box = document.objects.box(id, t)
    flat = len(box) == 2
    count = f"{voxels:,} {'pixels' if flat else 'voxels'}"
    lengths = np.array([part.stop - part.start for part in box], float)
    if known:
        lengths *= document.spacing[-len(box) :]
    sides = " × ".join(f"{length:.3g}" for length in lengths)
    return f"{count} · {sides} {'µm' if known else 'pixels' if flat else 'voxels'}"


def several_words(document: LabelDocument, keys: Sequence[Key]) -> str:
    """Say how large cells are together."""
    voxels = sum(document.objects.voxels(id, t) for t, id in keys)
    flat = "z" not in document.axes
    return f"{voxels:,} {'pixels' if flat else 'voxels'} together"


def origin_words(document: LabelDocument, key: Key) -> str:
    """Say in a line how a cell came to be and what was done to it since."""
    edits, last = 0, None
    for step in reversed(document.history):
        if key not in step.keys:
            continue
        if key in step.born:
            made = f"{step.kind}, {_maker(step.source)}, {clock(step.when)}"
            return _with_edits(made, edits, last)
        edits += 1
        last = last or step
    source = document.meta.get("source") or ""
    made = f"there from the start ({source})" if source else "there from the start"
    return _with_edits(made, edits, last)


def _with_edits(made: str, edits: int, last: Step | None) -> str:
    if last is None:
        return made
    count = "edited once" if edits == 1 else f"edited {edits} times"
    return f"{made} · {count}, last: {last.kind}"


def _maker(source: str) -> str:
    return "by hand" if source == "user" else f"by {source}"
