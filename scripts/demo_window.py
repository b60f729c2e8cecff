"""Take pictures of the real napari window while the Segment dock does the main job.

The bundled stack is opened as sample data, tried and segmented by pressing the dock's own buttons,
and what the window then shows is saved. Without a display, run it under Xvfb.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")  # a picture must not depend on, or change, settings
os.environ.setdefault("NAPARI_CELLSEG_DOCUMENTS", "")  # nor offer or leave unfinished work

import napari
import numpy as np
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QApplication

from napari_cellseg.widgets import SegmentDock

PLUGIN, DOCK, SAMPLE = "napari-cellseg", "Segment", "embryo"
WINDOW = (1280, 860)
SECONDS = 900.0
ANGLES = (10.0, -25.0, 65.0)


def random_weights(folder: Path) -> Path:
    """Write a MobileSAM that was never trained."""
    import torch

    from napari_cellseg.networks.tiny_vit import TinyViT
    from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder

    file = folder / "mobile_sam.pt"
    torch.save(SamParts(TinyViT(), mask_decoder()).state_dict(), file)
    return file


class Window:
    """The napari window with the dock, driven like a user would."""

    def __init__(self, checkpoint: Path | None) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*WINDOW)
        _, dock = self.viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
        self.dock: SegmentDock = dock
        if checkpoint is not None:
            dock.session.parameters.checkpoint = checkpoint
        self.viewer.open_sample(PLUGIN, SAMPLE)
        self.draw()

    def draw(self, seconds: float = 0.4) -> None:
        """Let the window draw itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)

    def press(self, button: Callable[[], None]) -> float:
        """Press a button and wait for what it started; return the seconds that took."""
        start = time.monotonic()
        button()
        session = self.dock.session
        while session.busy or self.dock.run.relabel_pending:
            if time.monotonic() - start > SECONDS:
                raise TimeoutError(f"still {session.status.text} after {SECONDS:.0f} s")
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        if session.last_error is not None:
            raise session.last_error
        taken = time.monotonic() - start
        self.draw()
        return taken

    def look_at_plane(self) -> None:
        """Show the plane with the most cells, or else the brightest one, filling the canvas."""
        image, cells = self.dock.image.image, self.dock.layers.cells
        assert image is not None
        self.viewer.dims.ndisplay = 2
        if cells is not None:
            best = np.argmax([len(np.unique(plane)) for plane in cells.data])
        else:
            stack = np.asarray(image.data)
            best = np.argmax((stack > np.percentile(stack, 99)).sum(axis=(1, 2)))
        self.viewer.dims.set_current_step(0, int(best))
        self.viewer.fit_to_view()

    def look_from_outside(self) -> None:
        """Show the cells rendered in 3D."""
        self.viewer.dims.ndisplay = 3
        self.viewer.fit_to_view()
        self.viewer.scene.camera.angles = ANGLES
        if self.dock.layers.cells is not None:
            self.dock.layers.cells.opacity = 1.0
            self.dock.layers.cells.iso_gradient_mode = "smooth"

    def prompt(self, folder: Path) -> None:
        """Take a cell away as if it had been missed, and find it again by one click in 3D.

        The click is answered by the flow field; the model, which only prepares planes here, has
        random weights, because the trained ones cannot be taken for granted.
        """
        session, labels = self.dock.session, self.dock.session.labels
        assert labels is not None
        plane = labels[int(self.viewer.dims.current_step[0])]
        ids = [label for label in np.unique(plane[plane > 0]) if (plane == label).sum() > 40]
        missed = max(ids, key=lambda one: np.argwhere(plane == one).mean(axis=0)[1])
        place = tuple(int(at) for at in np.argwhere(labels == missed).mean(axis=0).round())
        session.change("delete", [int(missed)])
        holder, dock = self.viewer.window.add_plugin_dock_widget(PLUGIN, "Prompt")
        holder.raise_()
        session.prompts.settings.checkpoint = random_weights(folder)
        session.prompts.settings.in_3d = True
        dock.tools.prompt.click()
        session.prompts.click(place)
        start = time.monotonic()
        while session.prompts.waiting or not session.prompts.ready:
            if time.monotonic() - start > SECONDS:
                raise TimeoutError("the click was not answered")
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        if session.last_error is not None:
            raise session.last_error

    def save(self, file: Path) -> None:
        """Save a picture of the whole window."""
        self.draw()
        file.parent.mkdir(parents=True, exist_ok=True)
        self.viewer.screenshot(str(file), canvas_only=False, flash=False)
        print(f"wrote {file}")

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()


def take(window: Window, output: Path | None, docs: Path | None) -> None:
    """Do the main job and take the pictures that were asked for."""
    dock = window.dock
    window.look_at_plane()
    if docs is not None:
        window.save(docs / "open.png")
        window.press(dock.model.try_button.click)
        window.save(docs / "try.png")
        window.press(dock.result.discard_button.click)
    seconds = window.press(dock.model.segment_button.click)
    cells = dock.layers.cells
    assert cells is not None
    print(f"{len(np.unique(cells.data)) - 1} cells in {seconds:.1f} s")
    window.look_at_plane()
    if output is not None:
        window.save(output)
    if docs is not None:
        window.save(docs / "window.png")
        window.save(docs / "result.png")
        window.look_from_outside()
        window.save(docs / "result-3d.png")
        window.look_at_plane()
        with tempfile.TemporaryDirectory() as folder:
            window.prompt(Path(folder))
            window.save(docs / "prompt.png")
        window.look_from_outside()
        cells.opacity = 0.4  # the cell in hand stands out
        window.save(docs / "prompt-3d.png")


def main() -> int:
    """Return 0 when every picture was taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="picture of the finished job")
    parser.add_argument("--docs", type=Path, help="folder for the pictures of the documentation")
    parser.add_argument("--checkpoint", type=Path, help="weights of your own for the network")
    arguments = parser.parse_args()
    if arguments.output is None and arguments.docs is None:
        parser.error("nothing to do: give --output, --docs or both")
    window = Window(arguments.checkpoint)
    try:
        take(window, arguments.output, arguments.docs)
    except Exception as error:
        print(f"no picture was taken: {error}", file=sys.stderr)
        return 1
    finally:
        window.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
