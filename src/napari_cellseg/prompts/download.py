"""Fetch a predictor's weights, once, into the user's cache."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import platformdirs

from napari_cellseg.errors import Cancelled, ModelError, StorageError
from napari_cellseg.prompts.checkpoints import sha256
from napari_cellseg.prompts.registry import PredictorInfo

_CHUNK = 1 << 18  # bytes between two looks at the cancel event
_TIMEOUT = 30  # seconds without an answer


def model_folder() -> Path:
    """Folder of downloaded models; files put there by hand are found too."""
    return Path(platformdirs.user_cache_dir("napari-cellseg", appauthor=False)) / "models"


def by_hand(info: PredictorInfo, folder: Path) -> str:
    """Say how a model's file gets onto this machine without us."""
    source = info.url or info.page
    return f"get it from {source} and put it at {str(folder / info.file)!r}, or pass its path"


def model_file(
    info: PredictorInfo,
    progress: Callable[[float, str], None] | None = None,
    cancel: threading.Event | None = None,
    folder: Path | None = None,
) -> Path:
    """Return the file of a model's weights; it is downloaded first if it is not there.

    Parameters
    ----------
    info : PredictorInfo
    progress : callable, optional
        ``(fraction, message)``.
    cancel : threading.Event, optional
        Polled while bytes arrive.
    folder : Path, optional
        `model_folder` by default.

    Returns
    -------
    Path
        A whole file; a download that ends early leaves nothing, and the next one begins anew.

    Raises
    ------
    ModelError
        If the file must be brought by the user, cannot be downloaded, or is not the published one.
    StorageError
        If it cannot be written.
    Cancelled
        If `cancel` was set.
    """
    folder = model_folder() if folder is None else folder
    file = folder / info.file
    if file.is_file() and _published(info, file):
        return file
    if info.url is None:
        raise ModelError(
            f"The weights of {info.title} cannot be downloaded by napari-cellseg: "
            f"{by_hand(info, folder)}."
        )
    _download(info, file, _Meter(info, progress, cancel))
    return file


def _published(info: PredictorInfo, file: Path) -> bool:
    """Whether a file is the published one, as far as that is known."""
    if info.size is not None and file.stat().st_size != info.size:
        return False
    return info.sha256 is None or sha256(file) == info.sha256


def _download(info: PredictorInfo, file: Path, meter: _Meter) -> None:
    import logging

    import pooch
    import requests

    meter.update(0)
    pooch.get_logger().setLevel(logging.WARNING)  # the window says it already
    try:
        pooch.retrieve(
            info.url,
            known_hash=info.sha256 and f"sha256:{info.sha256}",
            fname=file.name,
            path=file.parent,
            downloader=pooch.HTTPDownloader(progressbar=meter, chunk_size=_CHUNK, timeout=_TIMEOUT),
        )
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise ModelError(
            f"The weights of {info.title} cannot be downloaded ({type(error).__name__}): connect "
            f"to the internet, or {by_hand(info, file.parent)}."
        ) from error
    except ValueError as error:  # pooch's word for a wrong hash
        raise ModelError(
            f"What {info.url} sent is not the published file of {info.title} (its SHA-256 "
            f"differs): try again later, or {by_hand(info, file.parent)}."
        ) from error
    except OSError as error:
        raise StorageError(
            f"{str(file)!r} cannot be written ({error.strerror or error}): free space, or pass "
            "the path of a file that you have."
        ) from error


class _Meter:
    """What pooch takes for a progress bar; asks whether to go on at every chunk."""

    def __init__(
        self,
        info: PredictorInfo,
        progress: Callable[[float, str], None] | None,
        cancel: threading.Event | None,
    ) -> None:
        self.total = 0  # pooch puts here what the server says
        self._size = info.size
        self._done = 0
        self._progress = progress
        self._cancel = cancel
        self._message = f"downloading {info.title}"

    def update(self, count: int) -> None:
        """Count bytes.

        Raises
        ------
        Cancelled
            If the user has cancelled.
        """
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("The download was cancelled; nothing was kept.")
        self._done += count
        total = self.total or self._size
        if self._progress is not None and total:
            self._progress(min(1.0, self._done / total), self._message)

    def reset(self) -> None:
        """Start to count anew."""
        self._done = 0

    def close(self) -> None:
        """Say that everything has arrived."""
        if self._progress is not None:
            self._progress(1.0, self._message)
