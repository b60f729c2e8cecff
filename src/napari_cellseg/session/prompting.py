"""Prompting: what a viewer's user points at, and what comes of it. No Qt, no napari."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels import Mark
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session.prompt_input import PromptInput
from napari_cellseg.session.prompt_object import Part, PromptObject, around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.labels import Change
    from napari_cellseg.session.session import Session


class Prompting(PromptInput):
    """Objects that are prompted in one session, one of them in hand.

    Everything acts at once: a prompt is answered as soon as its plane is encoded, and the answer is
    shown in `preview` until it is accepted into the labels or discarded.

    Attributes
    ----------
    active : bool
        Whether prompting is on: planes are encoded ahead only then.
    settings : PromptSettings
    encoding : PlaneEncoding
    preview : Preview or None
        None without an image.
    commits : Commits
    objects : dict of int to PromptObject
        Open ones by number.
    current : PromptObject or None
        The one in hand, which further prompts belong to.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._committing = False
        self._document = session.document
        session.volume_changed.connect(self._on_volume)
        session.labels_changed.connect(self._on_labels)
        session.result_changed.connect(self._on_result)
        self._accept_later: set[int] = set()
        self._thrown: list[PromptObject] = []
        self.changed.connect(self._on_changed)
        session.status_changed.connect(self._on_changed)
        session.parameters.events.spacing.connect(self._on_spacing)
        self._on_volume(session.volume)

    # -- the view --------------------------------------------------------------------------------

    def start(self) -> None:
        """Turn prompting on: the plane in view is encoded, then its neighbours."""
        with self._lock:
            self._activate()
            if self.settings.in_3d:
                self.prepare_3d()
            self.changed.emit()

    def stop(self) -> None:
        """Turn prompting off; open objects stay."""
        with self._lock:
            view, near = self.encoding.view, self.encoding.near
            self.active = False
            self._put_off()
            self.encoding.stop()
            self.encoding.view, self.encoding.near = view, near
            self.changed.emit()

    def look_at(self, plane: Plane | None, near: tuple[float, float] | None = None) -> None:
        """Say which plane is in view, and which pixel is in its middle.

        Raises
        ------
        InputError
            If the image has no such plane.
        """
        if plane is not None:
            plane.within(self._volume())
        with self._lock:
            self.encoding.look_at(plane, near)

    # -- objects ---------------------------------------------------------------------------------

    def cycle(self, step: int = 1) -> int:
        """Show the next candidate of the last prompt; return which, 0 is the best."""
        with self._lock:
            one, plane = self.current, self.last_plane
            if one is None or plane is None or plane not in one.answers:
                return 0
            count = len(one.answers[plane])
            if count < 2:
                return 0
            return self._choose(one, plane, (one.choice.get(plane, 0) + step) % count)

    def choose(self, index: int) -> int:
        """Show one candidate of the last prompt, 0 is the best; return which is shown."""
        with self._lock:
            one, plane = self.current, self.last_plane
            if one is None or plane is None or plane not in one.answers:
                return 0
            count = len(one.answers[plane])
            return 0 if count < 2 else self._choose(one, plane, max(0, min(index, count - 1)))

    @property
    def candidates(self) -> tuple[float, ...]:
        """Predicted intersection over union of each candidate of the last prompt, best first."""
        one, plane = self.current, self.last_plane
        if one is None or plane is None or plane not in one.answers:
            return ()
        return tuple(float(score) for score in one.answers[plane].scores)

    @property
    def chosen(self) -> int:
        """Which candidate is shown."""
        one, plane = self.current, self.last_plane
        if one is None or plane is None or len(one.answers.get(plane, ())) < 2:
            return 0
        return one.choice.get(plane, 0)

    def next_object(self) -> None:
        """Put the object in hand aside, open; the next prompt begins another."""
        with self._lock:
            if self.current is not None and self.current.empty:
                self._drop(self.current)
            self.current = None
            self.prompts_changed.emit()
            self.changed.emit()

    def accept(self) -> list[int]:
        """Write every open object that was found into the labels; return their ids.

        Voxels of other objects stay, unless `settings.overwrite` is set; those of locked ones
        always do. Objects of which no voxel is free stay open, and that is said. One whose answer
        is still on its way is accepted when it is there, and the next prompt begins another.
        """
        with self._lock:
            later = {one.number for one in self.objects.values() if self._awaited(one)}
            self._accept_later |= later
            if self.current is not None and self.current.number in later:
                self.current = None
            return self._accept([o for o in self.objects.values() if o.number not in later])

    def _accept(self, objects: list[PromptObject]) -> list[int]:
        with self._lock:
            found = [(one, one.whole(self._axes)) for one in objects]
            parts = [(one, part) for one, part in found if part is not None]
            if not parts:
                return []
            self._thrown = []
            self._writable_labels()
            document = self.session._given_document()
            overwrite, source = self.settings.overwrite, f"prompt {self.settings.model}"
            self._committing = True
            try:
                kept = self.commits.commit(document, parts, overwrite, source)
            finally:
                self._committing = False
            left = [one for one, _ in parts if one not in kept]
            with self._shown_at_once():
                for one in kept:
                    self._drop(one)
            if left:
                self.session._notice_for_now(
                    "Nothing was free to be accepted: it lies on finished cells, which stay as "
                    "they are. Reopen them, or allow overwriting."
                )
            if kept:
                self._show_all()
            self.prompts_changed.emit()
            self.changed.emit()
            return [one.label for one in kept if one.label is not None]

    def discard(self) -> None:
        """Drop the object in hand; without one, all open objects. Labels stay as they are.

        `bring_back` undoes it, until something else is discarded or accepted.
        """
        with self._lock:
            dropped = [self.current] if self.current is not None else list(self.objects.values())
            # a cell that was only reopened is in the labels as before
            self._thrown = [o for o in dropped if not o.empty and (o.label is None or o.revision)]
            with self._shown_at_once():
                for one in dropped:
                    self._drop(one)
            self.prompts_changed.emit()
            self.changed.emit()

    @property
    def can_bring_back(self) -> bool:
        """Whether something was just discarded."""
        return bool(self._thrown)

    def bring_back(self) -> None:
        """Open again what was discarded last."""
        with self._lock:
            thrown, self._thrown = self._thrown, []
            self.objects.update({one.number: one for one in thrown})
            if len(thrown) == 1:
                self.current = thrown[0]
                self._look_back(thrown[0])
            self._show_all()
            self.prompts_changed.emit()
            self.changed.emit()

    def reopen(self, position: Sequence[float]) -> PromptObject | None:
        """Take the object at a voxel in hand again, with its prompts; None on background.

        An open object that is shown there is taken in hand as it is.

        Raises
        ------
        InputError
            If the voxel lies outside the image, or the object is locked.
        """
        place = tuple(round(at) for at in self._voxel(position))
        labels = self.session.labels
        label = 0 if labels is None else int(labels[place])
        if label == 0:
            return self._hand_at(place)  # one that is open already
        assert labels is not None
        if label in self.commits.locked:
            raise InputError(f"Cell {label} is locked: unlock it before you change it.")
        with self._lock:
            for one in self.objects.values():
                if one.label == label:
                    self.hand(one.number)
                    return one
            known = self.commits.committed.get(label)
            one = PromptObject(self._next_object()) if known is None else known.copy()
            one.number = one.number if known is None else self._next_object()
            document = self.session._given_document()
            t = place[0] if document.timed else 0
            box = document.objects.box(label, t)
            region = (slice(t, t + 1), *box) if document.timed else box
            mask = labels[region] == label
            if known is None or not self._is_still(known, label, region, mask):
                # painted over since, or never prompted: what is there now counts
                one.parts = {None: Part(region, mask, "label")}
            one.label, one.region = label, region
            self.objects[one.number] = self.current = one
            self._look_back(one)
            self._show(one)
            self.prompts_changed.emit()
            self.changed.emit()
            return one

    def undo(self) -> None:
        """Take the last step back, whatever made it."""
        if self.session.can("undo"):
            self.session.undo()

    def redo(self) -> None:
        """Make it again."""
        if self.session.can("redo"):
            self.session.redo()

    def lock(self, *labels: int) -> None:
        """Protect cells: nothing changes them, asked or not, until they are unlocked."""
        self._set_locked(labels, True)

    def unlock(self, *labels: int) -> None:
        """Protect them no more."""
        self._set_locked(labels, None)

    # -- inside ----------------------------------------------------------------------------------

    def _is_still(
        self, known: PromptObject, label: int, region: tuple[slice, ...], mask: NDArray[np.bool_]
    ) -> bool:
        """Whether an object is as it was accepted, less what lies on others (and never got in)."""
        labels, stored = self.session.labels, known.whole(self._axes)
        if labels is None or stored is None:
            return False
        if any(
            side.start < edge.start or side.stop > edge.stop
            for side, edge in zip(region, stored.region, strict=True)
        ):
            return False
        here = labels[stored.region]
        covered = int(np.count_nonzero(stored.mask & (here == label)))
        return covered == np.count_nonzero(mask) and bool((here[stored.mask] != 0).all())

    def _set_locked(self, labels: Sequence[int], value: bool | None) -> None:
        document = self.session.document
        if document is None:
            return
        wanted = {int(label) for label in labels}
        known = document.objects.keys()
        present = [key for key in known if key[1] in wanted]
        marks = [Mark(t, label, "locked", value) for t, label in present]
        document.apply(*marks, kind="lock" if value else "unlock")

    def _on_step(self, change: Change) -> None:
        """Open objects that are in the labels follow what was taken back or made again."""
        if self._committing:
            return
        document = self.session.document
        if change.direction != "do":
            self._thrown = []
        for one in list(self.objects.values()):
            if one.label is None or one.region is None or document is None:
                continue
            touched = [key for key in change.keys if key[1] == one.label]
            if not touched or change.step.count == 0:
                continue
            t = one.region[0].start if document.timed else 0
            if (t, one.label) in document.objects:
                box = document.objects.box(one.label, t)
                here = (slice(t, t + 1), *box) if document.timed else box
                one.region = around([one.region, here])
            elif change.direction != "do":
                self._drop(one)
        self._show_all()
        self.changed.emit()

    def _on_volume(self, volume: Any) -> None:
        with self._lock:
            self._thrown, left = [], sum(bool(one.parts) for one in self.objects.values())
            self._reset(volume)
            if left and volume is not None:
                were = "objects were" if left > 1 else "object was"
                self.session._notice(
                    f"{left} open {were} not accepted before another image was chosen, and went "
                    "with the former one."
                )
            self.prompts_changed.emit()
            self.changed.emit()

    def _on_labels(self, labels: Any) -> None:
        if self._making_labels:
            self._document = self.session.document
            return
        self._thrown = []
        if self.session.document is not self._document:
            self._document = self.session.document
            self.commits.forget()
            for one in self.objects.values():
                one.label = one.region = None
        self._show_all()

    def _awaited(self, one: PromptObject) -> bool:
        """Whether more of an object is on its way."""
        carried = self._carrying == one.number and "through z" in self.session._jobs
        return one.pending is not None or carried

    def _on_changed(self, *_: object) -> None:
        """Accept what was to be accepted as soon as it is there."""
        there = [
            self.objects[number]
            for number in sorted(self._accept_later)
            if number in self.objects and not self._awaited(self.objects[number])
        ]
        self._accept_later &= {n for n, one in self.objects.items() if self._awaited(one)}
        if there:
            self._accept(there)

    def _on_result(self, result: Any) -> None:
        if result is not None and self.active and self.settings.in_3d:
            self.prepare_3d()
        self.changed.emit()

    def _on_spacing(self, spacing: Any) -> None:
        self._new_scene()
