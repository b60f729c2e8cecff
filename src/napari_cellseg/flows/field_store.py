"""A flow field on disk: written and read block by block, so that it may be larger than memory."""

import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.flows import _field_codes as codes
from napari_cellseg.flows._field_layout import (
    KEY,
    VERSION,
    array_types,
    check_described,
    describe,
    is_field_store,
    part_of,
    write_empty,
)
from napari_cellseg.volume.atomic import replacing
from napari_cellseg.volume.memory import check_memory
from napari_cellseg.volume.read import existing_path
from napari_cellseg.volume.zarr_store import attributes

if TYPE_CHECKING:
    from napari_cellseg.flows.field import FlowField

Precision = Literal["float16", "int8"]

_SLAB_BYTES = 256 << 20


class FieldStore:
    """A zarr v3 group with the arrays ``flow`` and ``logits``, made by `create` or `open`.

    What was never written reads as background: flow 0, a logit far below every threshold.

    Attributes
    ----------
    path : Path
        Folder of the group.
    shape : tuple of int
        ``([t,] [z,] y, x)``.
    spacing : tuple of float
        ``(z, y, x)`` in µm.
    chunks : tuple of int
        ``([z,] y, x)`` of one frame: two processes may write at the same time what is in
        different chunks.
    precision : str
        ``"float16"``, or ``"int8"``: flow in steps of 1/127, logits in steps of 1/16 from -7.9
        to 7.9 (what is beyond is stored as the end).
    recipe : dict
        What the field was made from, as given to `create`.
    has_disagreement, stitched : bool
        See `FlowField`.
    """

    def __init__(self, path: Path, described: Mapping[str, Any]) -> None:
        self.path = path
        self.shape: tuple[int, ...] = tuple(described["shape"])
        self.has_time = bool(described["has_time"])
        z, y, x = described["spacing"]
        self.spacing: tuple[float, float, float] = (float(z), float(y), float(x))
        self.chunks: tuple[int, ...] = tuple(described["chunks"])
        self.precision: Precision = described["precision"]
        self.has_disagreement = bool(described["disagreement"])
        self.stitched = bool(described["stitched"])
        self.recipe: dict[str, Any] = dict(described["recipe"])
        self._arrays: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"FieldStore({str(self.path)!r}, {self.shape}, {self.precision})"

    # Arrays are opened again in every process that a store is sent to.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.shape) - self.has_time

    @property
    def n_times(self) -> int:
        """Number of frames; 1 without a time axis."""
        return self.shape[0] if self.has_time else 1

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape ``([z,] y, x)`` of one frame."""
        return self.shape[self.has_time :]

    @property
    def nbytes(self) -> int:
        """Bytes of flow and logits once they are in memory."""
        return math.prod(self.shape) * (self.ndim + 1) * 2

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        shape: Sequence[int],
        spacing: Sequence[float],
        *,
        time: bool | None = None,
        chunks: Sequence[int] | None = None,
        precision: Precision = "float16",
        disagreement: bool = False,
        stitched: bool = False,
        recipe: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> "FieldStore":
        """Make an empty store; it appears whole or not at all.

        Parameters
        ----------
        path : path-like
            Folder to make.
        shape : sequence of int
            ``([t,] [z,] y, x)``.
        spacing : sequence of float
            ``(z, y, x)`` in µm; ``(y, x)`` is accepted for planes.
        time : bool, optional
            Whether the first axis is time. By default only for four axes, so it must be said for
            planes with time.
        chunks : sequence of int, optional
            ``([z,] y, x)``; by default 64 a side, in planes 512.
        precision : str
            ``"float16"`` or ``"int8"``.
        disagreement : bool
            Whether the disagreement of the orientations is kept too.
        stitched : bool
            Whether planes are to be labelled each by itself, see `FlowField`.
        recipe : mapping, optional
            What the field is made from; JSON-able.
        overwrite : bool
            Whether a field that is there may be replaced; nothing else ever is.

        Raises
        ------
        InputError
            If a parameter is not usable.
        StorageError
            If something is there already, or nothing can be written.
        """
        described = describe(shape, spacing, time, chunks, precision)
        described |= {"disagreement": disagreement, "stitched": stitched}
        described["recipe"] = json.loads(json.dumps(dict(recipe or {})))
        target = Path(path)
        check_replaceable(target, overwrite)
        with replacing(target, overwrite=overwrite) as temporary:
            write_empty(temporary, described)
        return cls(target, described)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "FieldStore":
        """Open a store that `create` made; voxels are read later.

        Raises
        ------
        InputError
            If there is nothing at `path`, or something else than a flow field.
        StorageError
            If the field is damaged, or of a newer version.
        """
        folder = existing_path(path)
        if not is_field_store(folder):
            raise InputError(
                f"{str(folder)!r} is no flow field of napari-cellseg: pass the folder that "
                "FlowField.save or segment --field wrote."
            )
        described = attributes(folder)[KEY]
        if isinstance(described, dict) and described.get("version", VERSION) != VERSION:
            raise StorageError(
                f"flow field {folder.name!r} is of version {described['version']} but this "
                f"program reads version {VERSION}: update napari-cellseg."
            )
        try:
            _check(store := cls(folder, check_described(described)))
        except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
            raise _damaged(folder, error) from error
        return store

    def read(
        self, region: Sequence[slice], t: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Part of one frame.

        Parameters
        ----------
        region : sequence of slice
            One per spatial axis.
        t : int
            Frame.

        Returns
        -------
        flow : array of float32, (D, [z,] y, x)
        logits : array of float32, ([z,] y, x)

        Raises
        ------
        InputError
            If the region or the frame does not lie in the field.
        StorageError
            If a chunk is damaged.
        """
        part = self._part(region, t)
        frame = part[: -self.ndim]
        flow = self._get("flow", (*frame, slice(None), *part[-self.ndim :]))
        return codes.flow_values(flow), codes.logit_values(self._get("logits", part))

    def read_disagreement(self, region: Sequence[slice], t: int = 0) -> NDArray[np.uint8] | None:
        """Disagreement of the orientations in part of one frame; None if it was not kept."""
        part = self._part(region, t)
        if not self.has_disagreement:
            return None
        return np.asarray(self._get("disagreement", part), np.uint8)

    def write(
        self,
        region: Sequence[slice],
        flow: NDArray[np.floating],
        logits: NDArray[np.floating],
        disagreement: NDArray[np.uint8] | None = None,
        t: int = 0,
    ) -> None:
        """Store part of one frame.

        Parameters
        ----------
        region : sequence of slice
            One per spatial axis. Parts that share a chunk must not be written at the same time.
        flow : array of float, (D, [z,] y, x)
        logits : array of float, ([z,] y, x)
        disagreement : array of uint8, ([z,] y, x), optional
            Ignored by a store that does not keep it.
        t : int
            Frame.

        Raises
        ------
        InputError
            If shapes do not fit, or a value is not finite.
        StorageError
            If it cannot be written.
        """
        part = self._part(region, t)
        size = tuple(one.stop - one.start for one in part[-self.ndim :])
        if flow.shape != (self.ndim, *size) or logits.shape != size:
            raise InputError(
                f"A flow of shape {flow.shape} and logits of shape {logits.shape} do not fit a "
                f"part of {size} voxels."
            )
        if not (np.isfinite(flow).all() and np.isfinite(logits).all()):
            raise InputError("The flow or the logits hold NaN or infinite values; replace them.")
        frame = part[: -self.ndim]
        whole = (*frame, slice(None), *part[-self.ndim :])
        self._put("flow", whole, codes.flow_code(flow, self.precision))
        self._put("logits", part, codes.logit_code(logits, self.precision))
        if self.has_disagreement and disagreement is not None:
            self._put("disagreement", part, np.asarray(disagreement, np.uint8))

    def load(self) -> "FlowField":
        """The whole field in memory, in float16: the same numbers as `read` gives.

        Raises
        ------
        InputError
            If it does not fit into memory.
        """
        from napari_cellseg.flows.field import FlowField

        check_memory(self.nbytes, f"Reading flow field {self.path.name!r}")
        frames = self.shape[: self.has_time]
        flow = np.empty((*frames, self.ndim, *self.spatial_shape), np.float16)
        logits = np.empty(self.shape, np.float16)
        more: dict[str, Any] = {"stitched": True} if self.stitched else {}
        if self.has_disagreement:
            more["disagreement"] = np.empty(self.shape, np.uint8)
        for t, part in itertools.product(range(self.n_times), self.slabs()):
            at = (t,) if self.has_time else ()
            flow[(*at, slice(None), *part)], logits[(*at, *part)] = self.read(part, t)
            if self.has_disagreement:
                more["disagreement"][(*at, *part)] = self.read_disagreement(part, t)
        return FlowField(flow, logits, self.spacing, **more)

    def slabs(self) -> list[tuple[slice, ...]]:
        """Rows of chunks that cover a frame, of a few hundred megabytes."""
        length, *others = self.spatial_shape
        layer = math.prod(others) * (self.ndim + 1) * 4
        step = max(1, _SLAB_BYTES // (layer * self.chunks[0])) * self.chunks[0]
        whole = tuple(slice(0, n) for n in others)
        return [(slice(a, min(a + step, length)), *whole) for a in range(0, length, step)]

    def _part(self, region: Sequence[slice], t: int) -> tuple[Any, ...]:
        """Index of a region of one frame in the logits."""
        if not 0 <= t < self.n_times:
            raise InputError(f"There is no frame {t}: the field has {self.n_times}.")
        inside = part_of(region, self.spatial_shape)
        return ((int(t),) if self.has_time else ()) + inside

    def _array(self, name: str) -> Any:
        found = self._arrays.get(name)
        if found is None:
            import zarr

            try:
                found = zarr.open_array(self.path / name, mode="r+")
            except Exception as error:  # zarr raises whatever damaged metadata make it raise
                raise _damaged(self.path, error) from error
            self._arrays[name] = found
        return found

    def _get(self, name: str, index: tuple[Any, ...]) -> NDArray[Any]:
        array = self._array(name)
        try:
            values = np.asarray(array[index])
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ValueError(f"NaN or infinite values in {name}")
            return values
        except Exception as error:  # decoders raise whatever they like
            raise _damaged(self.path, error) from error

    def _put(self, name: str, index: tuple[Any, ...], values: NDArray[Any]) -> None:
        array = self._array(name)
        try:
            array[index] = values
        except OSError as error:
            raise StorageError(
                f"flow field {str(self.path)!r} cannot be written ({error.strerror or error}): "
                "free space or choose another place."
            ) from error


def save_field(
    field: "FlowField",
    path: str | os.PathLike[str],
    precision: Precision = "float16",
    *,
    recipe: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> FieldStore:
    """Write a field that is in memory; it appears whole or not at all.

    Parameters, errors: see `FieldStore.create`.
    """
    target = Path(path)
    check_replaceable(target, overwrite)
    with replacing(target, overwrite=overwrite) as temporary:
        store = FieldStore.create(
            temporary,
            field.shape,
            field.spacing,
            time=field.has_time,
            precision=precision,
            disagreement=field.disagreement is not None,
            stitched=field.stitched,
            recipe=recipe,
        )
        for t, part in itertools.product(range(store.n_times), store.slabs()):
            at = (t,) if store.has_time else ()
            kept = None if field.disagreement is None else field.disagreement[(*at, *part)]
            flow = field.flow[(*at, slice(None), *part)]
            store.write(part, flow, field.logits[(*at, *part)], kept, t)
    store.path = target
    return store


def check_replaceable(path: Path, overwrite: bool) -> None:
    """Raise StorageError if something else than a flow field would be replaced."""
    if overwrite and os.path.lexists(path) and not is_field_store(path):
        raise StorageError(
            f"{str(path)!r} is no flow field of napari-cellseg, so it is not replaced: "
            "choose another name."
        )


def _check(store: FieldStore) -> None:
    """Raise unless the arrays are what the group says."""
    space = store.spatial_shape
    frames = store.shape[: store.has_time]
    for name, (kind, _) in array_types(store.precision, store.has_disagreement).items():
        array = store._array(name)
        wanted = (*frames, store.ndim, *space) if name == "flow" else (*frames, *space)
        if array.shape != wanted or array.dtype != np.dtype(kind):
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
        if tuple(array.chunks[-store.ndim :]) != store.chunks:
            raise ValueError(f"{name} has chunks {array.chunks}")


def _damaged(folder: Path, error: Exception) -> StorageError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return StorageError(f"flow field {folder.name!r} is damaged ({reason}): make it again.")
