"""Images that do not fit into memory: segmented block by block into a store."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellseg.session.crops import crop_of
from napari_cellseg.session.records import Availability
from napari_cellseg.session.session_fields import SessionFields
from napari_cellseg.session.session_labels import cells
from napari_cellseg.volume.memory import SEGMENTING, available_memory
from napari_cellseg.worker import JobContext, JobState, operation

if TYPE_CHECKING:
    from napari_cellseg.flows.blockwise import StoreResult
    from napari_cellseg.volume import Volume
    from napari_cellseg.worker import Job

_SMALL = 2**20
"""Bytes that any machine has."""
_FRESH = 2.0
"""Seconds for which the memory that was available counts."""
_LARGE = Availability(
    False,
    "This image does not fit into memory as a whole: segment a region of it, or all of it into a "
    "store.",
)


@operation("segment store", uses_torch=True)
def segment_store(
    context: JobContext,
    *,
    volume: Volume,
    output: Path,
    model: str,
    checkpoint: Any,
    device: str,
    overwrite: bool,
    **parameters: Any,
) -> StoreResult:
    """Segment an image block by block; what is done stays done when it is cancelled."""
    from napari_cellseg.flows.blockwise import segment_store as run

    if context.memory.force_cpu and device != "cpu":
        context.models.clear(device)  # its memory is what ran out
        device = "cpu"
    return run(
        volume,
        output,
        model=model,
        checkpoint=checkpoint,
        device=device,
        overwrite=overwrite,
        progress=context.progress,
        cancel=context.cancel,
        **parameters,
    )


class SessionStores(SessionFields):
    """The part of a session that segments into stores."""

    _store_output: Path | None = None
    _asked = -math.inf
    _memory: int | None = None

    @property
    def too_large(self) -> bool:
        """Whether the image does not fit into memory to be segmented as a whole."""
        need = math.prod(self.label_shape) * SEGMENTING if self.volume is not None else 0
        if need < _SMALL:
            return False
        now = time.monotonic()
        if now - self._asked > _FRESH:  # asked for with every stroke of a brush
            self._asked, self._memory = now, available_memory()
        return self._memory is not None and need > self._memory

    @property
    def growing(self) -> Path | None:
        """While a store is segmented, where its labels grow: a zarr array, once there is one."""
        if self._store_output is None or "segment_store" not in self._jobs:
            return None
        return _work_folder(self._store_output) / "cells" / "0"

    def segment_store(self, output: str | Path, overwrite: bool = False) -> Job:
        """Segment the whole image block by block into a multiscale OME-Zarr store.

        `label_store` is that store afterwards. A run that was cancelled, or whose process ended,
        goes on where it was when it is started again with the same settings.

        Parameters
        ----------
        output : path
            ``.ome.zarr``.
        overwrite : bool
            Replace labels that are there, and an unfinished run with other settings.
        """
        self._need("segment_store")
        path, volume = Path(output).absolute(), self._given(self.volume)
        arguments = {**self._run_arguments(), "output": path, "overwrite": overwrite}
        self._store_output = path

        def land(result: StoreResult) -> None:
            self.know_label_store(result.path)
            self._notices_of_run(tuple(result.notices))
            self._idle_text = f"{cells(len(result.table))} in {result.path.name}"

        def ended(job: Job) -> None:
            stopped = job.state in (JobState.CANCELLED, JobState.FAILED)
            if stopped and self.volume is volume and _work_folder(path).is_dir():
                self._notice_for_now(
                    f"What is done of {path.name} is kept: segment into it again, with the same "
                    "settings, to go on."
                )

        return self._submit("segment_store", "segment store", arguments, land, ended=ended)

    def _availability(self) -> dict[str, Availability]:
        found = super()._availability()
        store = found["segment"]
        if store and crop_of(self.volume) is not None:
            store = found["segment_region"]
        if found["segment"] and self.too_large:
            found["segment"] = _LARGE
        return {**found, "segment_store": store}


def _work_folder(output: Path) -> Path:
    """Where a run keeps what is done; as `flows.blockwise.work` has it, which is slow to import."""
    return output.with_name(f"{output.name}.partial")


def growing_logits(growing: Path) -> Path:
    """Where the cell probability grows that labels will be made of."""
    return growing.parent.parent / "field" / "logits"
