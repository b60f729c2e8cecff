"""What the Prompt dock says of the state of prompting, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cellseg.prompts.plane_view import Plane
    from napari_cellseg.session import Session

NO_IMAGE = "Open an image first."


@dataclass(frozen=True)
class Ready:
    """Which planes can be clicked: a text, and how many of how many around the one in view."""

    text: str
    done: int
    count: int


def name_of(plane: Plane) -> str:
    """Name a plane as the user sees it."""
    return (
        f"plane {plane.index}"
        if plane.orientation == "xy"
        else (f"{plane.orientation} plane {plane.index}")
    )


def ready(session: Session) -> Ready:
    """Say which planes are encoded."""
    prompts, volume = session.prompts, session.volume
    encoding = prompts.encoding
    view = encoding.view
    if volume is None or view is None or not prompts.active:
        return Ready("no plane in view" if prompts.active else "prompting is off", 0, 1)
    total = volume.sizes.get(view.axes[0], 1)
    around = [
        view.moved(step)
        for step in range(-encoding.ahead, encoding.ahead + 1)
        if 0 <= view.index + step < total
    ]
    done = sum(plane in encoding.ready for plane in around)
    if view in encoding.ready:
        text = f"{name_of(view)}"
        if encoding.running is not None:
            text += f" · encoding {encoding.running.index}"
    elif encoding.problem:
        text = "no: see below"
    elif encoding.running is not None:
        text = f"encoding {name_of(encoding.running)}…"
    else:
        text = "waiting"
    return Ready(text, done, len(around))


def in_hand(session: Session) -> str:
    """Describe the object in hand."""
    prompts = session.prompts
    one, count = prompts.current, len(prompts.objects)
    if one is None:
        others = f"{count} open object{'s' if count != 1 else ''}" if count else ""
        return f"No object in hand{f' · {others}' if others else ''}"
    said = len(one.said)
    parts = [
        f"<b>Object {one.number}</b>"
        if one.label is None
        else f"<b>Cell {one.label}</b>, reopened",
        f"{said} prompt{'s' if said != 1 else ''}",
    ]
    if one.pending is not None:
        parts.append(f"waiting for {name_of(one.pending)}…")
    elif one.voxels:
        parts.append(f"{one.voxels:,} {'pixels' if len(session.label_axes) == 2 else 'voxels'}")
    carried = [
        (part.scores.get("score", 1.0), plane.index)
        for plane, part in one.parts.items()
        if plane is not None and part.source == "through z"
    ]
    if carried:
        score, index = min(carried)
        parts.append(f"through {len(carried) + 1} planes, least sure in {index} ({score:.2f})")
    if count > 1:
        parts.append(f"{count} open")
    return " · ".join(parts)


def stopped(session: Session) -> tuple[str, ...]:
    """Say where the object in hand ended when it was carried through z, and why."""
    one = session.prompts.current
    if one is None:
        return ()
    return tuple(f"Stopped at plane {index}: {why}." for index, why in sorted(one.stops.items()))


def reasons(session: Session, plane: Plane | None, missing: str) -> dict[str, str]:
    """Say of each verb why it cannot be used now; empty where it can."""
    prompts = session.prompts
    found = any(one.parts for one in prompts.objects.values())
    one = prompts.current
    volume = session.volume
    nothing = "" if volume is not None else NO_IMAGE
    through = nothing
    if not through and volume is not None and not volume.is_3d:
        through = "The image has one plane only."
    if not through and (one is None or not any(key is not None for key in one.parts)):
        through = "Click a cell in a plane first."
    everything = nothing or missing
    if not everything and plane is None:
        everything = "Turn to a 2D view of the image first."
    if not everything and not prompts.active:
        everything = "Turn prompting on first."
    model = prompts.encoding.model
    if not everything and model is not None and not model.points:
        everything = f"{model.title} takes no points, which this asks: choose another model."
    return {
        "accept": nothing or ("" if found else "Nothing was found yet: click a cell."),
        "discard": nothing or ("" if prompts.objects else "There is no open object."),
        "next": nothing or ("" if one is not None else "There is no object in hand."),
        "through": through,
        "everything": everything,
        "undo": ""
        if prompts.can_bring_back or prompts.session.can("undo")
        else "Nothing was accepted or discarded yet.",
        "redo": prompts.session.can("redo").reason,
    }
