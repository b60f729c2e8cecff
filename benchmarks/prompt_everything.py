"""Everything in a plane: the package segment-anything's mask generator, and ours.

The plane is encoded already, and the weights are random: they cost the time of trained ones. The
embedding is smooth and both enlargements treat their four quarters alike, so that masks are blobs
with clear borders, as trained ones are, and not specks, whose run lengths would cost theirs more.
Many fill most of the plane, which is the worst case for ours, as it only enlarges their box.
The thresholds are set to pass about as many masks as a trained model does on a picture of cells.
"""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SIDE = 1024
#: Shares of masks that pass the predicted score, and then the stability.
PASS_SCORE, PASS_STABILITY = 0.4, 0.7
#: Points that theirs decodes at once: on a processor its default, 64, takes 1.4 times as long.
BATCH = 4


@dataclass(frozen=True)
class Thresholds:
    """What both generators are given."""

    score: float
    stability: float
    offset: float


def run_everything(points_per_side: int = 16, runs: int = 3, threads: int = 1) -> dict[str, Any]:
    """Time both on the processor, and compare the masks that pass equal thresholds.

    Parameters
    ----------
    points_per_side : int
    runs : int
        Theirs and ours take turns.
    threads : int
        That torch may use.

    Returns
    -------
    dict
        ``wall`` and ``cpu``: medians of theirs and ours (s) and their ratio; ``masks``: how many
        pass in each before duplicates are dropped; ``same``: those that pass in both as a share
        of those that pass in either; ``iou``: median and least overlap of those.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _measure(points_per_side, runs)
    finally:
        torch.set_num_threads(before)


def _measure(points_per_side: int, runs: int) -> dict[str, Any]:
    from napari_cellseg.prompts.everything import everything
    from napari_cellseg.prompts.everything_decode import decode_points

    model, predictor, embedding = models()
    limits = thresholds(predictor, embedding)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    generator = mask_generator(model, embedding, points_per_side, limits, 0.7)

    def theirs() -> None:
        generator.generate(image)

    def ours() -> None:
        everything(
            predictor, embedding, points_per_side=points_per_side, least_score=limits.score,
            least_stability=limits.stability, stability_offset=limits.offset,
        )  # fmt: skip

    decode_points(predictor, embedding, np.full((2, 2), 9.0), -9)  # compiles, and fills caches
    ours()
    spent: dict[str, dict[str, list[float]]] = {
        clock: {"theirs": [], "ours": []} for clock in ("wall", "cpu")
    }
    for _ in range(runs):
        for name, work in (("theirs", theirs), ("ours", ours)):
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            spent["wall"][name].append(time.perf_counter() - wall)
            spent["cpu"][name].append(time.process_time() - cpu)
    found: dict[str, Any] = {"points": points_per_side**2, "side": SIDE}
    for clock, times in spent.items():
        median = {name: statistics.median(values) for name, values in times.items()}
        found[clock] = {**median, "ratio": median["theirs"] / median["ours"]}
    every = mask_generator(model, embedding, points_per_side, limits, 1.0)
    return found | agreement(
        every.generate(image), passing(predictor, embedding, points_per_side, limits)
    )


def models() -> tuple[Any, Any, Any]:
    """Segment-anything's model, our predictor, and an embedding, of the same weights."""
    from segment_anything.modeling import ImageEncoderViT, Sam
    from torch.nn import functional as F

    from napari_cellseg.prompts import Embedding
    from napari_cellseg.prompts.registry import predictor_info
    from napari_cellseg.prompts.sam import SamPredictor
    from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder

    torch.manual_seed(1)
    decoder: Any = mask_decoder()
    for layer in (decoder.output_upscaling[0], decoder.output_upscaling[3]):
        layer.weight.data[:] = layer.weight.data.mean(dim=(2, 3), keepdim=True)
    # theirs takes a threshold of 0 or below for none
    decoder.iou_prediction_head.layers[-1].bias.data += 0.9
    # the encoder does not run: a small one will do
    parts = SamParts(ImageEncoderViT(depth=1, embed_dim=16, num_heads=1), decoder).eval()
    parts.requires_grad_(False)
    model = Sam(parts.image_encoder, parts.prompt_encoder, parts.mask_decoder).eval()
    smooth = F.interpolate(torch.randn(1, 256, 12, 12), (64, 64), mode="bicubic")[0]
    predictor = SamPredictor(predictor_info("sam"), parts, "benchmark", "pad")
    embedding = Embedding("sam", "benchmark", (SIDE, SIDE), "pad", {"image": smooth})
    return model, predictor, embedding


