"""Take the pictures of docs/correcting.md: edit, review, and recover after the window was killed.

The bundled stack is segmented, a cell is split by clicks, cells are reviewed; then this process
starts itself again, is killed while it edits, and a new window takes the work up.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("NAPARI_CONFIG", "")  # a picture must not depend on, or change, settings

import napari
import numpy as np
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QApplication

from napari_cellseg.widgets.edit_geometry import Picked

PLUGIN = "napari-cellseg"
WINDOW = (1280, 900)
SECONDS = 900.0


def draw(seconds: float = 0.6) -> None:
    """Let the window draw itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)


def wait(until: Callable[[], bool], what: str) -> None:
    """Let the window work until something is so."""
    end = time.monotonic() + SECONDS
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen in {SECONDS:.0f} s")
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)


def open_window(dock: str, image: Path) -> tuple[Any, Any]:
    """Open a window with a dock, and the image by its file."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*WINDOW)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, dock)
    viewer.open(str(image), plugin=PLUGIN)
    wait(lambda: widget.session.volume is not None and not widget.session.busy, "opening")
    return viewer, widget


def segmented(dock: Any) -> None:
    """Segment everything."""
    dock.session.segment()
    wait(lambda: not dock.session.busy, "segmenting")
    if dock.session.last_error is not None:
        raise dock.session.last_error


def busiest(labels: np.ndarray) -> int:
    """Return the plane with the most cells."""
    return int(np.argmax([len(np.unique(plane)) for plane in labels]))


def edit(viewer: Any, dock: Any) -> None:
    """Make a few edits, and show how a split would come out."""
    session = dock.session
    document = session.document
    plane = busiest(session.labels)
    viewer.dims.set_current_step(0, plane)
    ids = [int(one) for one in np.unique(session.labels[plane]) if one]
    session.change("lock", ids[:2])
    session.change("set_class", ids[2], "dividing")
    session.change("delete", [ids[-1]])
    session.undo()
    largest = max(ids[2:], key=lambda one: int((session.labels[plane] == one).sum()))
    session.select([(0, largest)])
    rows, cols = np.nonzero(session.labels[plane] == largest)
    seeds = [(plane, int(rows[at]), int(cols[at])) for at in (0, len(rows) - 1)]
    dock.run.start("split")
    for seed in seeds:
        dock.run.clicks.take("split", Picked(seed, 0, largest), False)
    assert document.history


def review(viewer: Any, dock: Any) -> None:
    """Rank the cells, accept some, and ask for the audit's sentence."""
    dock.run.start()
    wait(lambda: dock.review.queue is not None, "ranking")
    draw()
    for _ in range(3):
        dock.run.press("accept")
        draw(0.2)
    dock.review.start_audit()
    for _ in range(12):
        dock.run.press("right")
        draw(0.05)
    dock.run.press("wrong")
    dock.review.stop_audit()
    dock.run.press("next")
    draw()


def until_killed(image: Path) -> None:
    """Open a window, edit, say so, and go on until killed."""
    viewer, dock = open_window("Edit", image)
    segmented(dock)
    session = dock.session
    viewer.dims.set_current_step(0, busiest(session.labels))
    ids = session.document.objects.ids(0).tolist()
    session.change("merge", ids[:2])
    session.change("delete", [ids[3]])
    session.change("lock", [ids[4]])
    session.document.saved.wait()
    print("saved", flush=True)
    wait(lambda: False, "being killed")


def recover(image: Path, save: Callable[[Any, str], None]) -> None:
    """Kill a window that edits, and take a picture of the next one."""
    child = subprocess.Popen(
        [sys.executable, __file__, "--until-killed", str(image)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    while child.stdout.readline().strip() != "saved":
        if child.poll() is not None:
            raise RuntimeError("the window that was to be killed ended by itself")
    child.send_signal(signal.SIGKILL)
    child.wait()
    viewer, dock = open_window("Edit", image)
    wait(lambda: dock.banner.isVisible(), "the offer")
    draw()
    save(viewer, "recover.png")
    dock.banner.recover.click()
    wait(lambda: dock.session.document is not None, "recovering")
    kinds = [step.kind for step in dock.session.document.history]
    assert kinds == ["merge", "delete", "lock"], kinds
    viewer.close()


def main() -> int:
    """Return 0 when every picture was taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, help="folder for the pictures")
    parser.add_argument("--until-killed", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.until_killed is not None:
        until_killed(arguments.until_killed)
        return 0
    if arguments.docs is None:
        parser.error("nothing to do: give --docs")
    from napari_cellseg.sample import sample_path

    image = Path(sample_path().image)

    def save(viewer: Any, name: str) -> None:
        draw()
        viewer.screenshot(str(arguments.docs / name), canvas_only=False, flash=False)
        print(f"wrote {arguments.docs / name}")

    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CELLSEG_DOCUMENTS"] = folder
        viewer, dock = open_window("Edit", image)
        segmented(dock)
        edit(viewer, dock)
        draw(1.5)
        save(viewer, "edit.png")
        dock.run.stop()
        _, second = viewer.window.add_plugin_dock_widget(PLUGIN, "Review")
        draw()
        review(viewer, second)
        save(viewer, "review.png")
        viewer.close()
        for one in Path(folder).iterdir():
            print(f"journal {one.name}")
        os.environ["NAPARI_CELLSEG_DOCUMENTS"] = str(Path(folder) / "crash")
        recover(image, save)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
