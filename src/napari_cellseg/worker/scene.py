"""What prompts are asked of: an image, how it is shown to the model, and which model."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.prompts.plane_view import Limits, Plane, pixel_size, read_plane

if TYPE_CHECKING:
    from napari_cellseg.prompts import EmbeddingCache, Predictor
    from napari_cellseg.prompts.clicker import Clicker
    from napari_cellseg.volume import Volume

Files = Path | tuple[Path, ...] | None
Names = tuple[str, ...]

RECENT = 16
"""Planes whose reading, hashing and first answer are remembered."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything besides the prompts that an answer depends on; plain values.

    Attributes
    ----------
    owner : str
        Whose scene it is; scenes of one owner share nothing with those of another.
    revision : int
        Counts the changes of image, contrast or model.
    volume : Volume
    channels : tuple of int
        One, or two or three as a composite.
    limits : tuple of (two floats or None)
        One for each channel: values shown as black and white.
    model : str
        Name of a predictor.
    checkpoint : path or paths, optional
    framing : str, optional
    device : str
    """

    owner: str
    revision: int
    volume: Volume
    channels: tuple[int, ...] = (0,)
    limits: tuple[Limits | None, ...] = (None,)
    model: str = "mobile-sam"
    checkpoint: Files = None
    framing: str | None = None
    device: str = "auto"

    def on(self, device: str) -> Scene:
        """Return the scene on another device."""
        return replace(self, device=device)


class _Clickers:
    """The clickers of the planes used last, of all scenes; safe to use from every lane."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, str, Plane], tuple[Names, Clicker]] = OrderedDict()
        self._past: dict[str, int] = {}
        self._lock = threading.Lock()

    def get(
        self,
        scene: Scene,
        plane: Plane,
        predictor: Predictor,
        names: Names,
        make: Callable[[], Clicker],
    ) -> Clicker:
        key = (scene.owner, scene.revision, str(predictor.device), plane)
        with self._lock:
            known, clicker = self._kept.get(key, ((), None))
            if clicker is not None and known == names and clicker.prompter.predictor is predictor:
                self._kept.move_to_end(key)
                return clicker
        clicker = make()
        with self._lock:
            if scene.revision < self._past.get(scene.owner, scene.revision):
                return clicker  # let go of meanwhile: its image must not stay
            self._kept[key] = names, clicker
            while len(self._kept) > RECENT:
                self._kept.popitem(last=False)
        return clicker

    def forget(self, owner: str, before: int | None) -> None:
        with self._lock:
            if before is not None:
                self._past[owner] = before
            for key in [key for key in self._kept if key[0] == owner]:
                del self._kept[key]

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


_clickers = _Clickers()
_cache: EmbeddingCache | None = None
_cache_lock = threading.Lock()


def embedding_cache() -> EmbeddingCache:
    """Return the embedding cache of this process, made on first use."""
    global _cache
    from napari_cellseg.prompts import EmbeddingCache

    with _cache_lock:
        if _cache is None:
            _cache = EmbeddingCache()
        return _cache


def configure_cache(folder: Path | None = None, limit: int | None = None) -> None:
    """Choose where embeddings are kept on disk, and how many bytes of them.

    Parameters
    ----------
    folder : Path, optional
        Holds the folder ``embeddings``; the user's cache folder by default.
    limit : int, optional
        Bytes; the cache's own default without it.
    """
    global _cache
    from napari_cellseg.prompts import EmbeddingCache
    from napari_cellseg.prompts.disk_cache import DEFAULT_LIMIT, default_folder

    wanted = default_folder() if folder is None else folder / "embeddings"
    most = DEFAULT_LIMIT if limit is None else limit
    with _cache_lock:
        if _cache is None or _cache.disk.folder != wanted:
            _cache = EmbeddingCache(wanted, disk_limit=most)
        elif _cache.disk.limit != most:
            _cache.resize(disk=most)


def forget_scenes(owner: str, before: int | None = None) -> None:
    """Let go of the planes of a scene's owner, whose viewer or image is gone.

    Parameters
    ----------
    owner : str
    before : int, optional
        Planes of earlier revisions than this are not kept any more, even if work on one that is
        under way comes back to them.
    """
    _clickers.forget(owner, before)


def release_clickers() -> None:
    """Let go of all planes, which hold on to their models: a device's memory is needed."""
    _clickers.clear()


def clicker_of(scene: Scene, plane: Plane, predictor: Predictor) -> Clicker:
    """Return what answers prompts on a plane; the plane is not encoded by this.

    Raises
    ------
    InputError
        If the image has no such plane or channel.
    """
    from napari_cellseg.prompts.clicker import Clicker
    from napari_cellseg.prompts.plane_prompter import PlanePrompter

    def make() -> Clicker:
        pixels = read_plane(scene.volume, plane, scene.channels, scene.limits)
        prompter = PlanePrompter(
            predictor,
            embedding_cache(),
            pixels,
            scene.limits[0] if len(scene.channels) == 1 else None,
            orientation=plane.orientation,
            pixel=pixel_size(plane, scene.volume.spacing),
        )
        return Clicker(prompter)

    return _clickers.get(scene, plane, predictor, _composite_names(scene, plane), make)


def _composite_names(scene: Scene, plane: Plane) -> Names:
    """Hashes of a composite's channels: its picture is a copy, which edits would not show in.

    Empty for one channel, whose own pixels are watched, and for lazy images, which stay.
    """
    from napari_cellseg.prompts.cache_key import content_digest

    if scene.volume.rgb or len(scene.channels) < 2:
        return ()
    planes = [read_plane(scene.volume, plane, (channel,)) for channel in scene.channels]
    return tuple(content_digest(one) for one in planes if isinstance(one, np.ndarray))