def thresholds(predictor: Any, embedding: Any) -> Thresholds:
    from napari_cellseg.prompts.everything_decode import decode_points
    from napari_cellseg.prompts.everything_view import stability

    points = np.random.default_rng(2).uniform(0, SIDE - 1, (24, 2))
    decoded = decode_points(predictor, embedding, points, -np.inf)
    score = float(np.quantile(decoded.scores, 1 - PASS_SCORE))
    good = decoded.logits[decoded.scores >= score]
    offset = 0.05 * float(np.abs(good).mean())
    return Thresholds(
        score, float(np.quantile(stability(good, offset), 1 - PASS_STABILITY)), offset
    )


def _grid(points_per_side: int) -> NDArray[np.float64]:
    from napari_cellseg.prompts.everything_grid import point_grid

    return point_grid((SIDE, SIDE), points_per_side, None)


def mask_generator(
    model: Any, embedding: Any, points_per_side: int, limits: Thresholds, duplicate: float
) -> Any:
    """Segment-anything's generator, on our points and a plane that it finds encoded."""
    from segment_anything import SamAutomaticMaskGenerator

    generator = SamAutomaticMaskGenerator(
        model,
        points_per_side=None,
        points_per_batch=BATCH,
        point_grids=[_grid(points_per_side)[:, ::-1] / SIDE],
        pred_iou_thresh=limits.score,
        stability_score_thresh=limits.stability,
        stability_score_offset=limits.offset,
        box_nms_thresh=duplicate,
    )
    predictor = generator.predictor
    predictor.features = embedding.features["image"][None]
    predictor.original_size = predictor.input_size = (SIDE, SIDE)
    predictor.is_image_set = True
    predictor.set_image = predictor.reset_image = lambda *_: None
    return generator


def passing(predictor: Any, embedding: Any, points_per_side: int, limits: Thresholds) -> list[Any]:
    """Every mask of ours that passes, duplicates too, enlarged."""
    from napari_cellseg.prompts.everything_decode import decode_points
    from napari_cellseg.prompts.everything_rules import Rules
    from napari_cellseg.prompts.everything_view import ViewMasks

    rules = Rules(
        least_score=limits.score, least_stability=limits.stability,
        stability_offset=limits.offset, duplicate=1.0,
    )  # fmt: skip
    plane = slice(0, SIDE), slice(0, SIDE)
    masks = ViewMasks(plane, (SIDE, SIDE), "pad", "logits", rules)
    points = _grid(points_per_side)
    masks.add(decode_points(predictor, embedding, points, limits.score), points)
    return masks.best()


def agreement(theirs: list[dict[str, Any]], ours: list[Any]) -> dict[str, Any]:
    """Pair masks of the same point and score, and compare them."""
    overlaps: list[float] = []
    by_point: dict[tuple[float, float], list[Any]] = {}
    for mine in ours:
        by_point.setdefault((round(mine.point[0], 2), round(mine.point[1], 2)), []).append(mine)
    for yours in theirs:
        col, row = yours["point_coords"][0]
        for mine in by_point.get((round(row, 2), round(col, 2)), []):
            if abs(mine.score - yours["predicted_iou"]) < 1e-4:
                mask = np.zeros((SIDE, SIDE), bool)
                mask[mine.piece.place] = mine.piece.mask
                both = np.count_nonzero(mask & yours["segmentation"])
                overlaps.append(both / np.count_nonzero(mask | yours["segmentation"]))
    if not overlaps:
        raise RuntimeError("no mask passed in both: ask more points")
    return {
        "masks": {"theirs": len(theirs), "ours": len(ours)},
        "same": len(overlaps) / (len(theirs) + len(ours) - len(overlaps)),
        "iou": {"median": statistics.median(overlaps), "least": min(overlaps)},
    }


def describe(found: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    wall, cpu, masks = found["wall"], found["cpu"], found["masks"]
    return (
        f"everything in a plane of {found['side']}², {found['points']} points, plane encoded, one "
        "thread (theirs: segment-anything)\n"
        f"  theirs {wall['theirs']:.1f} s, ours {wall['ours']:.1f} s ({wall['ratio']:.1f}×; "
        f"processor time {cpu['ratio']:.1f}×)\n"
        f"  masks that pass: theirs {masks['theirs']}, ours {masks['ours']}, "
        f"{100 * found['same']:.1f} % the same, with an overlap of {found['iou']['median']:.4f} "
        f"(least {found['iou']['least']:.4f})"
    )


if __name__ == "__main__":
    print(describe(run_everything()))
