"""The fused flow field: what the networks said about a volume, before anything is decided."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.flows.label_flows import check_spacing

if TYPE_CHECKING:
    from napari_cellseg.flows.basin_index import BasinIndex
    from napari_cellseg.flows.device_integration import DeviceIntegration
    from napari_cellseg.flows.integrate import Integration
    from napari_cellseg.flows.progress import Progress

_CHECK_BYTES = 64 << 20


class FlowField:
    """Flow towards cell centres and cell probability, for a plane or volume, with or without time.

    Parameters
    ----------
    flow : array of float16 or float32, shape ([t,] D, [z,] y, x)
        Components ``(dz, dy, dx)``, or ``(dy, dx)`` for planes: a direction in physical
        (isotropic) space towards the cell's centre, length at most 1; a shorter one means doubt.
        float64 is stored as float32, float16 and float32 are kept without a copy.
    logits : array of float16 or float32, shape ([t,] [z,] y, x)
        Cell probability as a logit.
    spacing : sequence of float
        Spacing ``(z, y, x)`` in µm; ``(y, x)`` is accepted for planes.
    disagreement : array of uint8, shape ([t,] [z,] y, x), optional
        How far the orientations that were fused disagree: 255 times half the root mean square
        difference of their flow components; 0 where they agree.
    stitched : bool
        Whether the planes of a volume were predicted by themselves (dz is 0): each is labelled by
        itself then, and its sections are joined with those of its neighbours by overlap.

    Attributes
    ----------
    flow, logits : numpy.ndarray
        The arrays as given.
    spacing : tuple of float
        ``(z, y, x)`` in µm.
    disagreement : numpy.ndarray or None
    stitched : bool

    Raises
    ------
    InputError
        If shapes do not fit each other, a type is not floating point, a value is not finite, or
        the spacing is not usable; if planes without a volume are to be stitched.
    """

    def __init__(
        self,
        flow: ArrayLike,
        logits: ArrayLike,
        spacing: Sequence[float],
        *,
        disagreement: ArrayLike | None = None,
        stitched: bool = False,
    ) -> None:
        self.flow = _floating(flow, "flow")
        self.logits = _floating(logits, "logits")
        self.has_time = _has_time(self.flow.shape, self.logits.shape)
        self.ndim = self.logits.ndim - self.has_time
        if self.logits.size == 0:
            raise InputError(f"The logits have an empty axis (shape {self.logits.shape}).")
        steps = check_spacing(spacing)
        if self.ndim == 3 and len(spacing) != 3:
            raise InputError(
                f"The spacing {spacing!r} of a volume must be three numbers (z, y, x)."
            )
        z, y, x = steps.tolist()
        self.spacing: tuple[float, float, float] = (z, y, x)
        _require_finite(self.flow, "flow")
        _require_finite(self.logits, "logits")
        self.disagreement = _eighth(disagreement, self.logits.shape)
        if stitched and self.ndim == 2:
            raise InputError("A field of single planes has no neighbours to be stitched with.")
        self.stitched = bool(stitched)
        self._planes: dict[int, FlowField] = {}
        self._integrations: dict[int, Integration] = {}
        self._on_device: dict[int, DeviceIntegration] = {}
        self._indexes: dict[int, BasinIndex] = {}
        self._lock = threading.Lock()
        self._indexing = threading.Lock()

    def __repr__(self) -> str:
        axes = ("t" if self.has_time else "") + "zyx"[3 - self.ndim :]
        return f"FlowField({axes} {self.shape}, {self.flow.dtype}, spacing={self.spacing} µm)"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape ``([t,] [z,] y, x)``."""
        return self.logits.shape

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape ``([z,] y, x)`` of one frame."""
        return self.logits.shape[self.has_time :]

    @property
    def n_times(self) -> int:
        """Number of frames; 1 without a time axis."""
        return self.logits.shape[0] if self.has_time else 1

    @property
    def nbytes(self) -> int:
        """Bytes of flow, logits and disagreement."""
        more = 0 if self.disagreement is None else self.disagreement.nbytes
        return self.flow.nbytes + self.logits.nbytes + more

    def frame(self, t: int = 0) -> "FlowField":
        """Frame `t` as a field without time; it shares the arrays and what was prepared.

        Raises
        ------
        InputError
            If there is no frame `t`.
        """
        self._check_time(t)
        if not self.has_time:
            return self
        part = object.__new__(FlowField)
        part.flow, part.logits = self.flow[t], self.logits[t]
        part.has_time, part.ndim, part.spacing = False, self.ndim, self.spacing
        part.disagreement = None if self.disagreement is None else self.disagreement[t]
        part.stitched = self.stitched
        part._lock, part._indexing = threading.Lock(), threading.Lock()
        with self._lock:
            part._integrations = {0: self._integrations[t]} if t in self._integrations else {}
            part._indexes = {0: self._indexes[t]} if t in self._indexes else {}
            part._on_device = {}
            part._planes = {0: self._planes[t]} if t in self._planes else {}
        return part

    def save(
        self,
        path: str | Path,
        precision: Literal["float16", "int8"] = "float16",
        *,
        overwrite: bool = False,
    ) -> None:
        """Write the field to a folder, as a zarr group that `open` reads.

        Parameters
        ----------
        path : path
            Folder to make.
        precision : str
            ``"float16"``, or ``"int8"`` at half the size: flow in steps of 1/127, logits in steps
            of 1/16 from -7.9 to 7.9.
        overwrite : bool
            Whether a field that is there may be replaced; nothing else ever is.

        Raises
        ------
        StorageError
            If something is there already, or nothing can be written.
        """
        from napari_cellseg.flows.field_store import save_field

        save_field(self, path, precision, overwrite=overwrite)

    @classmethod
    def open(cls, path: str | Path) -> "FlowField":
        """Read a field that was saved; one larger than memory: `napari_cellseg.FieldStore.open`.

        Raises
        ------
        InputError
            If there is no field at `path`, or it does not fit into memory.
        StorageError
            If it is damaged.
        """
        from napari_cellseg.flows.field_store import FieldStore

        return FieldStore.open(path).load()

    def prepare(
        self,
        *,
        clicks: bool = True,
        threads: int | None = None,
        device: str = "cpu",
        progress: "Progress | None" = None,
    ) -> "FlowField":
        """Integrate every frame once and keep the trajectories, so that re-labelling is fast.

        Parameters
        ----------
        clicks : bool
            Index every frame for `basin` too; without, the first click on a frame does so.
        threads : int, optional
            Number of threads; by default one per core. Results do not depend on it.
        device : str
            ``"cpu"``, or a torch device (``"cuda"``, ``"mps"``).
        progress : Progress, optional
            Told of every frame; stops the work when cancelled.

        Returns
        -------
        FlowField
            This field.
        """
        for t in range(self.n_times):
            if progress is not None:
                progress(t / self.n_times, "following the flow")
            if self.stitched:  # there are no 3D basins to click on
                planes = self.planes(t)
                planes.prepare(clicks=False, threads=threads, device=device, progress=progress)
                continue
            self.integration(t, threads=threads, device=device, progress=progress)
            if clicks:
                from napari_cellseg.flows.basin import prepare_clicks

                prepare_clicks(self, t, threads=threads, device=device, progress=progress)
        return self

    def basin(
        self,
        positive: ArrayLike = (),
        negative: ArrayLike = (),
        box: Sequence[float] | None = None,
        *,
        t: int = 0,
        probability: float = 0.5,
    ) -> NDArray[np.bool_]:
        """The whole object that points and a box name; rules and errors: `.basin.basin_region`.

        Parameters
        ----------
        positive, negative : array of float, shape (n, D)
            Voxels ``(z, y, x)``, or ``(y, x)`` in planes, that are in the object, or are not.
        box : 2 D floats, optional
            ``(z0, y0, x0, z1, y1, x1)``, or ``(y0, x0, y1, x1)``, that bounds it.
        t : int
            Frame.
        probability : float
            Cell probability above which a voxel is foreground.

        Returns
        -------
        numpy.ndarray, bool, shape ([z,] y, x)
            Nowhere true where nothing was found.
        """
        from napari_cellseg.flows.basin import basin_region

        found = basin_region(self, positive, negative, box, t=t, probability=probability)
        return found.painted(self.spatial_shape)

    def integration(
        self,
        t: int = 0,
        *,
        floor: float | None = None,
        threads: int | None = None,
        device: str = "cpu",
        progress: "Progress | None" = None,
    ) -> "Integration":
        """Trajectories of frame `t`, computed on first use and kept.

        Parameters
        ----------
        t : int
            Frame.
        floor : float, optional
            Logit that must be covered; what is kept is integrated again where it covers less.
        threads : int, optional
            Number of threads; by default one per core.
        device : str
            ``"cpu"``, or a torch device.
        progress : Progress, optional
            Stops the work when cancelled.

        Raises
        ------
        InputError
            If there is no frame `t`, or planes are stitched: nothing flows between those.
        """
        from napari_cellseg.flows.integrate import LOOSEST, integrate

        self._check_time(t)
        if self.stitched:
            raise InputError(
                "This field was predicted in xy planes only, so there is no 3D flow to follow: "
                "segment with another fusion to click on cells or to review them by their flow."
            )
        needed = LOOSEST if floor is None else min(LOOSEST, floor)
        with self._lock:  # two callers wait for one computation instead of doing it twice
            kept = self._integrations.get(t)
            if kept is None or kept.floor > needed:
                index = (t,) if self.has_time else ()
                kept = integrate(
                    self.flow[index],
                    self.logits[index],
                    self.spacing,
                    floor=needed,
                    threads=threads,
                    device=device,
                    progress=progress,
                )
                self._integrations[t] = kept
        return kept

    def planes(self, t: int = 0) -> "FlowField":
        """The planes of frame `t` of a volume, as frames of a 2D field; kept, and no copy."""
        part = self.frame(t)
        with self._lock:
            if t not in self._planes:
                flow = part.flow[1:].swapaxes(0, 1)
                self._planes[t] = FlowField(flow, part.logits, self.spacing)
            return self._planes[t]

    def kept_integration(self, t: int = 0, *, floor: float | None = None) -> "Integration | None":
        """Trajectories of frame `t`, where they are known already down to `floor`."""
        self._check_time(t)
        with self._lock:
            kept = self._integrations.get(t)
        return kept if kept is not None and (floor is None or kept.floor <= floor) else None

    def hand_over(self, trajectories: "DeviceIntegration | None", t: int = 0) -> None:
        """Keep trajectories that a device made, there and here; None: let go of those there."""
        self._check_time(t)
        with self._lock:
            if trajectories is None:
                self._on_device.pop(t, None)
            else:
                self._on_device[t] = trajectories
                self._integrations[t] = trajectories.to_host()

    def handed_over(self, t: int, floor: float) -> "DeviceIntegration | None":
        """Trajectories of frame `t` that are on a device, if they go down to `floor`."""
        with self._lock:
            kept = self._on_device.get(t)
        return kept if kept is not None and kept.floor <= floor else None

    def _check_time(self, t: int) -> None:
        if not 0 <= t < self.n_times:
            raise InputError(f"There is no frame {t}: the field has {self.n_times}.")


def _floating(values: ArrayLike, name: str) -> NDArray[np.floating]:
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise InputError(f"The {name} are of type {array.dtype}, but float16 or float32 is needed.")
    if array.dtype.itemsize > 4 or not array.dtype.isnative:
        wanted = np.float32 if array.dtype.itemsize >= 4 else np.float16
        array = array.astype(wanted)
    return array


def _eighth(values: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype != np.uint8 or array.shape != shape:
        raise InputError(
            f"A disagreement of shape {array.shape} and type {array.dtype} does not fit logits of "
            f"shape {shape}: it must be uint8, and as large."
        )
    return array


def _has_time(flow: tuple[int, ...], logits: tuple[int, ...]) -> bool:
    """Whether there is a time axis, from the position of the axis of components."""
    if len(logits) in (2, 3) and flow == (len(logits), *logits):
        return False
    if len(logits) in (3, 4) and flow == (logits[0], len(logits) - 1, *logits[1:]):
        return True
    raise InputError(
        f"A flow of shape {flow} does not fit logits of shape {logits}: it must be "
        "([t,] D, [z,] y, x) for logits ([t,] [z,] y, x), with D = 3, or 2 for planes."
    )


def _require_finite(array: NDArray[np.floating], name: str) -> None:
    """Check in pieces, so that no boolean copy of a large array is made."""
    flat = array.reshape(array.shape[0], -1) if array.flags.c_contiguous else array
    step = max(1, _CHECK_BYTES // max(1, array.nbytes // array.shape[0]))
    for start in range(0, array.shape[0], step):
        if not np.isfinite(flat[start : start + step]).all():
            raise InputError(f"The {name} hold NaN or infinite values; replace them first.")
