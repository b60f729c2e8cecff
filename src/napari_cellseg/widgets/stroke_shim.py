"""The one place that knows how napari's Labels layer writes into its array, and that prevents it.

napari's brush, eraser, bucket and polygon write before anyone can object, and its undo writes old
values over whatever is there by now. On a captured layer all of them tell a sink instead, which
decides what is written. Facts measured on napari 0.9:

- paint, fill, polygon and the encircling stroke (right button with the brush) end in
  ``_paint_region_with_mask``; only ``data_setitem``, undo, redo and the abort of an encircling
  stroke write besides it.
- A drag is one step through ``block_history()``; an encircling stroke, which lasts over several
  presses, through ``_begin_stroke`` and ``_commit_stroke`` or ``_abort_stroke``.
- ``preserve_labels`` is applied where the array is written, so that has to be done here.
- Other plugins write into the array and say so with ``_save_history``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.indexed import Patch, patches_of

if TYPE_CHECKING:
    from napari.layers import Labels

VERIFIED = ("0.9",)

_PAINT_ARGUMENTS = (
    "self",
    "slice_key",
    "mask",
    "new_label",
    "dims_to_paint",
    "refresh",
    "region_data",
)
_USED = (
    "_abort_stroke",
    "_begin_stroke",
    "_commit_stroke",
    "_get_preserve_labels_source_label",
    "_reset_history",
    "_save_history",
    "block_history",
    "data_setitem",
    "redo",
    "undo",
)


class Sink(Protocol):
    """What is told of a captured layer; it writes and redraws, or does not."""

    def write(self, patches: Sequence[Patch], gather: bool) -> None:
        """Voxels are to be written, as one step; with `gather`, they belong to the open stroke."""

    def end_stroke(self) -> None:
        """What has been gathered is one step, and complete."""

    def abandon_stroke(self) -> None:
        """What has been gathered is to be taken back, and not to be redone."""

    def undo(self) -> None:
        """The last step is to be taken back."""

    def redo(self) -> None:
        """It is to be made again."""

    def foreign(self, data: Any, problem: str) -> None:
        """Somebody assigned ``layer.data``, perhaps the array that it had; see `unwritable`."""


def can_capture() -> bool:
    """Return whether this napari writes in the way that the shim knows."""
    from inspect import signature

    from napari.layers import Labels

    paint = getattr(Labels, "_paint_region_with_mask", None)
    return (
        paint is not None
        and tuple(signature(paint).parameters) == _PAINT_ARGUMENTS
        and all(callable(getattr(Labels, name, None)) for name in _USED)
    )


def unwritable(layer: Labels) -> str:
    """Return why a layer's array cannot be edited, in a sentence; empty if it can."""
    data, name = layer.data, layer.name
    if layer.multiscale:
        return f"The layer “{name}” has several resolutions: take the finest as a layer of its own."
    if not isinstance(data, np.ndarray):
        kind = type(data).__module__.partition(".")[0]
        return f"The layer “{name}” is not in memory ({kind}): convert it to a NumPy array."
    if data.dtype.kind not in "iu" or not data.dtype.isnative:
        return f"The layer “{name}” is of type {data.dtype.str}: convert it to uint32."
    if not data.flags.writeable:
        return f"The array of the layer “{name}” is read-only: copy it."
    return ""


def capture(layer: Labels, sink: Sink) -> Callable[[], None]:
    """Let everything that is drawn on a layer, undone or redone go to a sink.

    napari's own history is emptied and stays empty, so that it can never write. The layer keeps
    the sink alive until it is released.

    Parameters
    ----------
    layer : napari Labels layer
        Of a NumPy array.
    sink : Sink

    Returns
    -------
    callable
        Gives the layer back to napari, with an empty history; may be called again.

    Raises
    ------
    InputError
        If the layer cannot be edited, or is captured already.
    """
    problem = unwritable(layer)
    if problem:
        raise InputError(problem)
    if any(isinstance(getattr(one, "__self__", None), _Capture) for one in vars(layer).values()):
        raise InputError(f"The layer “{layer.name}” is being edited by another session already.")
    return _Capture(layer, sink).release


