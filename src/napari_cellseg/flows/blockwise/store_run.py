"""One blockwise segmentation: its stages, what it has told, and what it cost."""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.flows._field_layout import is_field_store
from napari_cellseg.flows.blockwise.executor import Distributed, InProcess
from napari_cellseg.flows.blockwise.label_output import (
    LabelSettings,
    described,
    fitting_chunk,
    write_labelled,
)
from napari_cellseg.flows.blockwise.predict_store import (
    STAGE,
    Prediction,
    hold_network,
    load,
    predict_jobs,
    predict_store,
)
from napari_cellseg.flows.blockwise.settle import Settled, settle
from napari_cellseg.flows.blockwise.source import Source
from napari_cellseg.flows.blockwise.stages import results
from napari_cellseg.flows.blockwise.work import FIELD, SUFFIX, Work
from napari_cellseg.flows.channels import Shown
from napari_cellseg.flows.field_store import FieldStore, check_replaceable
from napari_cellseg.flows.progress import Progress, Report
from napari_cellseg.flows.request import default_min_size
from napari_cellseg.networks import FlowNetwork
from napari_cellseg.volume import Volume
from napari_cellseg.volume.pyramid import VERSION as OME_VERSION
from napari_cellseg.volume.read import title
from napari_cellseg.volume.write_zarr import check_target

if TYPE_CHECKING:
    import pandas as pd

#: Share of sampled voxels below which the network is said to be unsure; see `advice.doubt`.
_SURE = 0.3


@dataclass(frozen=True, repr=False)
class StoreResult:
    """What a blockwise segmentation made.

    Attributes
    ----------
    path : Path
        OME-Zarr store with the labels under ``labels/cells``.
    table : pandas.DataFrame
        One row per instance, indexed by ``t`` and ``id``; see `Segmentation`.
    field : Path or None
        The flow field, if it was kept: `FieldStore.open` and `label_store` label it again.
    parameters : dict
        The recipe, ready for JSON.
    notices : tuple of str
        What the user should know, a sentence each.
    timings : dict of str to float
        Seconds per stage, of this run alone.
    """

    path: Path
    table: "pd.DataFrame"
    field: Path | None
    parameters: dict[str, Any]
    notices: tuple[str, ...] = ()
    timings: dict[str, float] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<StoreResult: {len(self.table):,} cells in {str(self.path)!r}>"


