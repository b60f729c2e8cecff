"""The operations of the prompt loop, by name; importing this module registers them.

Encoding a plane and answering a prompt are different operations in different lanes, so that a click
on a plane that is in the cache waits for no other plane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import ModelError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.worker.models import ModelCache
from napari_cellseg.worker.registry import JobContext, operation
from napari_cellseg.worker.scene import (
    Files,
    Scene,
    clicker_of,
    embedding_cache,
    release_clickers,
)

if TYPE_CHECKING:
    from napari_cellseg.flows import FlowField
    from napari_cellseg.flows.basin import Basin
    from napari_cellseg.prompts import Predictor
    from napari_cellseg.prompts.answer import Answer
    from napari_cellseg.prompts.clicker import PlanePrompts

Result = TypeVar("Result")

_lost: WeakKeyDictionary[ModelCache, set[str]] = WeakKeyDictionary()
"""Devices that stopped answering: a process does not get them back, and trying costs a loading."""


@dataclass(frozen=True)
class ModelFacts:
    """What the window shows of a loaded predictor."""

    title: str
    device: str
    points: bool
    box: bool
    mask: bool


@dataclass(frozen=True, eq=False)
class Encoded:
    """A plane that can be prompted now."""

    plane: Plane
    model: ModelFacts
    tiled: bool


def weights_missing(model: str, checkpoint: Files) -> str:
    """Say where a model's weights are expected, if they are not on this machine.

    Returns
    -------
    str
        One sentence; empty where they are there, or the user has named a file.
    """
    from napari_cellseg.prompts.download import by_hand, model_folder
    from napari_cellseg.prompts.registry import predictor_info

    info = predictor_info(model)
    file = model_folder() / info.file
    if checkpoint is not None:
        return ""
    if file.is_file():
        if info.size is None or file.stat().st_size == info.size:
            return ""
        return (
            f"{str(file)!r} is not the published file of {info.title} (its size differs): download "
            "it again, or put the right one there."
        )
    if info.family == "pa-sam":
        return (
            f"{info.title} needs two files, SAM's vit_b and its own decoder (from {info.page}): "
            f"choose both together, or put a merged file at {str(file)!r}."
        )
    fetch = "download them, or " if info.url is not None else ""
    return (
        f"The weights of {info.title} are not on this machine: "
        f"{fetch}{by_hand(info, model_folder())}."
    )


def predictor_of(context: JobContext, scene: Scene) -> Predictor:
    """Load a scene's predictor, or take the one that all sessions share; never downloads.

    Raises
    ------
    ModelError
        If its weights are not on this machine, or do not fit.
    """
    from napari_cellseg.prompts import load_predictor

    def load() -> Any:
        missing = weights_missing(scene.model, scene.checkpoint)
        if missing:
            raise ModelError(missing)
        return load_predictor(scene.model, scene.checkpoint, scene.device, scene.framing)

    kind = f"prompt {scene.framing}" if scene.framing else "prompt"
    found: Predictor = context.models.get(kind, scene.model, scene.checkpoint, scene.device, load)
    return found


def on_device(context: JobContext, scene: Scene, run: Callable[[Scene], Result]) -> Result:
    """Run on the scene's device; on the CPU where that has failed, or has too little memory."""
    if scene.device in _lost.get(context.models, ()):
        return run(scene.on("cpu"))
    if context.memory.force_cpu and scene.device != "cpu":
        return run(_off_device(context, scene))
    try:
        return run(scene)
    except RuntimeError as error:
        if scene.device == "cpu" or not _device_lost(error):
            raise
        _lost.setdefault(context.models, set()).add(scene.device)
        context.notice("The GPU stopped answering; prompts go on, slower, on the CPU.")
        return run(_off_device(context, scene))


def _off_device(context: JobContext, scene: Scene) -> Scene:
    context.models.clear(scene.device)
    release_clickers()  # they hold the models that were cleared
    embedding_cache().release_device()
    return scene.on("cpu")


