"""How long the window stands still while planes are encoded and clicks are answered.

The model is MobileSAM with random weights: it costs what the trained one costs. Ticks are counted
as in `gui_stall`; while planes are encoded nothing has to be drawn, so that every gap counts.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gui_stall import Stall, StallProbe, watch

PLANES, SIDE = 8, 1024


def measure_prompts(planes: int = PLANES, side: int = SIDE) -> dict[str, Any]:
    """Open the Prompt dock on a stack, let planes be encoded, turn planes, click, accept.

    Returns
    -------
    dict
        ``phases``: a list of `Stall`; ``longest_ms``: the longest gap while planes were encoded.
    """
    import napari
    import torch
    from napari.settings import get_plugin_settings

    from napari_cellseg.networks.tiny_vit import TinyViT
    from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder
    from napari_cellseg.widgets.preferences import PLUGIN

    torch.seed()  # weights that no cache knows
    viewer = napari.Viewer(show=True)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.pt"
        torch.save(SamParts(TinyViT(), mask_decoder()).state_dict(), weights)
        cache = get_plugin_settings(PLUGIN).cache
        former, cache.folder = cache.folder, folder  # not the user's own
        try:
            phases = _phases(viewer, planes, side, weights)
        finally:
            cache.folder = former
            viewer.close()
    encoding = [phase["working_ms"] for phase in phases if phase["phase"].startswith("encode")]
    return {"phases": phases, "longest_ms": max(encoding)}


def _phases(viewer: Any, planes: int, side: int, weights: Path) -> list[Stall]:
    from napari_cellseg.worker import worker

    _, dock = viewer.window.add_plugin_dock_widget("napari-cellseg", "Prompt")
    from qtpy.QtCore import QTimer

    def busy() -> bool:
        return any(worker().waiting(lane) for lane in ("batch", "encode"))

    noise = np.random.default_rng(1).integers(0, 255, (planes, side, side), np.uint8)
    probe, prompts = StallProbe(), dock.session.prompts
    found: list[Stall] = []

    def shown() -> bool:
        return bool(prompts.encoding.running is not None or prompts.ready)

    def encoded() -> bool:
        encoding = prompts.encoding
        return encoding.running is None and len(encoding.ready) == planes

    def answered() -> bool:
        return prompts.current is not None and not prompts.waiting

    def turn() -> None:
        """Turn a plane every tenth of a second, as a user looks through a stack."""
        for step in range(2 * planes):
            QTimer.singleShot(100 * step, lambda at=step % planes: look(at))

    def look(index: int) -> None:
        viewer.dims.set_current_step(0, index)

    def click(place: tuple[float, float]) -> None:
        prompts.click((planes // 2, *place))

    prompts.settings.checkpoint = weights
    viewer.add_image(noise, name="noise", axis_labels=("z", "y", "x"))
    look(planes // 2)
    for _ in range(3):  # the first frames are drawn, and what the docks need is imported
        found[:] = [watch(probe, "dock and image", lambda: None, lambda: not busy())]
    found.append(watch(probe, "turn prompting on", dock.tools.prompt.click, shown))
    found.append(watch(probe, "encode the stack", lambda: None, encoded))
    other = 255 - noise
    found.append(
        watch(probe, "another image", lambda: setattr(viewer.layers["noise"], "data", other), shown)
    )
    found.append(watch(probe, "encode while planes are turned", turn, encoded))
    look(planes // 2)
    for number in range(4):
        place = (side * (0.3 + number / 10), side / 2)
        found.append(watch(probe, f"click {number + 1}", lambda at=place: click(at), answered))
    found.append(watch(probe, "accept", prompts.accept, lambda: True))
    if dock.session.last_error is not None:
        raise dock.session.last_error
    return found


def describe(result: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    lines = [f"longest time for which the window stood still ({PLANES} planes of {SIDE}²)"]
    for stall in result["phases"]:
        lines.append(
            f"  {stall['phase']:<32} {1000 * stall['seconds']:7.0f} ms, longest gap "
            f"{stall['working_ms']:5.0f} ms"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe(measure_prompts()))
