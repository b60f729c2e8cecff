"""The flow field of a segmentation as something to keep: saved, and opened again later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from napari_cellseg.errors import InputError
from napari_cellseg.session.records import Availability, Region, Run
from napari_cellseg.session.session_regions import SessionRegions
from napari_cellseg.worker import JobContext, Priority, operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_cellseg.flows import Segmentation
    from napari_cellseg.flows.field_store import FieldStore
    from napari_cellseg.worker import Job

_WINDOW = "window"
"""Name in a field's recipe under which this session says which part of the image it covers."""


class Reopened(NamedTuple):
    """A field that was opened again, labelled."""

    segmentation: Segmentation
    region: Region | None
    thresholds: dict[str, Any]


@operation("save field")
def save_field(
    context: JobContext,
    *,
    segmentation: Segmentation,
    path: Path,
    precision: Literal["float16", "int8"],
    window: Mapping[str, Any],
    overwrite: bool,
) -> Path:
    """Write the field of a segmentation with its recipe, whole or not at all."""
    from napari_cellseg.flows.field_store import save_field as run

    context.check()
    recipe = {**segmentation.parameters, _WINDOW: dict(window)}
    run(segmentation.field, path, precision, recipe=recipe, overwrite=overwrite)
    return path


@operation("open field")
def open_field(
    context: JobContext,
    *,
    path: Path,
    shape: tuple[int, ...],
    axes: str,
    defaults: Mapping[str, Any],
) -> Reopened:
    """Read a field, check that it is of the image, and label it."""
    from napari_cellseg.flows import Progress
    from napari_cellseg.flows.field_store import FieldStore
    from napari_cellseg.flows.request import default_min_size
    from napari_cellseg.flows.segmentation import Segmentation, label_with
    from napari_cellseg.flows.table import instance_table

    context.progress(0.0, "reading the field")
    store = FieldStore.open(path)
    region = _place(store, shape, axes)
    field = store.load()
    context.check()
    parameters = {**defaults, **{k: v for k, v in store.recipe.items() if v is not None}}
    parameters.pop(_WINDOW, None)
    if parameters.get("diameter") is None:
        parameters["diameter"] = 20.0 * field.spacing[1]
    if parameters.get("min_size") is None:
        parameters["min_size"] = default_min_size(
            parameters["diameter"], field.spacing, field.ndim == 3
        )
    context.progress(0.4, "finding cells")
    labelling = label_with(field, parameters, Progress(context.progress, context.cancel))
    segmentation = Segmentation(
        labels=labelling.labels,
        field=field,
        table=instance_table(labelling, field, parameters["spacing_known"]),
        parameters=parameters,
        region=region,
    )
    thresholds = {name: parameters[name] for name in ("probability", "min_size", "flow_error")}
    return Reopened(segmentation, region, thresholds)


def _place(store: FieldStore, shape: tuple[int, ...], axes: str) -> Region | None:
    """Where in the image a field belongs; None: it covers all of it."""
    if store.shape == shape and store.has_time == axes.startswith("t"):
        return None
    window = store.recipe.get(_WINDOW)
    box = window.get("region") if isinstance(window, dict) else None
    whole = window.get("shape") if isinstance(window, dict) else None
    if box and whole == list(shape):
        region = tuple(slice(int(start), int(stop)) for start, stop in box)
        if tuple(part.stop - part.start for part in region) == store.shape:
            return region
    raise InputError(
        f"The field {store.path.name} is of {' × '.join(map(str, store.shape))} voxels and the "
        f"image has {' × '.join(map(str, shape))} ({', '.join(axes)}): open the image that it was "
        "made from."
    )


class SessionFields(SessionRegions):
    """The part of a session that saves and opens flow fields."""

    def save_field(
        self,
        path: str | Path,
        precision: Literal["float16", "int8"] = "float16",
        overwrite: bool = False,
    ) -> Job:
        """Save the field of the newest run, whole or not at all; it gives the sliders back later.

        Parameters
        ----------
        path : path
            Folder to make.
        precision : str
            "float16", or "int8" at half the size.
        overwrite : bool
            Whether a field that is there may be replaced; nothing else ever is.
        """
        self._need("save_field")
        run = self._given(self._source)
        window = {
            "region": None if run.region is None else [[p.start, p.stop] for p in run.region],
            "shape": list(self.label_shape),
            "image": "" if self.volume is None else self.volume.name,
        }
        shown = (self.proposal, self._applied)  # with the thresholds that were moved since
        same = [one for one in shown if one and one.segmentation.field is run.segmentation.field]
        arguments = {
            "segmentation": same[0].segmentation if same else run.segmentation,
            "path": Path(path),
            "precision": precision,
            "window": window,
            "overwrite": overwrite,
        }
        document = self.document

        def land(written: Path) -> None:
            self._idle_text = f"saved the field {written.name}"
            if document is not None and not document.read_only:
                document.set_meta("field", str(written.absolute()))

        return self._submit("save_field", "save field", arguments, land, lane="files", finish=True)

    def open_field(self, path: str | Path) -> Job:
        """Open a saved field and label it, as a proposal; the network does not run.

        Parameters
        ----------
        path : path
            Folder of a field of this image, or of a part of it.
        """
        self._need("open_field")
        parameters = self.parameters
        defaults = {
            **{name: getattr(parameters, name) for name in ("probability", "min_size")},
            "flow_error": parameters.flow_error,
            "diameter": parameters.diameter,
            "model": parameters.model,
            "spacing_known": self.unit == "µm",
        }
        arguments = {
            "path": Path(path),
            "shape": self.label_shape,
            "axes": self.label_axes,
            "defaults": defaults,
        }

        def land(opened: Reopened) -> None:
            self.parameters.update(opened.thresholds)
            settings = {**self.parameters.as_dict(), "region": opened.region}
            self._source = Run(opened.segmentation, opened.region, settings)
            self._propose(self._source, "relabel")

        return self._submit(
            "open_field", "open field", arguments, land, lane="files", priority=Priority.VIEW
        )

    def _propose(self, run: Run, kind: Literal["try", "relabel", "segment"]) -> None:
        """Show a run as a proposal; see `Session`."""
        raise NotImplementedError

    def _availability(self) -> dict[str, Availability]:
        found = super()._availability()
        field = Availability(self._source is not None, "Try or segment first.")
        if "save_field" in self._jobs:
            field = Availability(False, "The field is being saved.")
        return {**found, "save_field": field, "open_field": found["segment"]}
