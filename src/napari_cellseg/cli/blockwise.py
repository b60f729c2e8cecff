"""Segment a volume block by block, or label a kept field again; both into an OME-Zarr store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellseg.cli.bar import report_bar
from napari_cellseg.cli.plan import make_folder
from napari_cellseg.cli.table import CellTable
from napari_cellseg.cli.wording import in_options
from napari_cellseg.errors import CellsegError, InputError
from napari_cellseg.volume.read import title

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from napari_cellseg.flows.blockwise import StoreResult

INTERRUPTED = 130


@dataclass(frozen=True)
class Blocks:
    """How blocks are worked on.

    Attributes
    ----------
    workers : int or None
        Processes on this machine.
    scheduler : str or None
        Address of a dask scheduler.
    block : tuple of int or None
        (z, y, x) of a block in voxels.
    field : Path or None
        Where the flow field is kept.
    """

    workers: int | None = None
    scheduler: str | None = None
    block: tuple[int, int, int] | None = None
    field: Path | None = None

    def wanted(self, inputs: Sequence[Path], output: Path, options: dict[str, Any]) -> bool:
        """Whether an image is to be segmented block by block.

        That is asked for by any option here, where the output is a zarr store; it also is so where
        an image does not fit into memory.

        Raises
        ------
        InputError
            If an option asks for it, but the output is no zarr store.
        """
        asked = [
            name for name in ("scheduler", "block", "field") if getattr(self, name) is not None
        ]
        store = output.suffix.lower() == ".zarr"
        if asked and (not store or len(inputs) != 1):
            raise InputError(
                f"--{asked[0]} is for one image and an output that ends in .ome.zarr: "
                "name such an output, or leave the option out."
            )
        if not store or len(inputs) != 1:
            return False
        return bool(asked) or self.workers is not None or _too_large(inputs[0], options)


def segment_blockwise(
    source: Path,
    output: Path,
    options: dict[str, Any],
    blocks: Blocks,
    *,
    overwrite: bool,
    quiet: bool,
) -> int:
    """Segment one image block by block; return the exit status.

    Raises
    ------
    CellsegError
        Nothing was written under the output's name.
    """
    from napari_cellseg.flows.blockwise import segment_store

    segment = partial(segment_store, source, output, **options, field=blocks.field)
    return _run(segment, source, output, blocks, overwrite=overwrite, quiet=quiet)


def relabel(
    field: Path,
    output: Path,
    options: dict[str, Any],
    blocks: Blocks,
    *,
    overwrite: bool,
    quiet: bool,
) -> int:
    """Label a kept field with other thresholds; return the exit status.

    Raises
    ------
    CellsegError
        Nothing was written under the output's name.
    """
    from napari_cellseg.flows.blockwise import relabel_store

    again = partial(relabel_store, field, output, **options)
    return _run(again, field, output, blocks, overwrite=overwrite, quiet=quiet)


def _check(blocks: Blocks) -> None:
    if blocks.workers is not None and blocks.workers < 1:
        raise InputError(f"--workers must be 1 or more, not {blocks.workers}.")
    if blocks.workers is not None and blocks.scheduler is not None:
        raise InputError(
            "--workers and --scheduler exclude each other: a scheduler has workers of its own."
        )


def _run(
    run: Callable[..., StoreResult],
    source: Path,
    output: Path,
    blocks: Blocks,
    *,
    overwrite: bool,
    quiet: bool,
) -> int:
    _check(blocks)
    name = title(source)
    if output.exists() and not overwrite and (output / "labels" / "cells").exists():
        raise InputError(
            f"{output} is there already: add --overwrite to replace it, or choose another name."
        )
    make_folder(output.parent)
    cells = CellTable(output.with_name(f"{title(output)}.csv"), {name})

    def put(table: pd.DataFrame) -> None:
        cells.put(name, table)

    try:
        with report_bar(name, quiet) as report, _quiet_interrupt():
            result = run(
                workers=blocks.workers,
                scheduler=blocks.scheduler,
                block=blocks.block,
                overwrite=overwrite,
                progress=report,
                before=put,
            )
    except KeyboardInterrupt:
        work = output.with_name(f"{output.name}.partial")
        print(
            f"Stopped; what is done is kept in {work}: run the same command again to go on.",
            file=sys.stderr,
        )
        return INTERRUPTED
    except CellsegError:
        if not (output / "labels" / "cells").exists():
            cells.drop(name)
        raise
    if not quiet:
        for sentence in result.notices:
            print(f"{name}: {in_options(sentence)}", file=sys.stderr)
        if blocks.field is not None:  # of `relabel`, it is what it began with
            print(f"{name}: the flow field is kept in {result.field}", file=sys.stderr)
    count = len(result.table)
    print(f"{name}: {count:,} cell{'' if count == 1 else 's'} → {output}", flush=True)
    return 0


def _too_large(source: Path, options: dict[str, Any]) -> bool:
    """Whether an image cannot be segmented in memory; one that cannot be opened is told later."""
    from napari_cellseg.volume import available_memory, read_volume
    from napari_cellseg.volume.memory import SEGMENTING

    with suppress(CellsegError):
        volume = read_volume(source, spacing=options["spacing"], axes=options["axes"])
        voxels = 1
        for n in volume.label_shape:
            voxels *= n
        available = available_memory()
        return available is not None and voxels * SEGMENTING > available
    return False


@contextmanager
def _quiet_interrupt() -> Iterator[None]:
    """Let dask's own threads and processes end without a word when the user stops the run."""
    import logging

    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)
