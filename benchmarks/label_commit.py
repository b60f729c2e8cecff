"""Committing an object of 56,000 voxels to labels, and taking it back, by the size of the labels.

The object is a disc of eight planes, so that it fits every size. A neighbour reaches into it; the
commit asks for every other object to be spared, which costs more than a list of ids.
"""

import statistics
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL, LARGE, HUGE = (8, 256, 256), (64, 1024, 1024), (200, 1024, 1024)
RADIUS = 48.5
PLANES = 8


def run_label_commit(
    runs: int = 50, sizes: tuple[tuple[int, int, int], ...] = (SMALL, LARGE, HUGE)
) -> dict[str, Any]:
    """Time commit and undo in documents of several sizes.

    Parameters
    ----------
    runs : int
        Per size; the sizes take turns.
    sizes : tuple of (z, y, x)
        Shapes of the labels, smallest first.

    Returns
    -------
    dict
        ``voxels`` (of the object); ``sizes``: one dict each with ``shape``, ``commit_ms``,
        ``first_ms`` (the first commit, into memory that nobody has touched for long) and
        ``undo_ms`` (medians); ``ratio``: commit time of the second size over that of the first.
    """
    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.labels.paint import painted

    documents = [LabelDocument(_labels(size), copy=False) for size in sizes]
    commits: list[list[float]] = [[] for _ in sizes]
    undos: list[list[float]] = [[] for _ in sizes]
    voxels = 0
    for _ in range(runs + 1):
        for document, commit, undo in zip(documents, commits, undos, strict=True):
            region, mask = _disc(document.labels.shape)
            start = time.perf_counter()
            edits = painted(document.labels, region, mask, 7, protected="all")
            step = document.apply(*edits)
            middle = time.perf_counter()
            document.undo()
            undo.append(time.perf_counter() - middle)
            commit.append(middle - start)
            voxels = 0 if step is None else step.count
    rows = [
        {
            "shape": list(size),
            "commit_ms": 1000 * statistics.median(commit[1:]),
            "first_ms": 1000 * commit[0],
            "undo_ms": 1000 * statistics.median(undo[1:]),
        }
        for size, commit, undo in zip(sizes, commits, undos, strict=True)
    ]
    ratio = rows[1]["commit_ms"] / rows[0]["commit_ms"] if len(rows) > 1 else 1.0
    return {"voxels": voxels, "sizes": rows, "ratio": ratio}


def _labels(size: tuple[int, int, int]) -> NDArray[np.uint32]:
    """Labels of which every page is in memory, with a neighbour beside the middle."""
    labels = np.empty(size, np.uint32)
    labels[:] = 0
    labels[:, :, size[2] // 2 + 40 :] = 3
    return labels


def _disc(shape: tuple[int, ...]) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """Region and mask of the object in the middle of labels of this shape."""
    reach = int(RADIUS)
    rows, cols = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = rows**2 + cols**2 <= RADIUS**2
    first = (shape[0] - PLANES) // 2
    region = (
        slice(first, first + PLANES),
        *(slice(size // 2 - reach, size // 2 + reach + 1) for size in shape[1:]),
    )
    return region, np.broadcast_to(disc, (PLANES, *disc.shape)).copy()


def describe(found: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    lines = [f"committing an object of {found['voxels']:,} voxels (ms)"]
    for row in found["sizes"]:
        shape = "×".join(str(size) for size in row["shape"])
        lines.append(
            f"  {shape}: commit {row['commit_ms']:.2f} (first {row['first_ms']:.2f}), "
            f"undo {row['undo_ms']:.2f}"
        )
    lines.append(f"  large over small: {found['ratio']:.2f}×")
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe(run_label_commit()))
