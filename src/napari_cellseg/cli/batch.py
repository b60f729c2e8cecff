"""Segment one image or many with one load of the model."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cellseg.cli.plan import Plan, Task, make_plan
from napari_cellseg.cli.progress import notes, progress_bar
from napari_cellseg.cli.settings import other_settings
from napari_cellseg.cli.table import CellTable
from napari_cellseg.cli.wording import in_options
from napari_cellseg.errors import Cancelled, CellsegError, InputError
from napari_cellseg.session import Parameters, Session
from napari_cellseg.worker import JobState, worker


@dataclass(frozen=True)
class Batch:
    """What to do with every image.

    Attributes
    ----------
    parameters : dict
        For `Parameters.update`, after each image is opened.
    spacing, axes
        See `napari_cellseg.read_volume`.
    overwrite : bool
        Write again what is there already.
    quiet : bool
        Neither progress bar nor notices.
    workers : int or None
        CPU threads; None: all.
    """

    parameters: dict[str, Any]
    spacing: tuple[float, float, float] | None = None
    axes: str | None = None
    overwrite: bool = False
    quiet: bool = False
    workers: int | None = None

    def run(self, inputs: Sequence[Path], output: Path) -> int:
        """Segment all images.

        Returns
        -------
        int
            0, or 2 if any image failed.

        Raises
        ------
        CellsegError
            Nothing could be started, or the only image failed.
        """
        Parameters().update(self.parameters)  # impossible values are told before any work
        if self.spacing is not None:
            Parameters().spacing = self.spacing
        self._use_threads()
        plan = make_plan(inputs, output)
        if plan.single and plan.tasks[0].done and not self.overwrite:
            raise InputError(
                f"{output} is there already: add --overwrite to replace it, or choose another name."
            )
        # Before any work, so that a table of another program stops the run at once.
        table = CellTable(plan.table, {task.name for task in plan.tasks if not task.done})
        self._tell_skipped(plan)
        session = Session()
        try:
            return self._all(session, plan, table)
        finally:
            session.close()

    def _use_threads(self) -> None:
        if self.workers is None:
            return
        if self.workers < 1:
            raise InputError(f"--workers must be 1 or more, not {self.workers}.")
        worker().threads = self.workers
        os.environ["NAPARI_CELLSEG_THREADS"] = str(self.workers)

    def _tell_skipped(self, plan: Plan) -> None:
        if not plan.skipped or self.quiet:
            return
        names = ", ".join(path.name for path in plan.skipped[:3])
        more = f" and {len(plan.skipped) - 3} more" if len(plan.skipped) > 3 else ""
        print(
            f"{len(plan.skipped)} skipped as labels from napari-cellseg: {names}{more}",
            file=sys.stderr,
        )

    def _tell_other_settings(self, done: Sequence[Task]) -> None:
        found = [other_settings(task.target, self.parameters) for task in done]
        differing = [names for names in found if names]
        if differing and not self.quiet:
            names = sorted({name for one in differing for name in one})
            options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
            print(
                f"{len(differing)} of those done before were made with other settings ({options}): "
                "add --overwrite to redo them.",
                file=sys.stderr,
            )

    def _all(self, session: Session, plan: Plan, table: CellTable) -> int:
        kept = [task for task in plan.tasks if task.done and not self.overwrite]
        self._tell_other_settings(kept)
        done = {task.name for task in kept}
        said: set[str] = set()
        failures: list[tuple[Task, CellsegError]] = []
        for task in plan.tasks:
            if task.name in done:
                continue
            try:
                cells = self._one(session, task, table, said)
            except Cancelled:
                raise
            except CellsegError as error:
                failures.append((task, error))
                if len(plan.tasks) > 1:
                    print(f"{task.name}: failed", file=sys.stderr)
            else:
                print(f"{task.name}: {cells} → {task.target}", flush=True)
        if len(plan.tasks) == 1 and failures:
            raise failures[0][1]
        if len(plan.tasks) > 1:
            segmented = len(plan.tasks) - len(done) - len(failures)
            print(f"{segmented} segmented, {len(done)} done before, {len(failures)} failed")
        for failed, reason in failures:
            print(f"{failed.source}: {in_options(str(reason))}", file=sys.stderr)
        return 2 if failures else 0

    def _one(self, session: Session, task: Task, table: CellTable, said: set[str]) -> str:
        """Open, segment and save one image; return how many cells it has, in words."""
        with (
            notes(session, task.name, self.quiet, said),
            progress_bar(session, task.name, self.quiet),
        ):
            session.open(task.source, spacing=self.spacing, axes=self.axes).wait()
            session.parameters.update(self.parameters)
            session.segment().wait()
            result = session.result
            if result is None:
                raise InputError(f"{task.source} gave no labels.")
            cells = session.status.text
            table.put(task.name, result.table)
            saving = session.save(task.target, overwrite=self.overwrite)
            try:
                saving.wait()
            except BaseException:
                saving.cancel()
                saving.until_ended()
                if saving.state is not JobState.DONE:
                    table.drop(task.name)
                raise
        return cells
