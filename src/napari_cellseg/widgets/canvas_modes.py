"""Who has the mouse and the keys of a viewer's canvas: one at a time."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import ViewerModel


class CanvasModes:
    """Prompting, editing and reviewing end each other here; none of them knows the others.

    Owners and their ways to leave are kept weakly.
    """

    def __init__(self) -> None:
        self._held: list[tuple[weakref.ref[Any], weakref.WeakMethod[Callable[[], Any]]]] = []

    @property
    def owner(self) -> Any:
        """Who has the canvas; None if nobody has."""
        while self._held:
            owner = self._held[-1][0]()
            if owner is not None:
                return owner
            self._held.pop()
        return None

    def take(self, owner: Any, leave: Callable[[], Any]) -> None:
        """Have the canvas; who had it before, or had lent it, leaves.

        Parameters
        ----------
        owner : object
        leave : bound method
            Called when somebody else takes the canvas; it may call `give_back`.
        """
        former, self._held = self._held, [(weakref.ref(owner), weakref.WeakMethod(leave))]
        for one, way_out in reversed(former):
            left = way_out()
            if one() is not owner and left is not None:
                left()

    def borrow(self, owner: Any, leave: Callable[[], Any]) -> None:
        """Have the canvas until `give_back`; who has it now stays, and has it again then.

        Parameters
        ----------
        owner : object
        leave : bound method
            As of `take`.
        """
        self._held = [one for one in self._held if one[0]() is not owner]
        self._held.append((weakref.ref(owner), weakref.WeakMethod(leave)))

    def give_back(self, owner: Any) -> None:
        """Have it no more; nothing happens if somebody else has taken it."""
        self._held = [one for one in self._held if one[0]() is not owner]


_shared: dict[int, tuple[weakref.ref[ViewerModel], CanvasModes]] = {}


def modes_for(viewer: ViewerModel) -> CanvasModes:
    """Return what all docks of a viewer take the canvas by; it lasts as long as the viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    key = id(viewer)  # a viewer model compares by value and need not be hashable
    known = _shared.get(key)
    if known is not None and known[0]() is viewer:
        return known[1]
    modes = CanvasModes()
    _shared[key] = (weakref.ref(viewer), modes)
    gone = weakref.finalize(viewer, _shared.pop, key, None)
    gone.atexit = False
    return modes
