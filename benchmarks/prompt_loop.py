"""The whole loop, from a click in a session to its mask in the labels, beside segment-anything.

Weights are random, which costs the same time as trained ones; the encoder is MobileSAM's, the mask
decoder SAM's. Both sides decode from the same embedding.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

TURN = 30.0  # seconds that an answer may take


class Loop:
    """A session whose images are noise and whose model has random weights."""

    def __init__(self, side: int, planes: int, folder: Path) -> None:
        from napari_cellseg.networks.tiny_vit import TinyViT
        from napari_cellseg.prompts.registry import predictor_info
        from napari_cellseg.prompts.sam import MobileSamPredictor
        from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder
        from napari_cellseg.session import Session
        from napari_cellseg.worker import InferenceWorker, engine, prompt_planes, prompting
        from napari_cellseg.worker.scene import configure_cache

        for module in (engine, prompt_planes, prompting):
            assert module.__name__  # importing them registers the operations
        torch.manual_seed(1)
        self.folder = folder
        configure_cache(folder)
        self.parts = SamParts(TinyViT(), mask_decoder()).eval()
        self.parts.requires_grad_(False)
        self.predictor = MobileSamPredictor(
            predictor_info("mobile-sam"), self.parts, "benchmark", "pad"
        )
        self.worker = InferenceWorker()
        self.worker.models.get("prompt", "mobile-sam", None, "auto", lambda: self.predictor)
        noise = np.random.default_rng(1).integers(0, 255, (planes, side, side), np.uint8)
        self.session = Session(worker=self.worker)
        self.session.use_volume(noise, axes="zyx", spacing=(1.0, 1.0, 1.0))
        self.session.prompts.encoding.ahead = 0
        self.side = side

    def view(self, index: int, wait: bool = True) -> None:
        """Turn to a plane; wait until it is encoded."""
        from napari_cellseg.prompts.plane_view import Plane

        prompts = self.session.prompts
        with happens(prompts.changed, lambda: prompts.ready or not wait):
            prompts.look_at(Plane("xy", index))
            prompts.start()

    def click(self, index: int, place: tuple[float, float]) -> float:
        """Seconds from a click to its mask in the preview; it is discarded afterwards."""
        prompts = self.session.prompts
        prompts.discard()
        begin = time.perf_counter()
        with happens(prompts.changed, lambda: self._answered()):
            prompts.click((index, *place))
        spent = time.perf_counter() - begin
        return spent

    def _answered(self) -> bool:
        one = self.session.prompts.current
        return one is not None and bool(one.answers) and one.pending is None

    def forget_memory(self) -> None:
        """Keep embeddings on disk only, as after a new start."""
        from napari_cellseg.worker import scene

        scene.embedding_cache().clear(disk=False)
        self.session.prompts.image_edited()

    def close(self) -> None:
        """End the worker."""
        self.session.close()
        self.worker.shutdown()


@contextmanager
def happens(signal: Any, true: Any) -> Iterator[None]:
    """Wait at the end of the block until something is true, looking at every signal."""
    seen = threading.Event()

    def look() -> None:
        if true():
            seen.set()

    signal.connect(look)
    try:
        yield
        look()
        if not seen.wait(TURN):
            raise TimeoutError("the loop did not answer")
    finally:
        signal.disconnect(look)


def _peer(loop: Loop) -> Any:
    """Segment-anything's predictor on the loop's weights and first embedding."""
    import segment_anything
    from segment_anything.modeling import ImageEncoderViT, Sam

    from napari_cellseg.prompts.plane_view import Plane
    from napari_cellseg.worker.scene import clicker_of

    scene = loop.session.prompts.scene()
    assert scene is not None
    clicker = clicker_of(scene, Plane("xy", 0), loop.predictor)
    embedding = clicker.prompter.embeddings.encode(0)
    encoder = ImageEncoderViT(depth=1, embed_dim=16, num_heads=1)  # it does not run
    model = Sam(encoder, loop.parts.prompt_encoder, loop.parts.mask_decoder).eval()
    theirs = segment_anything.SamPredictor(model)
    theirs.original_size = (loop.side, loop.side)
    theirs.input_size = (1024, 1024)
    theirs.features = embedding.features["image"][None].float()
    theirs.is_image_set = True
    return theirs


def _side(side: int, runs: int, folder: Path) -> dict[str, float]:
    loop = Loop(side, 2, folder)
    try:
        loop.view(0)
        theirs = _peer(loop)
        labels = np.zeros((side, side), np.uint32)
        rng = np.random.default_rng(2)
        spent: dict[str, list[float]] = {"theirs": [], "ours": [], "revisit": [], "accept": []}
        equal = []
        for turn in range(runs + 2):
            place = tuple(float(at) for at in rng.integers(side // 8, side - side // 8, 2))
            labels[:] = 0
            begin = time.perf_counter()
            with torch.inference_mode():
                masks, scores, _ = theirs.predict(np.array([place[::-1]]), np.array([1]))
            labels[masks[np.argmax(scores)]] = 7
            peer = time.perf_counter() - begin
            ours = loop.click(0, (place[0], place[1]))
            preview = loop.session.prompts.preview
            assert preview is not None
            equal.append(float(np.mean((preview.labels[0] > 0) == (labels > 0))))
            if turn >= 2:  # before, kernels are compiled
                spent["theirs"].append(peer)
                spent["ours"].append(ours)
        for _ in range(max(3, runs // 3)):
            loop.forget_memory()
            spent["revisit"].append(loop.click(0, (side / 3, side / 3)))
        begin = time.perf_counter()
        loop.session.prompts.accept()
        spent["accept"].append(time.perf_counter() - begin)
        size = sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
        median = {name: 1000 * statistics.median(times) for name, times in spent.items()}
    finally:
        loop.close()
    return {
        "side": side,
        **median,
        "ratio": median["theirs"] / median["ours"],
        "equal": statistics.median(equal),
        "disk_mib": size / 2**20,
    }


def _busy(runs: int, folder: Path) -> dict[str, float]:
    """Clicks on a cached plane while others are encoded, beside the same clicks alone."""
    planes = 2 * runs + 2
    loop = Loop(1024, planes, folder)
    idle: list[float] = []
    busy: list[float] = []
    try:
        loop.view(0)
        loop.click(0, (400.0, 400.0))
        other = 1
        while len(busy) < runs and other < planes:
            idle.append(loop.click(0, (500.0, 300.0 + other)))
            loop.view(other, wait=False)
            time.sleep(0.3)  # the encoder is in the middle of its work
            spent = loop.click(0, (500.0, 300.0 + other))
            if loop.session.prompts.encoding.running is not None:
                busy.append(spent)
            prompts = loop.session.prompts
            with happens(prompts.changed, lambda: loop.session.prompts.ready):
                pass
            other += 1
    finally:
        loop.close()
    both = {"idle": 1000 * statistics.median(idle), "busy": 1000 * statistics.median(busy)}
    return {**both, "ratio": both["busy"] / both["idle"], "clicks": len(busy)}


def run_loop(runs: int = 9) -> dict[str, Any]:
    """Time the loop.

    Parameters
    ----------
    runs : int
        Clicks of each kind; theirs and ours take turns.

    Returns
    -------
    dict
        Milliseconds, ratios, MiB on disk for a plane.
    """
    found: dict[str, Any] = {}
    for side in (1024, 2048):
        with tempfile.TemporaryDirectory() as folder:
            found[f"{side}"] = _side(side, runs, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        found["while encoding"] = _busy(max(3, runs // 2), Path(folder))
    return found


def describe(found: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    lines = ["the prompt loop: click → mask, through session and worker (ms, medians)"]
    for side in ("1024", "2048"):
        row = found[side]
        lines.append(
            f"  {side}², three candidates: segment-anything and a plain write {row['theirs']:.0f}, "
            f"ours {row['ours']:.0f} ({row['ratio']:.1f}×, {100 * row['equal']:.3f} % of pixels "
            f"equal); from disk {row['revisit']:.0f}; {row['disk_mib']:.2f} MiB on disk"
        )
    row = found["while encoding"]
    lines.append(
        f"  on a cached plane {row['idle']:.0f}, while another is encoded {row['busy']:.0f} "
        f"({row['ratio']:.2f}×, {row['clicks']:.0f} clicks)"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe(run_loop()))
