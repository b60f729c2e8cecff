"""A mapping bounded in bytes that forgets what was used longest ago."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how many bytes it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        ...


Key = TypeVar("Key")
Value = TypeVar("Value", bound=Sized)


class ByteLRU(Generic[Key, Value]):
    """Least recently used values leave first; what it holds never exceeds its limit.

    Every method may be called from any thread.

    Parameters
    ----------
    limit : int
        Bytes. A value larger than this is not kept at all.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Most bytes that it may hold."""
        return self._limit

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self._held

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        """Whether there is a value; this is no use of it."""
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """Return the value, now the most recently used one, or None."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def keep(self, key: Key, value: Value) -> Value:
        """Keep a value unless there is one already; return the one that is there.

        So every caller works with the same object, even if two threads made one each.
        """
        with self._lock:
            there = self._values.get(key)
            if there is not None:
                self._values.move_to_end(key)
                return there
            if value.nbytes <= self._limit:
                self._shrink(self._limit - value.nbytes)
                self._values[key] = value
                self._held += value.nbytes
            return value

    def drop(self, key: Key) -> None:
        """Forget one value; nothing happens if there is none."""
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._held -= value.nbytes

    def resize(self, limit: int) -> None:
        """Change the limit (bytes) and forget what no longer fits."""
        with self._lock:
            self._limit = limit
            self._shrink(limit)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()
            self._held = 0

    def _shrink(self, room: int) -> None:
        while self._values and self._held > room:
            _, value = self._values.popitem(last=False)
            self._held -= value.nbytes
