"""Loaded models, shared by all sessions and bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DEFAULT_BYTES = 4 * 2**30

Key = tuple[str, str, str, str]


def _size(model: Any) -> int:
    """Bytes held by a model: as stated, or the tensors of it and of the modules it holds."""
    stated = getattr(model, "nbytes", None)
    if isinstance(stated, int):
        return stated
    held = [model, *getattr(model, "__dict__", {}).values()]
    tensors = {
        id(tensor): tensor.nbytes
        for module in held
        for kind in ("parameters", "buffers")
        if callable(getattr(module, kind, None))
        for tensor in getattr(module, kind)()
        if isinstance(getattr(tensor, "nbytes", None), int)
    }
    return sum(tensors.values())


def _identity(checkpoint: Path | str | Sequence[Path | str] | None) -> str:
    """Path, size and time of each file, so that a replaced one is loaded anew."""
    if checkpoint is None:
        return ""
    if not isinstance(checkpoint, Path | str):
        return "|".join(_identity(file) for file in checkpoint)
    path = Path(checkpoint)
    try:
        facts = path.stat()
    except OSError:
        return str(path)
    return f"{path.resolve()}:{facts.st_size}:{facts.st_mtime_ns}"


class ModelCache:
    """Least recently used models leave first when the bound is passed.

    Parameters
    ----------
    limit : int
        Bytes; a model larger than this is kept alone, for the job that needs it.
    """

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self._limit = limit
        self._models: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._loading: dict[Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(
        self,
        kind: str,
        name: str,
        checkpoint: Path | str | Sequence[Path | str] | None,
        device: str,
        load: Callable[[], Any],
    ) -> Any:
        """Return the model, loading it at most once however many threads ask."""
        key = (kind, name, _identity(checkpoint), device)
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            with self._lock:
                if key in self._models:
                    self._models.move_to_end(key)
                    return self._models[key][0]
            model = load()
            with self._lock:
                self._models[key] = (model, _size(model))
                self._shrink()
            return model

    def _shrink(self) -> None:
        while len(self._models) > 1 and self._used() > self._limit:
            self._models.popitem(last=False)

    def _used(self) -> int:
        return sum(size for _, size in self._models.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all cached models."""
        with self._lock:
            return self._used()

    def __len__(self) -> int:
        return len(self._models)

    def resize(self, limit: int) -> None:
        """Change the bound (bytes) and drop what no longer fits."""
        with self._lock:
            self._limit = limit
            self._shrink()

    def clear(self, device: str | None = None) -> None:
        """Drop all models, or those of one device other than the CPU's."""
        with self._lock:
            for key in list(self._models):
                if device is None or key[3] == device:
                    del self._models[key]
