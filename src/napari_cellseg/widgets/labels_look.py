"""The one place that knows how napari turns ids into colours, and that does it by a table.

napari's colour cycle takes an id modulo the number of its colours, in a compiled parallel loop
that costs milliseconds for a few hundred voxels on busy cores; a colour for each id
(``DirectLabelColormap``) costs 20 to 160 ms whenever one of them changes. Here every id has an
entry in a table: locking an object changes one byte. Facts measured on napari 0.9:

- ``Labels._raw_to_displayed`` and ``data_setitem`` ask ``colormap._data_to_texture``; the
  thumbnail and the colour swatch ask ``colormap.map``;
- the texture of colours comes from a plain copy of the colormap, so a subclass may hold more;
- ids of 8 and 16 bits are sent as they are, and cannot go through a table.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray
from pydantic import PrivateAttr

from napari_cellseg.errors import InputError
from napari_cellseg.flows._jit import kernel
from napari_cellseg.widgets.label_colors import CYCLE, palette

if TYPE_CHECKING:
    from napari.layers import Labels

VERIFIED = ("0.9",)

Style = Literal["normal", "locked", "doubtful"]

_LOCKED, _DOUBTFUL, _CLASS = 1, 2, 4
_TABLE = 2**24
"""Ids up to here have an entry; the styled ones among larger ids are searched for."""
_LARGE = 2**22
"""Voxels from which on compiled code is faster than numpy's, and worth compiling."""


def can_look() -> bool:
    """Return whether this napari asks for colours in the way that the shim knows."""
    from inspect import signature

    from napari.layers import Labels

    asked = getattr(CyclicLabelColormap, "_data_to_texture", None)
    return (
        asked is not None
        and tuple(signature(asked).parameters) == ("self", "values")
        and tuple(signature(CyclicLabelColormap.map).parameters) == ("self", "values")
        and all(callable(getattr(Labels, name, None)) for name in ("new_colormap", "get_color"))
    )


class CellColormap(CyclicLabelColormap):
    """A colour cycle that asks a look which of its variants an id has."""

    _look: Any = PrivateAttr(default=None)

    def _data_to_texture(self, values: Any) -> Any:
        look = self._look
        if look is None or self.use_selection:  # napari compares ids with the selected one
            return super()._data_to_texture(values)
        found = look.texture(np.asarray(values))
        return found if isinstance(values, np.ndarray) else found[()]

    def map(self, values: Any) -> NDArray[np.float32]:
        """Return the colours of ids, RGBA in a further axis."""
        look = self._look
        if look is None:
            return np.asarray(super().map(values))
        ids = np.asarray(values)
        texture = look.texture(ids.astype(np.int64) if ids.dtype.kind == "f" else ids)
        mapped = np.array(self.colors[texture])
        mapped[texture == 0] = 0
        if self.use_selection:
            mapped[ids != self.selection] = 0
        return mapped


