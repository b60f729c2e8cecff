"""Which letter each dimension of an array carries, and the order in which a Volume keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_cellseg.volume.lazy import Array

ORDER = "tczyx"
"""The only order in which a Volume stores its axes."""

UNKNOWN = "?"
SAMPLES = "s"  # interleaved or planar colour samples, as in TIFF

DEFAULTS = {2: "yx", 3: "zyx", 4: "tzyx"}
"""Axes assumed for an array that names none, by number of dimensions."""


def parse_axes(axes: str, ndim: int, where: str) -> str:
    """Check axes that a user gave.

    Parameters
    ----------
    axes : str
        One letter of ``tczyx`` per dimension, in the order of the array; ``s`` marks RGB samples.
    ndim : int
        Number of dimensions that must be named.
    where : str
        What the axes describe, for the message.

    Returns
    -------
    str
        The axes in lower case.

    Raises
    ------
    InputError
        If a letter is unknown, repeated or missing.
    """
    if not isinstance(axes, str):
        raise InputError(f"axes must be a string such as 'zyx', not {axes!r}.")
    letters = axes.lower()
    if set(letters) - set(ORDER + SAMPLES) or len(set(letters)) != len(letters):
        raise InputError(
            f"axes={axes!r} is not usable: name each dimension once with a letter of 'tczyx' "
            "('s' for RGB samples)."
        )
    if len(letters) != ndim:
        raise InputError(
            f"axes={axes!r} names {len(letters)} dimensions but {where} has {ndim}: "
            "pass one letter per dimension."
        )
    if not {"y", "x"} <= set(letters):
        raise InputError(f"axes={axes!r} must contain y and x.")
    if {"c", SAMPLES} <= set(letters):
        raise InputError(f"axes={axes!r} names both channels and RGB samples: keep one of them.")
    return letters


def settle_axes(
    found: str, shape: Sequence[int], given: str | None, where: str
) -> tuple[str, tuple[str, ...]]:
    """Decide the axes from what the file states and what the user gave.

    Parameters
    ----------
    found : str
        One letter per dimension from ``tczyxs``, or ``?`` where the file does not say.
    shape : sequence of int
        Shape of the array.
    given : str or None
        The user's axes; they win over the file.
    where : str
        Name of the file or array, for messages.

    Returns
    -------
    axes : str
        One letter per dimension.
    notices : tuple of str
        A sentence for each assumption.

    Raises
    ------
    InputError
        If the axes cannot be told or contradict the array.
    """
    if given is not None:
        if found.endswith(SAMPLES) and len(given) == len(shape) - 1 and "c" not in given.lower():
            given += SAMPLES
        return parse_axes(given, len(shape), where), ()
    letters = list(found)
    free = [axis for axis in "zt" if axis not in letters]
    for position in reversed(range(len(letters))):
        if letters[position] == UNKNOWN:
            if len(letters) > 5 or not free:
                raise InputError(
                    f"{where} has {len(shape)} dimensions {tuple(shape)} whose meaning is not "
                    "stated: pass axes, for instance 'tczyx'."
                )
            letters[position] = free.pop(0)
    axes = "".join(letters)
    if len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes):
        raise InputError(
            f"{where} states contradictory axes {found!r} for shape {tuple(shape)}: pass axes."
        )
    if {"c", SAMPLES} <= set(axes):
        raise InputError(
            f"{where} has both channels and RGB samples (axes {axes!r}, shape {tuple(shape)}): "
            "save the channels as separate images."
        )
    if UNKNOWN not in found:
        return axes, ()
    hint = (
        " (its last axis has the length of RGB samples: pass axes='yxs' if it is a colour image)"
        if len(shape) == 3 and shape[-1] in (3, 4)
        else ""
    )
    return axes, (
        f"Axes are not stated; {axes} is assumed for shape {tuple(shape)}: "
        f"pass axes to change that{hint}.",
    )


def arrange(data: Array, axes: str) -> tuple[Array, str, bool, tuple[str, ...]]:
    """Bring an array lazily into ``tczyx`` order, without t, c or z of length one.

    Parameters
    ----------
    data : array
        Any numpy or dask array.
    axes : str
        One letter of ``tczyxs`` per dimension.

    Returns
    -------
    data : array
        A view or lazy array; nothing is read.
    axes : str
        Its axes, an ordered subset of ``tczyx`` that ends in ``yx``.
    rgb : bool
        True if c holds the three colours of one RGB image.
    notices : tuple of str
        A sentence for each thing that was left out.
    """
    notices: list[str] = []
    samples = SAMPLES in axes
    axes = axes.replace(SAMPLES, "c")
    size = dict(zip(axes, data.shape, strict=True))
    if samples and size["c"] == 4:
        notices.append("The transparency of the colour samples is left out.")
        data = data[tuple(slice(3) if axis == "c" else slice(None) for axis in axes)]
        size["c"] = 3
    rgb = samples and size["c"] == 3
    dropped = {axis for axis in "tcz" if size.get(axis) == 1}
    if dropped:
        data = data[tuple(0 if axis in dropped else slice(None) for axis in axes)]
        axes = "".join(axis for axis in axes if axis not in dropped)
    target = "".join(axis for axis in ORDER if axis in axes)
    if target != axes:
        data = data.transpose([axes.index(axis) for axis in target])
    return data, target, rgb, tuple(notices)
