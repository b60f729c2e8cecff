"""How long the window stands still while the Segment dock works: a figure, not a pass mark.

A Qt timer ticks every few milliseconds; while the GUI thread is busy it cannot, so that the longest
gap between two ticks is the longest time for which the window did not answer. A gap in which a
result was put on the screen (napari makes or redraws a layer, which takes as long as it takes) is
counted apart from those while the work was going on.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

TICK_MS = 3
SECONDS = 900.0


class Stall(TypedDict):
    """One phase: what was done, how long it took, the longest gaps between ticks (ms)."""

    phase: str
    seconds: float
    working_ms: float
    showing_ms: float


class StallProbe:
    """Ticks a Qt timer and keeps the gaps; must be made on the GUI thread."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.working: list[float] = []
        self.showing: list[float] = []
        self._shown = False
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Begin a phase."""
        self.working, self.showing = [0.0], [0.0]
        self._shown = False
        self._last = time.perf_counter()
        self._timer.start(TICK_MS)

    def show(self, *_: object) -> None:
        """Say that a result is being put on the screen now."""
        self._shown = True

    def stop(self) -> None:
        """End the phase."""
        self._tick()
        self._timer.stop()

    def _tick(self) -> None:
        now = time.perf_counter()
        gaps = self.showing if self._shown else self.working
        gaps.append(1000 * (now - self._last))
        self._last, self._shown = now, False


def watch(
    probe: StallProbe, phase: str, act: Callable[[], object], done: Callable[[], bool]
) -> Stall:
    """Run one phase: act, then let the window live until it is done (and has drawn that)."""
    from qtpy.QtWidgets import QApplication

    start = time.perf_counter()
    probe.start()
    act()
    while not done():
        if time.perf_counter() - start > SECONDS:
            raise TimeoutError(f"{phase!r} did not end in {SECONDS:.0f} s")
        QApplication.processEvents()
        time.sleep(0.0005)
    seconds = time.perf_counter() - start
    for _ in range(20):
        QApplication.processEvents()
        time.sleep(0.005)
    probe.stop()
    working, showing = max(probe.working), max(probe.showing)
    return {"phase": phase, "seconds": seconds, "working_ms": working, "showing_ms": showing}


def measure_stall(checkpoint: Path | None = None) -> dict[str, Any]:
    """Do the main job on the bundled stack in the real window and watch it.

    Returns
    -------
    dict
        ``phases``: a list of `Stall`; ``longest_ms``: the longest gap while "Segment all" worked.
    """
    import napari

    viewer = napari.Viewer(show=True)
    try:
        _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Segment")
        session, probe = dock.session, StallProbe()
        if checkpoint is not None:
            session.parameters.checkpoint = checkpoint
        session.labels_changed.connect(probe.show)
        session.proposal_changed.connect(probe.show)
        viewer.layers.events.inserted.connect(probe.show)

        def idle() -> bool:
            return not session.busy and not dock.run.relabel_pending

        def slide() -> None:
            for step in range(500, 560, 5):
                dock.result.probability.slider.setValue(step)

        phases = [
            watch(probe, "nothing", lambda: None, idle),
            watch(
                probe, "open sample", lambda: viewer.open_sample("napari-cellseg", "embryo"), idle
            ),
            watch(probe, "try here", dock.model.try_button.click, idle),
            watch(probe, "segment all", dock.model.segment_button.click, idle),
            watch(probe, "segment all again", dock.model.segment_button.click, idle),
            watch(probe, "slide", slide, idle),
            watch(probe, "apply", dock.result.apply_button.click, idle),
        ]
        if session.last_error is not None:
            raise session.last_error
    finally:
        viewer.close()
    longest = next(p["working_ms"] for p in phases if p["phase"] == "segment all")
    return {"phases": phases, "longest_ms": longest}


def describe(result: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    lines = ["longest time for which the window stood still (bundled stack)"]
    for stall in result["phases"]:
        lines.append(
            f"  {stall['phase']:<18} {stall['seconds']:6.1f} s: {stall['working_ms']:5.0f} ms at "
            f"work, {stall['showing_ms']:5.0f} ms showing the result"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="weights of your own for the network")
    print(describe(measure_stall(parser.parse_args().checkpoint)))
