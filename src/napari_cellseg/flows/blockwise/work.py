"""The folder of a run beside its output: what is done stays done when the run is stopped."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from napari_cellseg.errors import Cancelled, CellsegError, InputError, StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

SUFFIX = ".partial"
#: Folder, in a run's, of the group of labels that the output will hold.
CELLS = "cells"
#: The field, in a run's folder, where it is not kept elsewhere.
FIELD = "field"
_RECIPE = "recipe.json"
#: Errors of a disk that is full or may not be written, wherever in a run they come from.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_LOCK = ".lock"


def growing_labels(output: Path) -> Path:
    """Where the labels of an unfinished run grow: a plain zarr array, once the ids are known."""
    return output.with_name(output.name + SUFFIX) / CELLS / "0"


class Work:
    """The work folder of an output; a context manager that keeps others out of it.

    Parameters
    ----------
    output : Path
        What the run makes; the folder is ``output.partial``.
    recipe : mapping
        Everything that the result depends on; JSON-able.
    overwrite : bool
        Start anew if what is there was made by another recipe.

    Attributes
    ----------
    folder : Path
    resumed : bool
        Whether an earlier run with the same recipe goes on.

    Raises
    ------
    InputError
        If a run with another recipe was left there, or the folder is not ours.
    StorageError
        If another process works there, or nothing can be written.
    """

    def __init__(self, output: Path, recipe: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.folder = output.with_name(output.name + SUFFIX)
        self._recipe = json.loads(json.dumps(dict(recipe)))
        self._overwrite = overwrite
        self._lock: BaseFileLock | None = None
        self.resumed = False

    def __enter__(self) -> Self:
        try:
            self._begin()
        except OSError as error:
            self._release()
            raise StorageError(
                f"{str(self.folder)!r} cannot be written ({error.strerror or error}): free space "
                "or choose another output."
            ) from error
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if (
            isinstance(error, CellsegError)
            and not isinstance(error, Cancelled)
            and not any(child.is_dir() for child in self.folder.iterdir())
        ):
            self.remove()  # nothing is done, so nothing is to be gone on with
        else:
            self._release()
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            raise StorageError(
                f"{str(self.folder)!r} cannot be written ({error.strerror}): free space and run "
                "the same again, which goes on where it stopped."
            ) from error

    def remove(self) -> None:
        """Remove the folder: the run is complete."""
        self._release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self) -> None:
        """Forget what an earlier run has done."""
        if self.resumed:
            self._empty()
            self.keep("recipe", self._recipe)
            self.resumed = False

    def drop(self, *names: str) -> None:
        """Remove folders of the run, so that their stages are done again."""
        for name in names:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def keep(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep a JSON document; it appears whole."""
        part = self.folder / f".{name}.{secrets.token_hex(4)}.part"
        try:
            part.write_text(json.dumps(dict(values), indent=2), encoding="utf-8")
            os.replace(part, self.folder / f"{name}.json")
        except OSError as error:
            raise StorageError(
                f"{str(self.folder)!r} cannot be written ({error.strerror or error}): free space."
            ) from error

    def kept(self, name: str) -> dict[str, Any] | None:
        """The JSON document that was kept; None if there is none, or it is damaged."""
        try:
            found = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _begin(self) -> None:
        if self.folder.is_dir() and any(self.folder.iterdir()):
            if not (self.folder / _RECIPE).is_file() and not (self.folder / _LOCK).is_file():
                raise InputError(
                    f"{str(self.folder)!r} is in the way and was not made by napari-cellseg: "
                    "rename it, or choose another output."
                )
            self._take()
            found = self.kept("recipe")
            other = "nothing" if found is None else _difference(found, self._recipe)
            if found is not None and other is None:
                self.resumed = True
                return
            if found is not None and not self._overwrite:
                raise InputError(
                    f"The unfinished run in {self.folder.name!r} was made with {other}: ask for "
                    "the same to go on, choose another output, or pass overwrite=True to start "
                    "anew."
                )
            self._empty()
        else:
            self.folder.mkdir(exist_ok=True)
            self._take()
        self.keep("recipe", self._recipe)

    def _take(self) -> None:
        from filelock import FileLock, Timeout

        self._lock = FileLock(self.folder / _LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            self._lock = None
            raise StorageError(
                f"Another process works on {self.folder.name!r}: wait until it has ended."
            ) from error

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _empty(self) -> None:
        for child in self.folder.iterdir():
            if child.name == _LOCK:
                continue
            if child.is_dir():
                shutil.rmtree(child)
            else:
                child.unlink()


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Name what differs, in words; None if nothing does."""
    names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    if not names:
        return None
    return ", ".join(_change(name, found.get(name), wanted.get(name)) for name in names)


def _change(name: str, found: Any, wanted: Any) -> str:
    if isinstance(found, Mapping) or isinstance(wanted, Mapping):
        return f"another {name}"
    made = f"{name} left out" if found is None else f"{name}={found!r}"
    if wanted is None:
        return f"{made} instead of left out"
    asked = " ".join(map(str, wanted)) if isinstance(wanted, list) else repr(wanted)
    return f"{made} instead of {asked}"
