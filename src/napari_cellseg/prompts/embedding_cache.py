"""Embeddings by content: on the device, on the host, on disk, and encoded at most once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from napari_cellseg.errors import Cancelled, ModelError
from napari_cellseg.prompts.cache_key import EmbeddingKey, Precision, embedding_key
from napari_cellseg.prompts.cache_lru import ByteLRU
from napari_cellseg.prompts.cache_packed import Packed, pack
from napari_cellseg.prompts.disk_cache import DEFAULT_LIMIT, DiskCache
from napari_cellseg.prompts.embedding import Embedding

if TYPE_CHECKING:
    import torch

    from napari_cellseg.prompts.predictor import Predictor

DEVICE_LIMIT = 512 * 2**20
HOST_LIMIT = 2**30

_POLL = 0.05  # seconds between looks at the token while another thread encodes


@dataclass(eq=False)
class _Flight:
    """An embedding on its way: the first to ask fetches it, the others wait for it."""

    done: threading.Event = field(default_factory=threading.Event)
    packed: Packed | None = None  # stays None if its thread found or made nothing to share


class EmbeddingCache:
    """Planes encoded once, remembered by what is in them.

    Three levels: ready for the decoder on its device, packed on the host, and on disk; each is
    bounded in bytes and forgets what was used longest ago. All three hold the same values: an
    embedding is rounded to `precision` before it is first handed out, so that a click gives the
    same mask whether its plane was encoded a moment or a year ago. A key covers the plane's
    values and whatever else the embedding depends on, so that one of another image, model or
    contrast is never used, and nobody needs to be asked.

    Every method may be called from any thread. Only `get` encodes; a thread that waits there for
    another's encoding holds nobody else up.

    Parameters
    ----------
    folder : path, optional
        For the entries on disk; in the user's cache folder by default.
    device_limit, host_limit, disk_limit : int
        Bytes of each level. On a CPU the device level lies in the same memory as the host's and
        counts on top of it; features that are kept in the format they are handed out in are
        shared then, and counted in both. ``disk_limit=0`` keeps everything off the disk.
    precision : {"float16", "float32"}
        How floating-point features are kept. Half precision takes half the bytes and rounds each
        value to 2⁻¹¹ of itself. Features are handed out in the format they were encoded in.
    notice : callable, optional
        Told in one sentence when the folder cannot be used.

    Attributes
    ----------
    disk : DiskCache
    notices : list of str
        Every sentence that `notice` was told.
    precision : str
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        device_limit: int = DEVICE_LIMIT,
        host_limit: int = HOST_LIMIT,
        disk_limit: int = DEFAULT_LIMIT,
        precision: Precision = "float16",
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self.precision: Precision = precision
        self.notices: list[str] = []
        self.disk = DiskCache(folder, disk_limit, self._tell)
        self._notice = notice
        self._ready: ByteLRU[tuple[EmbeddingKey, str], Embedding] = ByteLRU(device_limit)
        self._host: ByteLRU[EmbeddingKey, Packed] = ByteLRU(host_limit)
        self._flights: dict[EmbeddingKey, _Flight] = {}
        self._lock = threading.Lock()

    @property
    def device_bytes(self) -> int:
        """Bytes ready for decoders, over all devices."""
        return self._ready.nbytes

    @property
    def host_bytes(self) -> int:
        """Bytes packed on the host."""
        return self._host.nbytes

    def key(
        self,
        predictor: Predictor,
        plane: ArrayLike,
        limits: tuple[float, float] | None = None,
        *,
        orientation: str = "xy",
    ) -> EmbeddingKey:
        """Name a plane's embedding; see `embedding_key`. Milliseconds: it reads the plane."""
        return embedding_key(
            predictor, plane, limits, orientation=orientation, precision=self.precision
        )

    def get(
        self,
        predictor: Predictor,
        plane: ArrayLike,
        limits: tuple[float, float] | None = None,
        *,
        orientation: str = "xy",
        key: EmbeddingKey | None = None,
        cancel: threading.Event | None = None,
    ) -> Embedding:
        """Return a plane's embedding on the predictor's device, encoding it if nobody has.

        Parameters
        ----------
        predictor : Predictor
        plane : array, (rows, cols) or (rows, cols, 3)
            A plane or a tile of one.
        limits : two floats, optional
            Values shown as black and white; percentiles of the plane by default.
        orientation : str
            ``"xy"``, ``"xz"`` or ``"yz"``.
        key : EmbeddingKey, optional
            From `key` for these same arguments, to spare hashing the plane again. It is checked
            against the plane before anything is encoded.
        cancel : threading.Event, optional
            Ends the waiting or the encoding.

        Returns
        -------
        Embedding
            The same object for every call, as long as the device level holds it.

        Raises
        ------
        InputError
            If the plane or the limits cannot be used.
        Cancelled
            If `cancel` was set. Others who wait for the same plane go on without this thread.
        ModelError
            If the predictor returns something other than this plane's embedding.
        """
        if key is None:
            key = self.key(predictor, plane, limits, orientation=orientation)
        device = predictor.device
        while True:
            ready = self._ready.get((key, _name(device)))
            if ready is not None:
                return ready
            flight, mine = self._join(key)
            if not mine:
                _wait(flight, cancel)
                if flight.packed is not None:
                    return self._hand_out(key, flight.packed, device)
                continue  # the other thread was cancelled or failed: this one tries itself
            try:
                ready = self.peek(key, device)  # it may have come since the first look
                if ready is not None:
                    return ready
                # A copy: what is encoded is then what was hashed, even if someone paints.
                plane = np.array(plane)
                now = self.key(predictor, plane, limits, orientation=orientation)
                if now != key:  # the plane was changed since it was named
                    key = now
                    continue
                _check(cancel)
                packed = self._packed(key, predictor.encode(plane, limits, cancel=cancel))
                ready = self._hand_out(key, packed, device)
                flight.packed = packed
            finally:
                self._land(flight)
            self.disk.write(key, packed)  # after the others were let go: it takes a while
            return ready

    def peek(self, key: EmbeddingKey, device: torch.device | str = "cpu") -> Embedding | None:
        """Return an embedding from memory or disk, or None; never encodes, never waits for it."""
        ready = self._ready.get((key, _name(device)))
        if ready is not None:
            return ready
        packed = self._host.get(key)
        if packed is None:
            packed = self.disk.read(key)
        return None if packed is None else self._hand_out(key, packed, device)

    def put(self, key: EmbeddingKey, embedding: Embedding) -> Embedding:
        """Remember an embedding that was made elsewhere; return it as `get` would.

        Raises
        ------
        ModelError
            If it is of another model or plane than the key.
        """
        packed = self._packed(key, embedding)
        ready = self._hand_out(key, packed, embedding.device)
        self.disk.write(key, packed)
        return ready

    def in_memory(self, key: EmbeddingKey, device: torch.device | str = "cpu") -> bool:
        """Whether `get` and `peek` answer at once: ready on the device, or one transfer away.

        False while the embedding is on disk only, or still being encoded.
        """
        return (key, _name(device)) in self._ready or key in self._host

    def resize(
        self, *, device: int | None = None, host: int | None = None, disk: int | None = None
    ) -> None:
        """Change limits (bytes) and forget what no longer fits."""
        if device is not None:
            self._ready.resize(device)
        if host is not None:
            self._host.resize(host)
        if disk is not None:
            self.disk.resize(disk)

    def release_device(self) -> None:
        """Free what lies on devices, when their memory ran out or they were lost."""
        self._ready.clear()

    def clear(self, *, disk: bool = True) -> None:
        """Forget everything, on disk too unless told otherwise."""
        self._ready.clear()
        self._host.clear()
        if disk:
            self.disk.clear()

    def _join(self, key: EmbeddingKey) -> tuple[_Flight, bool]:
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            self._flights[key] = flight = _Flight()
            return flight, True

    def _land(self, flight: _Flight) -> None:
        with self._lock:
            self._flights = {key: one for key, one in self._flights.items() if one is not flight}
        flight.done.set()

    def _packed(self, key: EmbeddingKey, embedding: Embedding) -> Packed:
        got = (embedding.family, embedding.fingerprint, embedding.framing, embedding.shape)
        if got != (key.family, key.fingerprint, key.framing, key.shape):
            raise ModelError(
                f"The predictor {embedding.family!r} gave the embedding of another plane, model "
                f"or framing than it was asked for ({key.family!r}): load the model again."
            )
        return pack(embedding, self.precision)

    def _hand_out(self, key: EmbeddingKey, packed: Packed, device: torch.device | str) -> Embedding:
        import torch

        packed = self._host.keep(key, packed)
        place = (key, _name(device))
        there = self._ready.get(place)
        if there is not None:
            return there
        try:
            embedding = packed.unpack(device)
        except torch.OutOfMemoryError:
            self._ready.clear()  # other planes can come back from the host
            embedding = packed.unpack(device)
        return self._ready.keep(place, embedding)

    def _tell(self, sentence: str) -> None:
        self.notices.append(sentence)
        if self._notice is not None:
            self._notice(sentence)


def _name(device: torch.device | str) -> str:
    """Name a device as its tensors do: "cuda" is "cuda:0", or whichever is current."""
    import torch

    return str(torch.empty(0, device=device).device)


def _check(cancel: threading.Event | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled("The encoding was cancelled.")


def _wait(flight: _Flight, cancel: threading.Event | None) -> None:
    if cancel is None:
        flight.done.wait()
        return
    while not flight.done.wait(_POLL):
        _check(cancel)
