"""From a click to a mask in the labels: the package segment-anything's own predictor, and ours.

The plane is encoded already (by nobody: its embedding is noise, and so are the weights, which cost
the same time as trained ones). Noise makes masks of many specks that span the whole plane, which
is the worst case for a predictor that only enlarges the mask's own region.
"""

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

SIZES = (512, 1024, 2048)


@dataclass(frozen=True)
class ClickCost:
    """One kind of click.

    Attributes
    ----------
    side : int
        Rows and columns of the plane.
    candidates : int
        Masks that the model offers.
    theirs, ours : float
        Medians, in ms, from the prompt to the changed labels.
    first : float
        Ours, for the first click on a plane.
    ratio : float
        `theirs` over `ours`.
    equal : float
        Share of the plane's pixels that have the same label afterwards.
    """

    side: int
    candidates: int
    theirs: float
    ours: float
    first: float
    ratio: float
    equal: float


def run_clicks(runs: int = 15, threads: int | None = 1) -> list[ClickCost]:
    """Time single-point clicks on planes of several sizes, on the processor.

    Parameters
    ----------
    runs : int
        Per kind of click; theirs and ours take turns.
    threads : int, optional
        Threads that torch may use; None: as it is.
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        return [_clicks(side, several, runs) for side in SIZES for several in (False, True)]
    finally:
        torch.set_num_threads(before)


def _clicks(side: int, several: bool, runs: int) -> ClickCost:
    from napari_cellseg.prompts import Embedding, Prompt

    theirs, ours = _predictors(side)
    theirs_labels, our_labels = (np.zeros((side, side), np.uint32) for _ in range(2))
    place = (0.4 * side, 0.6 * side)
    features = {"image": theirs.features[0]}
    prompt = Prompt(points=[place])

    def click_theirs() -> None:
        theirs_labels[:] = 0
        start = time.perf_counter()
        masks, scores, _ = theirs.predict(
            np.array([place[::-1]]), np.array([1]), multimask_output=several
        )
        theirs_labels[masks[np.argmax(scores)]] = 7
        spent["theirs"].append(time.perf_counter() - start)

    def click_ours(embedding: Embedding, kind: str) -> None:
        our_labels[:] = 0
        start = time.perf_counter()
        (rows, cols), mask = ours.decode(embedding, prompt, multimask=several).region()
        our_labels[rows, cols][mask] = 7
        spent[kind].append(time.perf_counter() - start)

    def plane() -> Embedding:
        return Embedding(ours.name, ours.fingerprint, (side, side), ours.framing, features)

    spent: dict[str, list[float]] = {"theirs": [], "ours": [], "first": []}
    same = plane()
    click_theirs()
    click_ours(same, "ours")
    for times in spent.values():
        times.clear()
    for _ in range(runs):
        click_theirs()
        click_ours(same, "ours")
        click_ours(plane(), "first")
    median = {kind: 1000 * statistics.median(times) for kind, times in spent.items()}
    return ClickCost(
        side=side,
        candidates=3 if several else 1,
        theirs=median["theirs"],
        ours=median["ours"],
        first=median["first"],
        ratio=median["theirs"] / median["ours"],
        equal=float(np.mean(theirs_labels == our_labels)),
    )


def _predictors(side: int) -> tuple[Any, Any]:
    """Segment-anything's predictor and ours, on the same weights and the same embedding."""
    import segment_anything
    from segment_anything.modeling import ImageEncoderViT, Sam

    from napari_cellseg.prompts.registry import predictor_info
    from napari_cellseg.prompts.sam import SamPredictor
    from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder

    torch.manual_seed(1)
    # the encoder does not run: a small one will do
    parts = SamParts(ImageEncoderViT(depth=1, embed_dim=16, num_heads=1), mask_decoder()).eval()
    parts.requires_grad_(False)
    model = Sam(parts.image_encoder, parts.prompt_encoder, parts.mask_decoder).eval()
    theirs = segment_anything.SamPredictor(model)
    theirs.original_size = (side, side)
    theirs.input_size = (1024, 1024)
    theirs.features = torch.randn(1, 256, 64, 64)
    theirs.is_image_set = True
    return theirs, SamPredictor(predictor_info("sam"), parts, "benchmark", "pad")


def describe(rows: list[ClickCost]) -> str:
    """Return the figures as lines of text."""
    lines = ["click → labels, plane encoded, one thread (ms; theirs: segment-anything)"]
    for row in rows:
        lines.append(
            f"  {row.side}², {row.candidates} candidate{'s' * (row.candidates > 1)}: theirs "
            f"{row.theirs:.0f}, ours {row.ours:.1f} ({row.ratio:.1f}×; first click on a plane "
            f"{row.first:.1f}), {100 * row.equal:.3f} % of pixels equal"
        )
    return "\n".join(lines)


def as_json(rows: list[ClickCost]) -> list[dict[str, Any]]:
    """Return the figures for a file."""
    return [asdict(row) for row in rows]


if __name__ == "__main__":
    print(describe(run_clicks()))