class Look:
    """Which colour each object of a layer has; see `look_for`.

    Changing it draws nothing: redraw the boxes of the objects (`labels_shim.redraw`).
    """

    def __init__(self, layer: Labels, time_axis: int | None) -> None:
        self._layer = weakref.ref(layer)
        self.time_axis = time_axis
        self._texture: NDArray[np.uint8] = _plain(np.arange(1024, dtype=np.uint32))
        self._codes: dict[int, dict[int, int]] = {}
        self._far: tuple[NDArray[np.uint32], NDArray[np.uint8]] = (
            np.zeros(0, np.uint32),
            np.zeros(0, np.uint8),
        )
        self._t = 0
        self._map = self._made(None)
        layer.colormap = self._map
        layer.__dict__["new_colormap"] = self.shuffle

    @property
    def active(self) -> bool:
        """Whether the layer shows it; not where the user chose other colours."""
        layer = self._layer()
        return layer is not None and layer.colormap is self._map

    def lock(self, ids: Iterable[int], t: int = 0) -> None:
        """Show objects dimmed."""
        self._change(ids, t, set_bits=_LOCKED)

    def unlock(self, ids: Iterable[int], t: int = 0) -> None:
        """Show them dimmed no more."""
        self._change(ids, t, clear_bits=_LOCKED)

    def set(self, ids: Iterable[int], style: Style | int, t: int = 0) -> None:
        """Show objects in a style.

        Parameters
        ----------
        ids : iterable of int
        style : {"normal", "locked", "doubtful"} or int
            "doubtful" glows; a number is that of a class, whose colour they get. "normal" ends
            all of it.
        t : int
            The time point; 0 where there is no time.
        """
        if isinstance(style, int):
            self._change(ids, t, set_bits=_CLASS * (style % CYCLE + 1), clear_bits=~_LOCKED)
        elif style == "normal":
            self._change(ids, t, clear_bits=~0)
        else:
            self._change(ids, t, set_bits=_LOCKED if style == "locked" else _DOUBTFUL)

    def with_style(self, style: Style | None = None, t: int = 0) -> frozenset[int]:
        """Ids that are "locked" or "doubtful" at a time point, or (None) anything but normal."""
        bits = {"locked": _LOCKED, "doubtful": _DOUBTFUL}.get(style or "", ~0)
        found = self._codes.get(t, {}).items()
        return frozenset(label for label, code in found if code & bits)

    def times(self) -> list[int]:
        """Time points with objects that are not normal."""
        return [t for t, codes in self._codes.items() if codes]

    def shuffle(self, seed: int | None = None) -> None:
        """Give the ids other colours of the cycle; what napari's "shuffle colors" does here."""
        layer = self._layer()
        if layer is None:
            return
        self._map = self._made(np.random.default_rng(seed).permutation(CYCLE))
        self._map.use_selection = layer.show_selected_label
        self._map.selection = layer.selected_label
        layer.colormap = self._map

    # -- what napari asks ------------------------------------------------------------------------

    def texture(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return for each id the number of its colour in the palette.

        Parameters
        ----------
        values : array of integers, any shape
            Ids.
        """
        self._turn()
        ids = values if values.dtype == np.uint32 else values.astype(np.uint32)
        if ids.size >= _LARGE and 1 <= ids.ndim <= 3:
            return self._compiled(ids)
        try:
            return self._texture.take(ids)
        except IndexError:
            largest = int(ids.max())
        if largest < _TABLE:
            self._grow(largest)
            return self._texture.take(ids)
        return self._searched(ids)

    def _compiled(self, ids: NDArray[np.uint32]) -> NDArray[np.uint8]:
        # along memory, whatever order of axes the viewer shows
        order = sorted(range(ids.ndim), key=lambda axis: -abs(ids.strides[axis]))
        along = ids.transpose(order)
        out = np.empty(along.shape, np.uint8)
        extra = (None,) * (3 - ids.ndim)
        _look_up(along[extra], self._texture, *self._far, out[extra])
        return out.transpose(np.argsort(order))

    def _searched(self, ids: NDArray[np.uint32]) -> NDArray[np.uint8]:
        out = _plain(ids)
        near = ids < len(self._texture)
        out[near] = self._texture[ids[near]]
        far_ids, far_values = self._far
        if len(far_ids):
            at = np.minimum(np.searchsorted(far_ids, ids), len(far_ids) - 1)
            hit = far_ids[at] == ids
            out[hit] = far_values[at[hit]]
        return out

    # -- keeping the table -----------------------------------------------------------------------

    def _change(self, ids: Iterable[int], t: int, set_bits: int = 0, clear_bits: int = 0) -> None:
        codes = self._codes.setdefault(t, {})
        wanted = [int(one) for one in ids]
        for label in wanted:
            code = (codes.get(label, 0) & ~clear_bits) | set_bits
            if code:
                codes[label] = code
            else:
                codes.pop(label, None)
        if t == self._t:
            self._write(wanted, codes)

    def _turn(self) -> None:
        """Take up the styles of the time point in view."""
        t = self._time()
        if t == self._t:
            return
        former, self._t = self._codes.get(self._t, {}), t
        self._write(former, {})
        self._write(codes := self._codes.get(t, {}), codes)

    def _time(self) -> int:
        layer = self._layer()
        if layer is None or self.time_axis is None:
            return 0
        asked = layer._slice_input  # what is being sliced; `_slice` is still the former one
        if self.time_axis in asked.displayed:
            return self._t
        return round(float(layer.world_to_data(asked.world_slice.point)[self.time_axis]))

    def _write(self, ids: Iterable[int], codes: dict[int, int]) -> None:
        labels = np.fromiter(ids, np.int64)
        if not len(labels):
            return
        values = _styled(labels, np.fromiter((codes.get(int(x), 0) for x in labels), np.int64))
        near = labels < _TABLE
        if near.any():
            self._grow(int(labels[near].max()))
            self._texture[labels[near]] = values[near]
        if not near.all():
            far = dict(zip(*(one.tolist() for one in self._far), strict=True))
            for label, value in zip(labels[~near].tolist(), values[~near].tolist(), strict=True):
                far.pop(label, None)
                if codes.get(label, 0):
                    far[label] = value
            rising = sorted(far)
            chosen = np.array([far[one] for one in rising], np.uint8)
            self._far = (np.array(rising, np.uint32), chosen)

    def _grow(self, largest: int) -> None:
        size = len(self._texture)
        if largest < size:
            return
        grown = min(1 << largest.bit_length(), _TABLE)
        more = _plain(np.arange(size, grown, dtype=np.uint32))
        self._texture = np.concatenate([self._texture, more])

    def _made(self, order: NDArray[np.int64] | None) -> CellColormap:
        colormap = CellColormap(
            colors=palette(order), display_name="cells", background_value=0, name="cells"
        )
        colormap._look = self
        return colormap


def _plain(ids: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Colours of the plain cycle; 0 for background."""
    out = ((ids - np.uint32(1)) % np.uint32(CYCLE) + np.uint32(1)).astype(np.uint8)
    return np.where(ids == 0, np.uint8(0), out)


def _styled(ids: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Colours of ids with their codes."""
    place, locked, number = (ids - 1) % CYCLE, codes & _LOCKED, codes // _CLASS
    own = place + CYCLE * np.where(locked > 0, 1, np.where(codes & _DOUBTFUL, 2, 0))
    of_class = number - 1 + CYCLE * (3 + locked)
    return (1 + np.where(number > 0, of_class, own)).astype(np.uint8)


@kernel
def _look_up(
    ids: NDArray[np.uint32],
    table: NDArray[np.uint8],
    far_ids: NDArray[np.uint32],
    far_values: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    size, many = len(table), len(far_ids)
    for i in range(ids.shape[0]):
        for j in range(ids.shape[1]):
            for k in range(ids.shape[2]):
                label = ids[i, j, k]
                if label < size:
                    out[i, j, k] = table[label]
                    continue
                out[i, j, k] = (label - 1) % CYCLE + 1
                if many:
                    at = np.searchsorted(far_ids, label)
                    if at < many and far_ids[at] == label:
                        out[i, j, k] = far_values[at]


_looks: weakref.WeakKeyDictionary[Any, Look] = weakref.WeakKeyDictionary()


def look_for(layer: Labels, time_axis: int | None = None) -> Look | None:
    """Return the look of a layer; the first call gives the layer our colours.

    Parameters
    ----------
    layer : napari Labels layer
        Of uint32.
    time_axis : int, optional
        Which of its axes is time: objects of the same id at two times are two objects.

    Returns
    -------
    Look or None
        None where the user gave the layer colours of their own, which stay, and where this napari
        asks for colours in another way.

    Raises
    ------
    InputError
        Ids of another type.
    """
    look = _looks.get(layer)
    if look is None:
        if np.dtype(layer.dtype) != np.uint32:
            raise InputError(
                f"The layer “{layer.name}” is of type {layer.dtype}: convert it to uint32."
            )
        if not (can_look() and isinstance(layer.colormap, CyclicLabelColormap)):
            return None
        look = _looks[layer] = Look(layer, time_axis)
    look.time_axis = time_axis if time_axis is not None else look.time_axis
    return look
