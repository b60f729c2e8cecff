"""Editing labels in the real window, beside the same edits through napari's public calls.

Our times end when the texture has been handed over; the drawing that follows is the same for both.
What napari offers: `data_setitem` (one undo step), `undo`, and comparing the whole array to find an
object. It keeps no journal and no object table; ours are included in our times.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = (200, 1024, 1024)
SMALL = (50, 724, 724)
OBJECTS = 5000
BALL = 23.75
"""Radius of the mask that is applied, in voxels: 56,000 of them."""


def run_label_edits(
    runs: int = 9, size: tuple[int, int, int] = SIZE, small: tuple[int, int, int] = SMALL
) -> dict[str, Any]:
    """Time edits of a large stack of labels.

    Parameters
    ----------
    runs : int
        Edits of each kind; napari's take a third of them.
    size, small : tuple of int
        (z, y, x) of the labels, and of those with an eighth of the volume.

    Returns
    -------
    dict
        ``edits``: one row per kind with ``ours_ms`` and ``napari_ms`` (medians; None where napari
        has nothing alike), ``ours_3d_ms``; ``bits`` per changed voxel of a step; ``saved_ms``:
        from the edit until it is durable; ``growth``: ours on `size` over ours on `small`, by kind.
    """
    import napari

    from napari_cellseg.labels import shelf

    with tempfile.TemporaryDirectory() as folder:
        tables = {}
        for shape in (small, size):
            viewer = napari.Viewer(show=True)
            try:
                tables[shape] = _Edits(viewer, shape, Path(folder) / shelf.VARIABLE).measure(runs)
            finally:
                viewer.close()
    large = tables[size]
    large["growth"] = {
        row["edit"]: row["ours_ms"] / other["ours_ms"]
        for row, other in zip(large["edits"], tables[small]["edits"], strict=True)
    }
    return large


class _Edits:
    """The edits of one stack of labels."""

    def __init__(self, viewer: Any, size: tuple[int, int, int], folder: Path) -> None:
        from napari_cellseg.session import session_for

        self.viewer, self.size = viewer, size
        viewer.window.add_plugin_dock_widget("napari-cellseg", "Segment")
        self.session = session_for(viewer)
        self.session.documents = folder
        image = np.zeros(size, np.uint8)
        viewer.add_image(image, name="stack", axis_labels=("z", "y", "x"))
        self._wait(lambda: self.session.volume is not None)
        labels = objects(size)
        self.plain = viewer.add_labels(labels.copy(), name="plain")
        self.plain.visible = False
        self.session.adopt(labels)
        viewer.dims.set_current_step(0, size[0] // 2)
        self._wait(lambda: True)
        self.centre = size[0] // 2

    def measure(self, runs: int) -> dict[str, Any]:
        """Time every kind of edit, in 2D, and apply and undo in 3D."""
        from napari_cellseg.labels import Edit

        document = self.session.document
        assert document is not None
        mask = _ball(BALL)
        boxes = self._boxes(mask.shape, runs + 1)
        ids = iter(document.objects.ids(0)[::3].tolist())
        splits = self._splits(runs)
        fresh = document.free_ids()[0]

        def apply(number: int) -> None:
            self.session.change("apply", Edit(boxes[number], mask, fresh + number))

        def undo(number: int) -> None:
            self.session.undo()

        def merge(number: int) -> None:
            self.session.change("merge", [next(ids), next(ids)])

        def delete(number: int) -> None:
            self.session.change("delete", [next(ids)])

        kinds: list[tuple[str, Callable[[int], None], Callable[[int], None] | None]] = [
            ("apply 56k voxels", apply, self._napari_apply(boxes, mask)),
            ("undo that", undo, lambda number: self.plain.undo()),
            ("merge two", merge, self._napari_recolour(ids, to=1)),
            ("delete one", delete, self._napari_recolour(ids, to=0)),
            ("split 100k voxels", *splits),
        ]
        rows = []
        for name, ours, theirs in kinds:
            self._see(self.session_layer())
            own = self._time(ours, runs)
            napari = None
            if theirs is not None:
                self._see(self.plain)
                napari = self._time(theirs, max(1, runs // 3))
            rows.append({"edit": name, "ours_ms": own, "napari_ms": napari})
        self._see(self.session_layer())
        bits = self._bits(boxes, mask, fresh)
        saved = statistics.median(self._saved(boxes, mask, fresh + 100 + n) for n in range(runs))
        self.viewer.dims.ndisplay = 3
        self._wait(lambda: True)
        for name, ours in (("apply 56k voxels", apply), ("undo that", undo)):
            row = next(row for row in rows if row["edit"] == name)
            row["ours_3d_ms"] = self._time(ours, runs)
        self.viewer.dims.ndisplay = 2
        return {"size": list(self.size), "edits": rows, "bits": bits, "saved_ms": saved}

    def session_layer(self) -> Any:
        """The layer with the session's cells."""
        return self.viewer.layers["stack cells"]

    def _see(self, layer: Any) -> None:
        for one in (self.session_layer(), self.plain):
            one.visible = one is layer
        self._wait(lambda: True)

    def _boxes(self, shape: tuple[int, ...], count: int) -> list[tuple[slice, ...]]:
        first = max(0, self.centre - shape[0] // 2)
        depth = slice(first, first + shape[0])
        places = [(60 + 70 * (n // 9), 60 + 70 * (n % 9)) for n in range(count)]
        return [(depth, slice(y, y + shape[1]), slice(x, x + shape[2])) for y, x in places]

    def _napari_apply(
        self, boxes: list[tuple[slice, ...]], mask: NDArray[np.bool_]
    ) -> Callable[[int], None]:
        inside = np.nonzero(mask)

        def run(number: int) -> None:
            starts = [part.start for part in boxes[number]]
            indices = tuple(axis + start for axis, start in zip(inside, starts, strict=True))
            self.plain.data_setitem(indices, 70_000 + number)

        return run

    def _napari_recolour(self, ids: Any, to: int) -> Callable[[int], None]:
        def run(number: int) -> None:
            label = next(ids)
            self.plain.data_setitem(np.nonzero(self.plain.data == label), to)

        return run

    def _splits(self, runs: int) -> tuple[Callable[[int], None], None]:
        """Objects of two balls that overlap; napari has nothing alike."""
        from napari_cellseg.labels import Edit

        document = self.session.document
        assert document is not None
        ball = _ball(24.0)
        long = np.zeros((*ball.shape[:2], ball.shape[2] + 40), np.bool_)
        long[:, :, : ball.shape[2]] |= ball
        long[:, :, 40:] |= ball
        depth = min(self.size[0], long.shape[0])
        cut = (long.shape[0] - depth) // 2
        long = long[cut : cut + depth]
        seeds, ids = [], []
        for number in range(runs + 1):
            y, x = 250 + 60 * (number % 7), 60 + 150 * (number // 7)
            z = self.centre - depth // 2
            region = tuple(
                slice(start, start + side)
                for start, side in zip((z, y, x), long.shape, strict=True)
            )
            ids.append(document.free_ids()[0])
            document.apply(Edit(region, long, ids[-1]))
            middle = z + depth // 2, y + long.shape[1] // 2
            seeds.append([(*middle, x + 24), (*middle, x + 64)])

        def split(number: int) -> None:
            self.session.change("split", ids[number], seeds=seeds[number])

        return split, None

    def _bits(self, boxes: Any, mask: NDArray[np.bool_], fresh: int) -> float:
        from napari_cellseg.labels import Edit

        self.session.change("apply", Edit(boxes[0], mask, fresh + 99))
        document = self.session.document
        assert document is not None
        step = document.history[-1]
        self.session.undo()
        return 8 * len(document._payload(step)) / step.count

    def _saved(self, boxes: Any, mask: NDArray[np.bool_], label: int) -> float:
        from napari_cellseg.labels import Edit

        document = self.session.document
        assert document is not None
        document.saved.wait()
        self.session.change("apply", Edit(boxes[0], mask, label))
        start = time.perf_counter()
        document.saved.wait()
        return 1000 * (time.perf_counter() - start)

    def _time(self, call: Callable[[int], None], runs: int) -> float:
        times = []
        for number in range(runs + 1):
            start = time.perf_counter()
            call(number)
            times.append(time.perf_counter() - start)
            if self.session.last_error is not None:
                raise self.session.last_error
            self._wait(lambda: True)
        return 1000 * statistics.median(times[1:])

    def _wait(self, until: Callable[[], bool]) -> None:
        from qtpy.QtWidgets import QApplication

        app = QApplication.instance()
        end = time.monotonic() + 30
        app.processEvents()
        while not until() and time.monotonic() < end:
            app.processEvents()
            time.sleep(0.005)


def objects(size: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint32]:
    """Labels of 5,000 balls (fewer in smaller stacks), on a jittered grid."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(size, np.uint32)
    pitch = (SIZE[0] * SIZE[1] * SIZE[2] / OBJECTS) ** (1 / 3)
    grid = np.stack(
        np.meshgrid(*(np.arange(pitch / 2, side, pitch) for side in size), indexing="ij"), -1
    ).reshape(-1, 3)
    ball = _ball(0.42 * pitch)
    for label, place in enumerate(grid, 1):
        start = np.round(place + rng.uniform(-1.5, 1.5, 3)).astype(int) - ball.shape[0] // 2
        low, high = np.maximum(start, 0), np.minimum(start + ball.shape[0], size)
        inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        cut = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        labels[inside][ball[cut]] = label
    return labels


def _ball(radius: float) -> NDArray[np.bool_]:
    reach = int(radius)
    z, y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1]
    inside: NDArray[np.bool_] = z**2 + y**2 + x**2 <= radius**2
    return inside


def describe(found: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    shape = "×".join(str(side) for side in found["size"])
    lines = [f"editing labels of {shape} in the window (ms; napari by its public calls)"]
    for row in found["edits"]:
        theirs = "" if row["napari_ms"] is None else f", napari {row['napari_ms']:8.1f}"
        deep = f", in 3D {row['ours_3d_ms']:.1f}" if "ours_3d_ms" in row else ""
        growth = f", {found['growth'][row['edit']]:.2f}× that of an eighth of the volume"
        lines.append(f"  {row['edit']:<20} ours {row['ours_ms']:7.2f}{theirs}{deep}{growth}")
    lines.append(
        f"  a step takes {found['bits']:.2f} bits per changed voxel; it is durable after "
        f"{found['saved_ms']:.2f} ms"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe(run_label_edits()))