class _Capture:
    """The methods that stand in for a layer's own; the layer holds them, they hold it weakly."""

    def __init__(self, layer: Labels, sink: Sink) -> None:
        self._layer = weakref.ref(layer)
        self._sink = sink
        self._depth = 0
        self._encircling = False
        self._gathered = False
        self._ours: dict[str, Callable[..., Any]] = {
            "_paint_region_with_mask": self._paint_region,
            "_save_history": self._note,
            "_begin_stroke": self._begin_stroke,
            "_commit_stroke": self._commit_stroke,
            "_abort_stroke": self._abort_stroke,
            "block_history": self._block_history,
            "data_setitem": self._set_items,
            "undo": self._undo,
            "redo": self._redo,
        }
        layer._reset_history()
        vars(layer).update(self._ours)
        layer.events.data.connect(self._on_data)

    def release(self) -> None:
        """Give the layer back to napari."""
        ours, self._ours = self._ours, {}
        if not ours:
            return
        self._end(force=True)
        layer = self._layer()
        if layer is None:
            return
        layer.events.data.disconnect(self._on_data)
        for name, method in ours.items():
            if vars(layer).get(name) is method:  # another plugin may have put its own over it
                delattr(layer, name)
        layer._reset_history()

    # -- what napari draws -----------------------------------------------------------------------

    def _paint_region(
        self,
        slice_key: tuple[slice, ...],
        mask: NDArray[np.bool_],
        new_label: int,
        dims_to_paint: Sequence[int],
        refresh: bool = True,
        region_data: NDArray[Any] | None = None,
    ) -> None:
        layer = self._layer()
        if layer is None:
            return
        others = tuple(axis for axis in range(layer.ndim) if axis not in dims_to_paint)
        present = np.asarray(layer.data[slice_key])
        wanted = np.expand_dims(mask, others) & (present != new_label)
        if layer.preserve_labels:
            wanted &= present == layer._get_preserve_labels_source_label(new_label)
        if wanted.any():
            self._write([Patch(slice_key, wanted, int(new_label))])

    def _set_items(
        self, indices: tuple[NDArray[Any], ...], value: Any, refresh: bool = True
    ) -> None:
        layer = self._layer()
        if layer is not None:
            patches = patches_of(np.asarray(layer.data), indices, value)
            if patches:
                self._write(patches)

    def _note(self, atom: Any) -> None:
        """Another plugin writes into the array by itself, or is about to, and says what."""
        layer = self._layer()
        if layer is None:
            return
        if hasattr(atom, "slice_key"):
            place, before, value = atom.slice_key, atom.old_values, atom.new_value
            box = np.asarray(layer.data[place])
            mask = np.ones(box.shape, np.bool_) if atom.mask is None else atom.mask
            box[mask] = np.ravel(before)
            self._write([Patch(place, mask, int(value))])
        else:
            place, before, value = atom
            layer.data[place] = before  # as the sink knows it; it may spare some of these voxels
            self._set_items(place, value)

    def _write(self, patches: list[Patch]) -> None:
        gather = self._depth > 0 or self._encircling
        self._gathered |= gather
        self._sink.write(patches, gather)

    # -- strokes ---------------------------------------------------------------------------------

    @contextmanager
    def _block_history(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:  # what was written before an error must not become part of the next stroke
            self._depth -= 1
            self._end()

    def _begin_stroke(self) -> None:
        self._encircling = True

    def _commit_stroke(self) -> None:
        self._encircling = False
        self._end()

    def _abort_stroke(self) -> None:
        self._encircling = False
        gathered, self._gathered = self._gathered, False
        if gathered:
            self._sink.abandon_stroke()

    def _end(self, force: bool = False) -> None:
        if self._gathered and (force or not (self._depth or self._encircling)):
            self._gathered = False
            self._sink.end_stroke()

    # -- the rest --------------------------------------------------------------------------------

    def _undo(self) -> None:
        self._end(force=True)
        self._sink.undo()

    def _redo(self) -> None:
        self._end(force=True)
        self._sink.redo()

    def _on_data(self, event: Any) -> None:
        layer = self._layer()
        if layer is not None:
            self._end(force=True)
            self._sink.foreign(layer.data, unwritable(layer))
