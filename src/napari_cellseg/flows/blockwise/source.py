"""An image that other processes can open again."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellseg.errors import InputError
from napari_cellseg.volume import Volume, as_volume, read_volume

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Images that are open in this process, or were handed over in memory.
_open: OrderedDict["Source", Volume] = OrderedDict()
_lock = threading.Lock()
_KEPT = 4


@dataclass(frozen=True)
class Source:
    """How to open an image.

    Attributes
    ----------
    path : str
        Absolute; empty for an image that is only in the memory of this process.
    spacing : tuple of float or None
        (z, y, x) in µm that wins over the file.
    axes : str or None
        Axes that win over the file.
    token : str
        Names an image in memory.
    """

    path: str = ""
    spacing: tuple[float, ...] | None = None
    axes: str | None = None
    token: str = ""

    @classmethod
    def of(
        cls,
        image: "Volume | ArrayLike | str | Path",
        spacing: Sequence[float] | None = None,
        axes: str | None = None,
    ) -> "Source":
        """The source of an image, a file, or an array.

        Raises
        ------
        InputError
            If it is no image that can be used.
        """
        steps = None if spacing is None else tuple(float(one) for one in spacing)
        if isinstance(image, str | Path):
            source = cls(str(Path(image).absolute()), steps, axes)
            source.open()
            return source
        volume = as_volume(image, spacing=spacing, axes=axes)
        if volume.source is not None:
            stated = volume.spacing if volume.spacing_known else None
            source = cls(str(Path(volume.source).absolute()), stated)
            found = source.open()
            if (found.shape, found.axes, found.dtype) == (volume.shape, volume.axes, volume.dtype):
                return source
        source = cls(token=secrets.token_hex(8))
        with _lock:
            _open[source] = volume
        return source

    @property
    def in_memory(self) -> bool:
        """Whether only this process has it."""
        return not self.path

    def open(self) -> Volume:
        """The image; opened once in each process.

        Raises
        ------
        InputError
            If it is not there, or was in the memory of another process.
        """
        with _lock:
            found = _open.get(self)
        if found is not None:
            return found
        if self.in_memory:
            raise InputError(
                "An image in memory cannot be segmented by other processes: save it as OME-Zarr "
                "or TIFF, and pass its path."
            )
        found = read_volume(self.path, spacing=self.spacing, axes=self.axes)
        with _lock:
            _open[self] = found
            files = [one for one in _open if not one.in_memory]
            for one in files[:-_KEPT]:
                del _open[one]
        return found

    def release(self) -> None:
        """Forget the image."""
        with _lock:
            _open.pop(self, None)
