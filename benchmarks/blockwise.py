"""Labels made block by block: cost per voxel and memory against labelling in memory.

``python -m benchmarks.blockwise``. One field of tissue is tiled into fields of growing size, and
each is labelled in a process of its own, in memory and in blocks of one size. Memory is what the
process needed beyond what it held before (imports, compiled kernels).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.meter import forget_peak, peak_memory, resident_memory
from benchmarks.synthetic import field_of
from benchmarks.tissue import tissue
from napari_cellseg.flows.field_store import FieldStore

TILE = (64, 256, 256)
#: How often the tile is repeated along (z, y, x).
REPEATS = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 4, 4))
BLOCK = (64, 128, 128)
_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Labelled:
    """Cost of labelling one field in one way.

    Attributes
    ----------
    shape : tuple of int
        (z, y, x).
    way : str
        ``"memory"`` or ``"blocks"``.
    cells : int
    wall, cpu : float
        Seconds; with reading the field and, in blocks, writing the labels.
    cpu_per_voxel : float
        Nanoseconds.
    added : float
        Peak memory beyond what the process held before, in MiB.
    scratch : float
        Most that the work folder held, in MiB.
    equal : bool
        Whether labels are those of labelling in memory, voxel for voxel.
    """

    shape: tuple[int, ...]
    way: str
    cells: int
    wall: float
    cpu: float
    cpu_per_voxel: float
    added: float
    scratch: float
    equal: bool


@dataclass(frozen=True)
class Blockwise:
    """All rows, and the block they are for."""

    block: tuple[int, ...]
    rows: tuple[Labelled, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        return asdict(self)


def run_blockwise(
    repeats: Sequence[tuple[int, int, int]] = REPEATS,
    block: tuple[int, int, int] = BLOCK,
    tile: tuple[int, int, int] = TILE,
) -> Blockwise:
    """Label fields of growing size in memory and in blocks of one size."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        field = field_of(tissue(tile), (1, 1, 1), "fused", noise=0.2, smooth=1.0)
        for number, counts in enumerate(repeats):
            shape = tuple(n * c for n, c in zip(tile, counts, strict=True))
            store = FieldStore.create(folder / f"field{number}", shape, field.spacing)
            for place in np.ndindex(*counts):
                part = tuple(slice(k * n, (k + 1) * n) for k, n in zip(place, tile, strict=True))
                store.write(part, field.flow, field.logits)
            found = {way: _apart(store.path, folder, way, block) for way in ("memory", "blocks")}
            equal = _equal(folder / "memory.npy", folder / "labels")
            rows += [Labelled(shape, way, equal=equal, **one) for way, one in found.items()]
            _remove(folder / "labels")
    return Blockwise(block, tuple(rows))


def show_blockwise(result: Blockwise) -> str:
    """A table in Markdown."""
    lines = [
        "| field | cells | way | wall s | CPU s | ns a voxel | added MiB | scratch MiB | equal |",
        "|---|---:|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in result.rows:
        shape = "×".join(map(str, row.shape))
        lines.append(
            f"| {shape} | {row.cells:,} | {row.way} | {row.wall:.2f} | {row.cpu:.2f} "
            f"| {row.cpu_per_voxel:.0f} | {row.added:.0f} | {row.scratch:.0f} | {row.equal} |"
        )
    return "\n".join(lines)


def _apart(field: Path, folder: Path, way: str, block: tuple[int, int, int]) -> dict[str, Any]:
    """Measure in a fresh process."""
    given = json.dumps({"field": str(field), "folder": str(folder), "way": way, "block": block})
    command = [sys.executable, "-m", "benchmarks.blockwise", "--measure", given]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measured(field: Path, folder: Path, way: str, block: Sequence[int]) -> dict[str, Any]:
    from napari_cellseg.flows.blockwise.label_store import label_store
    from napari_cellseg.flows.label import label_field

    store = FieldStore.open(field)
    scratch = 0.0

    def grown(*_: object) -> None:
        nonlocal scratch
        scratch = max(scratch, _size(folder / ".labels.work"))

    with tempfile.TemporaryDirectory() as name:  # compile, on something small
        small = FieldStore.create(Path(name) / "field", (8, 32, 32), store.spacing)
        small.write((slice(0, 8), slice(0, 32), slice(0, 32)), *_ball())
        label_field(small.load(), threads=1)
        label_store(small, Path(name) / "labels", block=(8, 16, 32), chunks=(8, 16, 32))
    before = resident_memory()
    forget_peak()
    cpu, wall = time.process_time(), time.perf_counter()
    if way == "memory":
        labelling = label_field(store.load(), threads=1)
        count = len(labelling)
    else:
        count = len(label_store(store, folder / "labels", block=block, progress=grown))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    added = peak_memory() - before
    if way == "memory":
        np.save(folder / "memory.npy", labelling.labels)
    per_voxel = 1e9 * cpu / float(np.prod(store.shape))
    return {
        "cells": count,
        "wall": wall,
        "cpu": cpu,
        "cpu_per_voxel": per_voxel,
        "added": added,
        "scratch": scratch,
    }


def _ball() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    away = np.indices((8, 32, 32)) - np.array([4, 16, 16])[:, None, None, None]
    radius = np.sqrt((away**2).sum(0))
    flow = -away / np.maximum(radius, 1)
    return flow.astype(np.float32), np.where(radius < 6, 5, -5).astype(np.float32)


def _equal(memory: Path, labels: Path) -> bool:
    """Compare plane by plane, so that this needs little memory."""
    import zarr

    expected, found = np.load(memory, mmap_mode="r"), zarr.open_array(labels, mode="r")
    step = found.chunks[0]
    return all(
        np.array_equal(expected[z : z + step], found[z : z + step])
        for z in range(0, expected.shape[0], step)
    )


def _size(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def main() -> None:
    """Print the table and the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="only the smallest two fields")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.measure:
        given = json.loads(options.measure)
        folder, field = Path(given["folder"]), Path(given["field"])
        print(json.dumps(_measured(field, folder, given["way"], given["block"])))
        return
    result = run_blockwise(REPEATS[:2] if options.quick else REPEATS)
    print(show_blockwise(result))
    if options.json:
        options.json.write_text(json.dumps(result.as_json(), indent=1))
    else:
        print(json.dumps(result.as_json()))


if __name__ == "__main__":
    main()
