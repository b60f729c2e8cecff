"""`napari-cellseg clicks`: how many clicks a cell takes, simulated from the truth."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cellseg.cli.bar import report_bar
from napari_cellseg.cli.click_text import as_text
from napari_cellseg.cli.pairs import Pair, find_pairs
from napari_cellseg.cli.plan import make_folder
from napari_cellseg.cli.plausible import looks_like_image
from napari_cellseg.cli.wording import in_options
from napari_cellseg.errors import Cancelled, CellsegError, InputError
from napari_cellseg.evaluation import study_basin, study_predictor
from napari_cellseg.prompts import available_predictors
from napari_cellseg.session import Parameters
from napari_cellseg.volume import Volume, read_volume
from napari_cellseg.volume.atomic import replacing
from napari_cellseg.volume.read_labels import open_labels, read_label_file

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Report = Callable[[float, str], None]
    Study = Callable[[Volume, NDArray[np.uint32], Report], pd.DataFrame]

BASIN = "basin"
BOXES_ONLY = ("medsam",)
"""Families that take no points, so that there is nothing to click with."""

_MOST = 100


@dataclass(frozen=True)
class ClickStudy:
    """Who is clicked with, and how.

    Attributes
    ----------
    predictor : str
        ``"basin"``, the flow field of the built-in model, or one of `available_predictors`.
    checkpoint : sequence of Path
        The user's own weights; none: those of the package or the downloaded ones.
    most : int
        Clicks on one object at most.
    spacing, axes
        See `napari_cellseg.read_volume`.
    channel, device
        See `napari_cellseg.segment`.
    diameter, probability : float or None
        Likewise, for the basin alone; None: the engine's choice.
    limit : int or None
        Objects of each image at most, spread evenly over its ids.
    quiet : bool
        Neither progress bar nor notes.
    """

    predictor: str = BASIN
    checkpoint: Sequence[Path] = ()
    most: int = 5
    spacing: tuple[float, float, float] | None = None
    axes: str | None = None
    channel: int = 0
    diameter: float | None = None
    probability: float | None = None
    device: str = "auto"
    limit: int | None = None
    quiet: bool = False

    def run(
        self, images: Path, truth: Path, output: Path | None = None, overwrite: bool = False
    ) -> int:
        """Click on all objects, print the table, and write a row per object.

        Returns
        -------
        int
            0, or 2 if any of several images failed.

        Raises
        ------
        CellsegError
            Nothing could be started, or no image could be used.
        """
        self._check_options()
        pairs, alone = find_pairs(images, truth)
        if output is not None:
            _check_output(output, pairs, overwrite)
        self._tell_alone(alone)
        failures: list[tuple[Pair, CellsegError]] = []
        usable = []
        for pair in pairs:  # before weights are loaded, or even downloaded
            try:
                self._open(pair)
            except CellsegError as error:
                failures.append((pair, error))
            else:
                usable.append(pair)
        tables = self._all(usable, failures) if usable else []
        if not tables:
            raise failures[0][1]
        import pandas as pd

        table = pd.concat(tables, ignore_index=True)
        print(as_text(table, self.predictor, table["image"].unique().tolist()))
        if output is not None:
            make_folder(output.parent)
            with replacing(output, overwrite=overwrite) as part:
                table.to_csv(part, index=False)
        for pair, reason in failures:
            print(f"{pair.image}: {in_options(str(reason))}", file=sys.stderr)
        return 2 if failures else 0

    def _check_options(self) -> None:
        """Tell impossible values before any work."""
        known = {info.name: info for info in available_predictors()}
        if self.predictor != BASIN and self.predictor not in known:
            names = [info.name for info in known.values() if info.family not in BOXES_ONLY]
            raise InputError(
                f"There is no predictor {self.predictor!r}: choose one of "
                f"{', '.join([BASIN, *names])}."
            )
        for name, value in (("most", self.most), ("limit", self.limit)):
            if value is not None and value < 1:
                raise InputError(f"--{name} must be 1 or more, not {value}.")
        if self.most > _MOST:
            raise InputError(f"--most must be {_MOST} or fewer, not {self.most}.")
        given = {"diameter": self.diameter, "probability": self.probability}
        given = {name: value for name, value in given.items() if value is not None}
        Parameters().update({"channel": self.channel, "device": self.device, **given})
        if self.spacing is not None:
            Parameters().spacing = self.spacing
        if self.predictor == BASIN:
            if len(self.checkpoint) > 1:
                raise InputError(
                    f"The basin was given {len(self.checkpoint)} model files: pass one."
                )
            return
        if given:
            raise InputError(
                f"--{next(iter(given))} is for the basin only: leave it out for {self.predictor}."
            )
        info = known[self.predictor]
        if info.family in BOXES_ONLY:
            raise InputError(
                f"{info.title} takes boxes and no points, so there is nothing to click with: "
                "choose another predictor."
            )

    def _tell_alone(self, alone: Sequence[Path]) -> None:
        if alone and not self.quiet:
            names = ", ".join(path.name for path in alone[:3])
            more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
            print(f"{len(alone)} skipped without a truth: {names}{more}", file=sys.stderr)

    def _open(self, pair: Pair) -> Volume:
        """Open an image lazily and see whether its truth fits."""
        volume = read_volume(pair.image, spacing=self.spacing, axes=self.axes)
        if "t" in volume.axes:
            raise InputError(
                f"{pair.image} has a time axis ({volume.axes}), but clicks go to a plane or a "
                "stack: save one frame as a file."
            )
        volume.stack(self.channel)  # lazy: tells whether there is such a channel
        shape = tuple(open_labels(pair.truth)[0].shape)
        if shape != tuple(volume.label_shape):
            raise InputError(
                f"{pair.image} has shape {tuple(volume.label_shape)} and {pair.truth} {shape}: "
                "they are not of the same image."
            )
        return volume

    def _all(
        self, pairs: Sequence[Pair], failures: list[tuple[Pair, CellsegError]]
    ) -> list[pd.DataFrame]:
        tables: list[pd.DataFrame] = []
        with report_bar("clicks", self.quiet) as report:
            study = self._study(report)
            for k, pair in enumerate(pairs):

                def part(fraction: float, message: str, k: int = k, name: str = pair.name) -> None:
                    report((k + fraction) / len(pairs), f"{name}: {message}")

                try:
                    table = study(self._open(pair), self._truth(pair), part)
                except Cancelled:
                    raise
                except CellsegError as error:
                    failures.append((pair, error))
                else:
                    table.insert(0, "image", pair.name)
                    table.insert(1, "predictor", self.predictor)
                    tables.append(table)
        return tables

    def _study(self, report: Report) -> Study:
        """Load the model once and return what studies one image."""
        if self.predictor == BASIN:
            from napari_cellseg.networks import load_network

            file = self.checkpoint[0] if self.checkpoint else None
            network = load_network("builtin", file, self.device)
            probability = 0.5 if self.probability is None else self.probability
            return lambda volume, truth, part: study_basin(
                volume, truth, model=network, channel=self.channel, diameter=self.diameter,
                probability=probability, device=self.device, most=self.most, progress=part,
            )  # fmt: skip
        from napari_cellseg.prompts import load_predictor

        predictor = load_predictor(
            self.predictor, list(self.checkpoint) or None, self.device, progress=report
        )
        return lambda volume, truth, part: study_predictor(
            volume, truth, predictor, channel=self.channel, most=self.most, progress=part
        )

    def _truth(self, pair: Pair) -> NDArray[np.uint32]:
        file = read_label_file(pair.truth)
        labels = file.labels
        if not labels.any():
            raise InputError(f"{pair.truth} holds no object to click on.")
        # Labels with a recipe were written by napari-cellseg.
        if not file.metadata and looks_like_image(labels):
            print(
                f"Warning: {pair.truth} looks like an image rather than labels, so the clicks may "
                "mean nothing: pass a file with one number per object.",
                file=sys.stderr,
            )
        if self.limit is None:
            return labels
        ids = np.unique(labels)
        ids = ids[ids > 0]
        kept = ids[np.linspace(0, len(ids) - 1, min(self.limit, len(ids))).round().astype(int)]
        return np.where(np.isin(labels, kept), labels, 0)


def _check_output(output: Path, pairs: Sequence[Pair], overwrite: bool) -> None:
    """Refuse, before hours of work, an output that could not be written at their end."""
    inputs = {path.resolve() for pair in pairs for path in (pair.image, pair.truth)}
    if output.suffix.lower() != ".csv":
        raise InputError(f"The table is CSV: end the name {str(output)!r} in .csv.")
    if output.is_dir() or output.resolve() in inputs:
        raise InputError(f"{str(output)!r} is a folder or one of the inputs: choose another name.")
    if output.exists() and not overwrite:
        raise InputError(
            f"{output} is there already: add --overwrite to replace it, or choose another name."
        )
    there = next(folder for folder in output.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"Nothing can be written into {str(there)!r}: choose another output.")
