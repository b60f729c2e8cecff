"""What the tools of the Edit dock do to the session's labels, with or without a preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.widgets.edit_preview import picture
from napari_cellseg.widgets.edit_words import step_words

if TYPE_CHECKING:
    from napari_cellseg.labels import Key, LabelDocument
    from napari_cellseg.prompts.plane_view import Plane
    from napari_cellseg.session import Session
    from napari_cellseg.widgets.preview_layer import PreviewLayer

Slices = tuple[slice, ...]
NO_PLANE = "This needs a plane: turn to a 2D view of the cells."
_DRAWING = ("new object", "paint", "replace slice")


@dataclass
class EditSettings:
    """How the tools work.

    Attributes
    ----------
    plane_only : bool
        Only what lies in the plane in view, not whole cells.
    amount : float
        To grow, shrink and smooth by, in the session's unit.
    planes : int
        So many planes on either side of the one in view are drawn in, too.
    at_once : bool
        Apply without a preview.
    by_flow : bool
        Split along the flow field, not by shape.
    """

    plane_only: bool = False
    amount: float = 1.0
    planes: int = 0
    at_once: bool = False
    by_flow: bool = False


@dataclass(frozen=True)
class Pending:
    """A change that is shown, but not made."""

    verb: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    text: str


class EditVerbs:
    """Changes of the session's labels that the user asks for.

    Parameters
    ----------
    session : Session
    preview : PreviewLayer
    plane : callable
        Gives the plane in view, or None.
    time : callable
        Gives the time point in view.
    """

    changed: ClassVar[Signal] = Signal()
    failed: ClassVar[Signal] = Signal(Exception)
    said: ClassVar[Signal] = Signal(str)

    def __init__(
        self,
        session: Session,
        preview: PreviewLayer,
        plane: Callable[[], Plane | None],
        time: Callable[[], int],
    ) -> None:
        self._session = session
        self._preview = preview
        self._plane = plane
        self._time = time
        self.settings = EditSettings()
        self.pending: Pending | None = None

    # -- preview ---------------------------------------------------------------------------------

    def apply(self) -> bool:
        """Make the change that is shown; return whether there was one."""
        pending = self.pending
        if pending is None:
            return False
        self.drop()
        self._make(pending.verb, pending.arguments, pending.options)
        return True

    def drop(self) -> bool:
        """Show it no more; return whether there was one."""
        if self.pending is None:
            return False
        self.pending = None
        self._preview.hide()
        self.changed.emit()
        return True

    def _show(self, verb: str, *arguments: Any, **options: Any) -> None:
        """Show what a verb would change, or change it where the user wants no preview."""
        if self.settings.at_once:
            self.drop()
            self._make(verb, arguments, options)
            return
        session = self._session
        edits = session.change(verb, *arguments, preview=True, **options)
        if not edits or session.document is None:
            self.drop()
            if edits is not None:
                self.said.emit("Nothing would change.")
            return
        split = None
        if verb in ("split", "cut", "split_components"):
            t = options.get("t") or 0
            box = session.document.objects.box(arguments[0], t)
            timed = (slice(t, t + 1),) if session.document.timed else ()
            split = {arguments[0]: (*timed, *box)}
        shown = picture(session.document.labels, edits, split)
        self._preview.show(shown)
        words = shown.words("z" not in session.document.axes)
        self.pending = Pending(verb, arguments, options, words)
        self.changed.emit()

    def _make(self, verb: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        session, document = self._session, self._document()
        before = document.number
        result = session.change(verb, *arguments, **options)
        if session.last_error is not None:
            return
        if document.number == before:
            self.said.emit("Nothing changed.")
            return
        t = options.get("t") or 0
        if isinstance(result, list):
            session.select((t, id) for id in result)
        elif isinstance(result, int):
            session.select([(t, result)])
        step = document.history[-1]
        spared = f"; {step.spared:,} voxels of locked cells stay as they are" if step.spared else ""
        self.said.emit(f"{step_words(step)}{spared}")

    # -- what is selected ------------------------------------------------------------------------

    def act(self, tool: str) -> None:
        """Do what a tool does at once, to what is selected."""
        keys = self._session.selected
        verbs: dict[str, Callable[[Sequence[Key]], None]] = {
            "delete": self.delete,
            "lock": self.toggle_lock,
            "merge": self.merge,
            "pieces": lambda chosen: self._of_one("split_components", chosen),
            "fill": lambda chosen: self._of_all("fill_holes", chosen),
            "largest": lambda chosen: self._of_all("keep_largest", chosen),
            "smooth": lambda chosen: self._of_all("smooth", chosen, **self._amount("width")),
            "grow": lambda chosen: self._of_all("grow", chosen, **self._amount("distance")),
            "shrink": lambda chosen: self._of_all("shrink", chosen, **self._amount("distance")),
            "interpolate": self.interpolate,
            "relabel": lambda chosen: self.relabel(),
        }
        try:
            verbs[tool](keys)
        except InputError as error:
            self.failed.emit(error)

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete cells, or what of them lies in the plane."""
        self.drop()
        self._make("delete", (list(keys),), self._in_plane())

    def toggle_lock(self, keys: Sequence[Key]) -> None:
        """Lock cells; unlock them where all are locked."""
        document = self._document()
        locked = all(document.is_locked(id, t) for t, id in keys)
        self.drop()
        self._make("unlock" if locked else "lock", (list(keys),), {})

    def set_class(self, keys: Sequence[Key], name: str) -> None:
        """Give cells a class; "" takes it away."""
        self.drop()
        self._make("set_class", (list(keys), name.strip() or None), {})

    def merge(self, keys: Sequence[Key]) -> None:
        """Make one cell of several."""
        if len(keys) < 2:
            raise InputError("Select two cells or more to merge them.")
        self.drop()
        self._make("merge", (list(keys),), self._where(keys))

    def transfer(self, source: LabelDocument) -> None:
        """Add the cells of another document, at the time point in view."""
        self.drop()
        self._make("transfer", (source,), {"t": self._when()})

    def relabel(self) -> None:
        """Number the cells of the time point in view."""
        self.drop()
        self._make("relabel", (), {"t": self._when()})

    def interpolate(self, keys: Sequence[Key]) -> None:
        """Fill a cell between drawn slices."""
        key = self._one(keys)
        plane = self._plane()
        orientation = "xy" if plane is None else plane.orientation
        drawn = drawn_slices(self._document(), key, orientation)
        slices = drawn if len(drawn) > 1 else None
        options = {"slices": slices, "orientation": orientation, "t": self._when(key)}
        self._show("interpolate", key[1], **options)

    # -- what is drawn or clicked ----------------------------------------------------------------

    def split(self, key: Key, seeds: Sequence[Sequence[float]]) -> None:
        """Split a cell by points in it, ([z,] y, x)."""
        options: dict[str, Any] = self._where([key])
        if self.settings.by_flow and not self.no_flow:
            segmentation = self._session.segmentation
            options["flow"] = None if segmentation is None else segmentation.field
        self._show("split", key[1], [list(seed) for seed in seeds], **options)

    def cut(self, key: Key, line: NDArray[np.float64], plane: Plane) -> None:
        """Cut a cell along a line of (row, col) in a plane."""
        options = {"plane": plane, "through": not self.settings.plane_only, "t": self._when(key)}
        self._show("cut", key[1], line=line, **options)

    def cut_through(self, key: Key, point: Sequence[float], normal: Sequence[float]) -> None:
        """Cut a cell by a plane through a point."""
        self._show("cut", key[1], point=point, normal=normal, t=self._when(key))

    def new(self, region: Slices, mask: NDArray[np.bool_]) -> None:
        """Make a cell of a drawing; both over all axes of the labels."""
        self.drop()
        box, drawn = self._spread(region, mask)
        self._make("new_object", (box, drawn), {"t": self._when()})

    def add(self, key: Key, region: Slices, mask: NDArray[np.bool_]) -> None:
        """Add a drawing to a cell."""
        self.drop()
        box, drawn = self._spread(region, mask)
        self._make("paint", (key[1], box, drawn), {"t": self._when(key)})

    def erase(self, keys: Sequence[Key], region: Slices, mask: NDArray[np.bool_]) -> None:
        """Erase a drawing, of some cells or of all."""
        self.drop()
        box, drawn = self._spread(region, mask)
        ids = [id for t, id in keys if t == self._time()] or None
        self._make("erase", (box, drawn), {"ids": ids, "t": self._when()})

    def replace(
        self, key: Key, plane: Plane, region: tuple[slice, slice], mask: NDArray[np.bool_]
    ) -> None:
        """Give a cell another outline in a plane."""
        self.drop()
        self._make("replace_slice", (key[1], plane, mask, region), {"t": self._when(key)})

    # -- inside ----------------------------------------------------------------------------------

    @property
    def no_flow(self) -> str:
        """Why cells cannot be split along the flow field; empty if they can."""
        segmentation, document = self._session.segmentation, self._session.document
        if segmentation is None:
            return "There is no flow field: segment first."
        if document is not None and (
            tuple(segmentation.field.spatial_shape) != document.labels.shape[document.timed :]
        ):
            return "The flow field covers a part of the image only: segment all of it."
        if getattr(segmentation.field, "stitched", False):
            return "Planes that are joined by overlap have no 3D flow: segment in 3D."
        return ""

    def _of_all(self, verb: str, keys: Sequence[Key], **options: Any) -> None:
        self._show(verb, list(keys), **options, **self._where(keys))

    def _of_one(self, verb: str, keys: Sequence[Key]) -> None:
        key = self._one(keys)
        self._show(verb, key[1], **self._where([key]))

    def _one(self, keys: Sequence[Key]) -> Key:
        if len(keys) != 1:
            raise InputError("Select one cell for this: click it.")
        return keys[0]

    def _document(self) -> LabelDocument:
        document = self._session.document
        if document is None:
            raise InputError(self._session.can("edit").reason)
        return document

    def _when(self, key: Key | None = None) -> int | None:
        """The time point as the verbs want it: None where labels have no time."""
        if not self._document().timed:
            return None
        return self._time() if key is None else key[0]

    def _in_plane(self) -> dict[str, Any]:
        if not self.settings.plane_only:
            return {}
        plane = self._plane()
        if plane is None:
            raise InputError(NO_PLANE)
        return {"plane": plane}

    def _where(self, keys: Sequence[Key]) -> dict[str, Any]:
        return {"t": self._when(keys[0]) if keys else self._when(), **self._in_plane()}

    def _amount(self, name: str) -> dict[str, float]:
        return {name if self._session.unit == "µm" else "voxels": self.settings.amount}

    def _spread(self, region: Slices, mask: NDArray[np.bool_]) -> tuple[Slices, Any]:
        """Return a drawing over the spatial axes, in as many planes as are wanted."""
        document, plane = self._document(), self._plane()
        spatial = document.axes.replace("t", "")
        box, drawn = list(region[document.timed :]), mask[0] if document.timed else mask
        across = "z" if plane is None else plane.axes[0]
        if self.settings.planes and across in spatial:
            axis = spatial.index(across)
            size, at = document.labels.shape[document.timed + axis], box[axis].start
            more = self.settings.planes
            box[axis] = slice(max(0, at - more), min(size, at + more + 1))
            drawn = np.broadcast_to(drawn, [part.stop - part.start for part in box])
        return tuple(box), np.ascontiguousarray(drawn)


def drawn_slices(document: LabelDocument, key: Key, orientation: str) -> list[int]:
    """Return in which slices a cell was drawn since it was last filled in between, rising."""
    from napari_cellseg.prompts.plane_view import AXES

    axis = document.axes.index(AXES[orientation][0])
    found: set[int] = set()
    for step in reversed(document.history):
        if key not in step.keys:
            continue
        if step.kind == "interpolate":
            break
        if step.kind in _DRAWING and step.region is not None:
            part = step.region[axis]
            if part.stop - part.start == 1:
                found.add(part.start)
        if key in step.born:
            break
    return sorted(found)
