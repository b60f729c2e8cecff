"""The verbs of a session: each submits to the worker and returns at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_cellseg.session.operations import Applied, Landed, inside
from napari_cellseg.session.prompting import Prompting
from napari_cellseg.session.records import Proposal, Run
from napari_cellseg.session.reviewing import Reviewing
from napari_cellseg.session.session_labels import cells
from napari_cellseg.session.session_stores import SessionStores
from napari_cellseg.worker import Deliver, InferenceWorker, Job, Priority

if TYPE_CHECKING:
    from napari_cellseg.flows import Segmentation


class Session(SessionStores):
    """The state of one viewer (or of one headless run) and what can be done with it.

    `deliver` takes a call to the thread that may use results: by default the worker's own, in a
    GUI its queue. `worker` is the process-wide one by default.
    """

    def __init__(
        self, deliver: Deliver | None = None, worker: InferenceWorker | None = None
    ) -> None:
        super().__init__(deliver, worker)
        self.parameters.events.spacing.connect(self._on_spacing)
        self.prompts = Prompting(self)
        self.closed.connect(self.prompts.close)
        self.review = Reviewing(self)
        self._refresh()

    def open(
        self,
        path: str | Path,
        spacing: Sequence[float] | None = None,
        axes: str | None = None,
    ) -> Job:
        """Read an image file or store; `use_volume` follows.

        Parameters
        ----------
        path : path
        spacing : sequence of float, optional
            (z, y, x) in µm, where the file does not state it or is wrong.
        axes : str, optional
            Likewise, for example "zyx".
        """
        return self._submit(
            "open",
            "read",
            {"path": Path(path), "spacing": spacing, "axes": axes},
            self.use_volume,
            lane="files",
            priority=Priority.VIEW,
        )

    def use_volume(
        self,
        volume: Any,
        axes: str | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        """Take an image, a `Volume` or an array; labels and results of the former one go.

        Raises
        ------
        InputError
            It is no image that can be segmented; nothing changes then.
        """
        if not (hasattr(volume, "label_axes") and axes is None and spacing is None):
            from napari_cellseg.volume import as_volume

            volume = as_volume(volume, spacing=spacing, axes=axes)
        with self._lock:
            if self._used_worker is not None:
                self._used_worker.advance(self._id)
            unit = self.unit
            self.volume = volume
            self._forget()
            self.notices, self.last_error = (), None
            self._passing.clear()
            self._of_run = ()
            self.notices_changed.emit(())
            self._idle_text = f"{volume.name} is ready."
            self.parameters.spacing = volume.spacing
            self._spacing_stated = volume.spacing_known
            if self.unit != unit:
                self.parameters.diameter = None  # a length in the other unit
            if self.parameters.channel >= volume.n_channels:
                self.parameters.channel = 0
            if (self.parameters.second_channel or 0) >= volume.n_channels:
                self.parameters.second_channel = None
            self.parameters.region = None
            self.volume_changed.emit(volume)
            self.proposal_changed.emit(None)
            self.labels_changed.emit(None)
            self.result_changed.emit(None)
            self._set_saved(None, False)
            for sentence in volume.notices:
                self._notice(sentence)
            self._refresh()

    def try_region(self, region: Sequence[slice]) -> Job:
        """Segment a region only, with the intensity limits of the whole image, as a proposal.

        Parameters
        ----------
        region : sequence of slice
            Over the label axes; one plane is ``slice(z, z + 1)``.
        """
        self._need("try")
        where = self._checked(region)
        arguments = {**self._run_arguments(), "region": where}
        settings = {**self.parameters.as_dict(), "region": where}

        def land(segmentation: Segmentation) -> None:
            self._source = Run(segmentation, where, settings)
            self._propose(self._source, "try")

        return self._submit(
            "try", "try", arguments, land, priority=Priority.VIEW, replace_running=True
        )

    def segment(self) -> Job:
        """Segment the image, or the region that the parameters name.

        Labels that a hand has changed, or that were adopted, are not replaced: the outcome is
        a proposal then, which `apply` merges.
        """
        self._need("segment")
        region = self.parameters.region
        where = None if region is None else self._checked(region)
        arguments = {
            **self._run_arguments(),
            "region": where,
            "current": self.labels,
            "baseline": self._baseline,
            "shape": self.label_shape,
            "timed": self.label_axes.startswith("t"),
            "locked": (locked := tuple(sorted(self.locked_ids()))),
            "document": self.document,
            "make": self._made_document,
        }
        settings = {**self.parameters.as_dict(), "region": where}

        def land(landed: Landed) -> None:
            self._source = Run(landed.segmentation, where, settings)
            others = tuple(sorted(self.locked_ids())) != locked
            if landed.merged is None or landed.prepared is None or self.edited or others:
                self._propose(self._source, "segment")
                self._notice_for_now(
                    "The labels were edited, so the new ones are a proposal; "
                    "applying it keeps what you changed."
                )
                return
            self._land(landed.merged, landed.prepared, self._source)

        return self._submit("segment", "segment to edit", arguments, land)

    def relabel(self) -> Job:
        """Label the kept field anew with the present thresholds, as a proposal; latest wins."""
        self._need("relabel")
        source = self._given(self._source)
        thresholds = {
            "probability": self.parameters.probability,
            "min_size": self.parameters.min_size,
            "flow_error": self.parameters.flow_error,
        }
        arguments = {"segmentation": source.segmentation, **thresholds}
        settings = {**source.settings, **thresholds}

        def land(segmentation: Segmentation) -> None:
            if self._source is source:  # else a newer run has taken its place
                self._propose(Run(segmentation, source.region, settings), "relabel")

        return self._submit(
            "relabel", "relabel", arguments, land, lane="decode", priority=Priority.CLICK
        )

    def apply(self) -> Job:
        """Make the proposal the labels; instances changed by hand stay as they are."""
        self._need("apply")
        proposal = self._given(self.proposal)
        edits = self._edits
        arguments = {
            "current": self.labels,
            "baseline": self._baseline,
            "proposed": proposal.labels,
            "region": proposal.region,
            "shape": self.label_shape,
            "timed": self.label_axes.startswith("t"),
            "locked": tuple(sorted(self.locked_ids())),
            "document": self.document,
            "make": self._made_document,
        }

        def land(applied: Applied) -> None:
            merged = applied.merged
            if self.proposal is not proposal:
                return
            if self._edits != edits:  # a stroke fell meanwhile: merge again, with it
                self._jobs.pop("apply", None)
                self.apply()
                return
            run = Run(proposal.segmentation, proposal.region, proposal.settings)
            self._land(merged, applied.prepared, run)
            if merged.kept:
                objects = "object" if merged.kept == 1 else "objects"
                self._notice_for_now(f"Kept {merged.kept} {objects} that you changed.")

        return self._submit(
            "apply", "apply", arguments, land, lane="decode", priority=Priority.CLICK
        )

    def discard(self) -> None:
        """Drop the proposal, and what would become one."""
        with self._lock:
            for verb in ("try", "relabel"):
                if verb in self._jobs:
                    self._jobs[verb].cancel()
            self._set_proposal(None)
            if self._applied is not None:
                self._source = self._applied
            self._refresh()

    def estimate_diameter(self) -> Job:
        """Estimate the cells' diameter and set it as the parameter."""
        self._need("estimate_diameter")
        names = ("volume", "channel", "model", "checkpoint", "device")
        arguments = {name: self._run_arguments()[name] for name in names}

        def land(diameter: float) -> None:
            self.parameters.diameter = round(diameter, 2)
            self._idle_text = f"cells of about {diameter:.3g} {self.unit}"

        return self._submit(
            "estimate_diameter", "estimate_diameter", arguments, land, priority=Priority.VIEW
        )

    def _committed(self) -> dict[int, Any]:
        return self.prompts.commits.committed

    def _set_committed(self, committed: dict[int, Any]) -> None:
        self.prompts.commits.committed = committed

    def _on_spacing(self, spacing: tuple[float, float, float] | None) -> None:
        self._spacing_stated = spacing is not None
        self._refresh()

    def _run_arguments(self) -> dict[str, Any]:
        values = self.parameters.as_dict()
        del values["spacing"], values["region"]
        second = values.pop("second_channel")
        if second is not None and second != values["channel"]:
            values["channel"] = (values["channel"], second)
        return {**values, "volume": self._spaced()}

    def _propose(self, run: Run, kind: Literal["try", "relabel", "segment"]) -> None:
        region, segmentation = run.region, run.segmentation
        offset = tuple(part.start for part in region) if region else (0,) * len(self.label_shape)
        labels = inside(segmentation.labels, region)
        self._notices_of_run(segmentation.notices)
        self._set_proposal(Proposal(labels, offset, region, kind, segmentation, run.settings))
        self._idle_text = f"proposal: {cells(len(segmentation.table))}"