class StoreRun:
    """One run: where to, whom to tell, and what it has cost so far."""

    def __init__(
        self,
        output: Path,
        progress: Report | Progress | None,
        cancel: Event | None,
        overwrite: bool,
    ) -> None:
        self.output = output.absolute()
        self.overwrite = overwrite
        self.progress = progress if isinstance(progress, Progress) else Progress(progress, cancel)
        self.notices: list[str] = []
        self.timings: dict[str, float] = {}
        self.kept: Path | None = None

    def check_output(self, kept: Path | None) -> None:
        """Refuse, before any work, what could not be written at its end."""
        if self.output.suffix.lower() != ".zarr":
            raise InputError(
                f"Labels that are made block by block cannot be written as {self.output.name!r}: "
                "end the name in .ome.zarr."
            )
        if not self.output.parent.is_dir():
            raise StorageError(f"{str(self.output)!r} cannot be written: there is no such folder.")
        check_target(self.output, overwrite=self.overwrite)
        if kept is None:
            return
        self.kept = kept.absolute()
        if not self.kept.parent.is_dir():
            raise StorageError(f"{str(kept)!r} cannot be written: there is no such folder.")
        check_replaceable(self.kept, True)

    def segment(
        self,
        work: Work,
        source: Source,
        image: Volume,
        model: str | FlowNetwork,
        device: str,
        asked: dict[str, Any],
        where: int | str,
        before: "Callable[[pd.DataFrame], None] | None",
    ) -> StoreResult:
        """Predict the field, as far as that is not done, and label it."""
        with self._clock("load model"):
            self.progress(0.0, "loading the model")
            network = (
                load(model, tuple(asked["checkpoint"]), device) if isinstance(model, str) else model
            )
            hold_network(network, asked["model"], tuple(asked["checkpoint"]), device)
        channels = tuple(asked["channel"])
        shown = Shown.to(network, image, channels)
        with self._clock("settle"):
            settled = self._settled(work, network, shown, asked["diameter"])
        self.notices.extend(settled.notices)
        what = Prediction(
            source, asked["model"], tuple(asked["checkpoint"]), device, channels,
            tuple(settled.limits), settled.diameter, asked["fusion"],
        )  # fmt: skip
        made = {
            **{name: asked[name] for name in ("model", "checkpoint", "channel", "fusion", "block")},
            "limits": settled.limits,
            "diameter": settled.diameter,
            "cells": settled.cells,
            "spacing_known": image.spacing_known,
            "image": image.name if image.source is None else image.source.name,
            "version": version(),
        }
        parameters = {**asked, **made, "diameter": settled.cells}
        if parameters["min_size"] is None:
            size = default_min_size(settled.cells, image.spacing, image.is_3d)
            parameters["min_size"] = size
        with executor_for(where) as executor:
            with self._clock("predict"):
                store = self._field(work, what, image, network, executor, made, asked)
            return self.label(
                work, store, parameters, executor, made["image"], self.kept, before, 0.75
            )

    def label(
        self,
        work: Work,
        store: FieldStore,
        parameters: dict[str, Any],
        executor: "InProcess | Distributed",
        name: str,
        kept: Path | None,
        before: "Callable[[pd.DataFrame], None] | None",
        start: float = 0.0,
    ) -> StoreResult:
        """Label the field and finish the run."""
        known = bool(store.recipe.get("spacing_known", True))
        parameters = {**parameters, "spacing_known": known}
        settings = LabelSettings(
            parameters["probability"], parameters["min_size"], parameters["flow_error"]
        )
        recipe = {
            "version": version(),
            "image": name,
            "metadata": {"parameters": parameters, "ome_zarr": OME_VERSION},
        }
        with self._clock("label"):
            table = write_labelled(
                store, self.output, work, settings,
                described(store, title(self.output), known, recipe), executor,
                block=parameters["block"], progress=self.progress.part(start, 1.0),
                overwrite=self.overwrite, before=before,
            )  # fmt: skip
        work.remove()
        self.progress(1.0, f"{len(table):,} cells")
        return StoreResult(
            self.output, table, kept, parameters, tuple(self.notices), dict(self.timings)
        )

    def _settled(
        self, work: Work, network: FlowNetwork, shown: Shown, diameter: float | None
    ) -> Settled:
        found = work.kept("settled")
        if found is not None:
            try:
                return Settled.from_json(found)
            except (KeyError, TypeError, ValueError):
                work.drop(STAGE, "labels")
        settled = settle(network, shown, diameter, self.progress.part(0.0, 0.05))
        work.keep("settled", settled.as_json())
        return settled

    def _field(
        self,
        work: Work,
        what: Prediction,
        image: Volume,
        network: FlowNetwork,
        executor: "InProcess | Distributed",
        made: dict[str, Any],
        asked: dict[str, Any],
    ) -> FieldStore:
        """The field, predicted as far as it is not there yet."""
        place = work.folder / FIELD
        if self.kept is not None:
            place = self.kept.with_name(self.kept.name + SUFFIX)
            if self.kept.exists():
                store = FieldStore.open(self.kept)
                if store.recipe == made and store.shape == image.label_shape:
                    return store
                if not self.overwrite:
                    raise StorageError(
                        f"{str(self.kept)!r} is a field of another image or of other settings: "
                        "choose another name, or pass overwrite=True to replace it."
                    )
        if self.overwrite and is_field_store(place) and FieldStore.open(place).recipe != made:
            shutil.rmtree(place)
        if not place.exists():
            work.drop(STAGE)
            FieldStore.create(
                place, image.label_shape, image.spacing, time="t" in image.label_axes,
                chunks=field_chunks(image, asked["block"]), precision=asked["precision"],
                disagreement=image.is_3d and what.fusion != "xy", recipe=made,
                stitched=is_stitched(what.fusion, image),
            )  # fmt: skip
        store = FieldStore.open(place)
        if store.recipe != made or store.shape != image.label_shape:
            raise StorageError(f"{str(place)!r} is of another run: delete it, and run again.")
        block = asked["block"]
        span = self.progress.part(0.05, 0.75)
        predict_store(what, store, network, executor, work.folder, block=block, progress=span)
        self._tell_doubt(work, what, store, network, block, image)
        if self.kept is not None:
            if self.kept.exists():
                shutil.rmtree(self.kept)
            os.replace(place, self.kept)
            store = FieldStore.open(self.kept)
        return store

    def _tell_doubt(
        self, work: Work, what: Prediction, store: FieldStore, network: FlowNetwork,
        block: Any, image: Volume,
    ) -> None:  # fmt: skip
        jobs = predict_jobs(what, store, network, block)
        sure = sum(found["sure"] for _, found in results(work.folder, STAGE, jobs))
        share = float(sure[0] / sure[1])  # type: ignore[index]
        if share < _SURE:
            self.notices.append(
                f"The model “{network.title}” is sure of only {share:.0%} of {image.name!r}: "
                "check the diameter, or use another model."
            )

    @contextmanager
    def _clock(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.timings[stage] = time.perf_counter() - begun


def executor_for(where: int | str) -> InProcess | Distributed:
    """The process that asks for 1, others under dask.distributed for more or for an address."""
    return InProcess(where) if where == 1 else Distributed(where)


def is_stitched(fusion: str, image: Volume) -> bool:
    """Whether planes are labelled one by one and joined."""
    return fusion == "xy" and image.is_3d


def field_chunks(image: Volume, block: list[int] | None) -> tuple[int, ...] | None:
    """Chunks of the field of an image, of which a block is a whole number; None: as usual."""
    if block is None:
        return None
    usual = {"z": 64, "y": 64, "x": 64} if image.is_3d else {"y": 512, "x": 512}
    sizes = dict(zip("zyx", block, strict=True))
    return tuple(
        fitting_chunk(axis, sizes[axis], chunk, image.sizes[axis]) for axis, chunk in usual.items()
    )


def version() -> str:
    """Version of this program."""
    from napari_cellseg import __version__

    return str(__version__)