def _device_lost(error: RuntimeError) -> bool:
    said = str(error).lower()
    lost = any(name in said for name in ("cuda error", "cudnn error", "mps backend", "hip error"))
    return lost and "out of memory" not in said  # which the worker itself answers


@operation("encode plane", uses_torch=True)
def encode_plane(
    context: JobContext,
    *,
    scene: Scene,
    plane: Plane,
    said: PlanePrompts | None = None,
    near: tuple[float, float] | None = None,
    tiles: tuple[int, ...] = (),
) -> Encoded:
    """Encode a plane, or of a large one the tiles given, or that prompts or a pixel need."""
    from napari_cellseg.prompts.prompt import Prompt

    def run(there: Scene) -> Encoded:
        context.progress(0.0, "loading the model")
        predictor = predictor_of(context, there)
        prompter = clicker_of(there, plane, predictor).prompter
        context.progress(0.1, f"encoding {plane.orientation} plane {plane.index}")
        prompt = said.prompt() if said is not None else None
        tiled = len(prompter.grid) > 1
        if tiles:
            prompter.encode_tiles(tiles, cancel=context.cancel)
        elif prompt is None and tiled:
            prompter.encode(Prompt([_inside(near, prompter.shape)]), cancel=context.cancel)
        else:
            prompter.encode(prompt, cancel=context.cancel)
        can = predictor.capabilities
        facts = ModelFacts(predictor.title, str(predictor.device), can.points, can.box, can.mask)
        return Encoded(plane, facts, tiled)

    return on_device(context, scene, run)


def _inside(near: tuple[float, float] | None, shape: tuple[int, int]) -> tuple[float, float]:
    rows, cols = shape
    row, col = near if near is not None else (rows / 2, cols / 2)
    return min(max(row, 0.0), rows - 1.0), min(max(col, 0.0), cols - 1.0)


@operation("prompt", uses_torch=True)
def prompt(context: JobContext, *, scene: Scene, plane: Plane, said: PlanePrompts) -> Answer | None:
    """Answer prompts on a plane; None where it is not encoded yet, which this never does."""
    from napari_cellseg.prompts.plane_prompter import NotEncoded

    def run(there: Scene) -> Answer | None:
        clicker = clicker_of(there, plane, predictor_of(context, there))
        try:
            answer = clicker.answer(said)
        except NotEncoded:
            clicker.forget()
            return None
        if len(answer):
            answer.region(0)  # enlarged here, so that the window only has to write it
        return answer

    return on_device(context, scene, run)


@operation("picture")
def picture(context: JobContext, *, scene: Scene, plane: Plane) -> NDArray[np.uint8]:
    """Return the 8-bit RGB picture, (rows, cols, 3), that a model sees of a plane."""
    from napari_cellseg.prompts import picture as shown
    from napari_cellseg.prompts.plane_view import read_plane

    context.check()
    limits = scene.limits[0] if len(scene.channels) == 1 else None
    return shown(read_plane(scene.volume, plane, scene.channels, scene.limits), limits)


@operation("download model")
def download_model(context: JobContext, *, model: str) -> Path:
    """Fetch a predictor's weights."""
    from napari_cellseg.prompts.download import model_file
    from napari_cellseg.prompts.registry import predictor_info

    return model_file(predictor_info(model), context.progress, context.cancel)


@operation("prepare clicks")
def prepare_clicks(context: JobContext, *, field: FlowField, t: int, probability: float) -> None:
    """Index a frame of a field, so that clicks in it are answered at once."""
    from napari_cellseg.flows import Progress
    from napari_cellseg.flows.basin import prepare_clicks as run

    context.progress(0.0, "preparing 3D clicks")
    run(field, t, probability, progress=Progress(context.progress, context.cancel))


@operation("basin")
def basin(
    context: JobContext,
    *,
    field: FlowField,
    positive: Sequence[Sequence[float]],
    negative: Sequence[Sequence[float]],
    box: Sequence[float] | None,
    t: int,
    probability: float,
) -> Basin:
    """Return the object that clicks name in a prepared field."""
    from napari_cellseg.flows.basin import basin_region

    context.check()
    return basin_region(field, positive, negative, box, t=t, probability=probability)
