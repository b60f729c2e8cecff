"""Masks of many single points on one embedding, made only where the model rates them well.

Most points of a grid give masks that are thrown away by the model's own rating, which is read off
a token before any mask exists: the enlargement, a third of a click's work, is then spared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import ModelError
from napari_cellseg.prompts.framing import LOW, Frame
from napari_cellseg.prompts.prompt import Prompt

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cellseg.prompts.embedding import Embedding
    from napari_cellseg.prompts.predictor import Predictor


@dataclass(frozen=True, eq=False)
class Decoded:
    """What some points of one view gave.

    Attributes
    ----------
    logits : array of float32, (n, 256, 256)
    scores : array of float32, (n,)
        Predicted intersection over union.
    source : array of int64, (n,)
        The point that each mask answers.
    """

    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    source: NDArray[np.int64]


def decode_points(
    predictor: Predictor,
    embedding: Embedding,
    points: NDArray[np.float64],
    least_score: float,
    check: Callable[[], None] = lambda: None,
) -> Decoded:
    """Answer each point by itself, keeping the masks with at least a predicted score.

    Parameters
    ----------
    predictor : Predictor
        One made of SAM's parts shares the work that points have in common; any other is asked
        point by point.
    embedding : Embedding
    points : array of float, (n, 2)
        (row, col) in the embedding's plane.
    least_score : float
    check : callable
        Called before each step; raises to stop.

    Raises
    ------
    InputError
        If a point lies outside, or the embedding is another model's.
    ModelError
        If the model answers NaN.
    """
    from napari_cellseg.prompts.sam_family import SamFamily

    if isinstance(predictor, SamFamily):
        found = _shared(predictor, embedding, points, least_score, check)
    else:
        found = _one_by_one(predictor, embedding, points, least_score, check)
    _check_numbers(predictor, found, points)
    return found


def _one_by_one(
    predictor: Predictor,
    embedding: Embedding,
    points: NDArray[np.float64],
    least_score: float,
    check: Callable[[], None],
) -> Decoded:
    several = predictor.capabilities.multimask or None
    parts = []
    for index, point in enumerate(points):
        check()
        proposal = predictor.decode(embedding, Prompt(points=[point]), several)
        good = ~(proposal.scores < least_score)  # NaN stays, to be reported
        source = np.full(int(good.sum()), index, np.int64)
        parts.append(Decoded(proposal.logits[good], proposal.scores[good], source))
    return _joined(parts)


def _shared(
    predictor: Any,
    embedding: Embedding,
    points: NDArray[np.float64],
    least_score: float,
    check: Callable[[], None],
) -> Decoded:
    """With the parts of a `SamFamily`: the image's share of the work is done once."""
    import torch

    from napari_cellseg.prompts.mask_tokens import MaskTokens

    several = predictor.capabilities.multimask
    predictor._check(embedding, Prompt(points=points[:1]), several)
    for point in points:
        Prompt(points=[point]).within(embedding.shape)
    tokens = predictor._tokens
    masks = slice(1, None) if several else slice(0, 1)
    with torch.inference_mode():
        ready = predictor._ready(embedding)
        xy = predictor._xy(points, Frame(embedding.shape, predictor.framing))[:, None]
        positive = torch.ones(xy.shape[:2], dtype=torch.int64, device=xy.device)
        sparse, _ = predictor.parts.prompt_encoder(points=(xy, positive), boxes=None, masks=None)
        if xy.device.type != "cpu" and type(tokens) is MaskTokens:
            check()
            return _at_once(tokens, ready.image, sparse, masks, least_score)
        return _in_turn(tokens, ready, sparse, masks, least_score, check)


def _in_turn(
    tokens: Any,
    ready: Any,
    sparse: Tensor,
    masks: slice,
    least_score: float,
    check: Callable[[], None],
) -> Decoded:
    """One point after the other, which suits a processor's cache."""
    import torch

    heads = tokens.decoder.output_hypernetworks_mlps
    chosen = list(range(len(heads)))[masks]
    parts = []
    for index, words in enumerate(sparse):
        check()
        words, image = tokens.transform(ready, torch.cat([tokens.words, words]))
        scores = tokens.decoder.iou_prediction_head(words[:1])[0, masks]
        good = torch.nonzero(~(scores < least_score)).flatten().tolist()
        if good:
            weights = torch.cat([heads[chosen[i]](words[1 + chosen[i]][None]) for i in good])
            logits = tokens.upscale(image, weights)
            source = np.full(len(good), index, np.int64)
            parts.append(Decoded(_array(logits), _array(scores[good]), source))
    return _joined(parts)


def _at_once(
    tokens: Any, image: Tensor, sparse: Tensor, masks: slice, least_score: float
) -> Decoded:
    """All points as one batch of the package's own layers, which suits a GPU."""
    import torch

    decoder, (rows, cols) = tokens.decoder, tokens.grid
    count, channels = len(sparse), image.shape[1]

    def spread(positions: Tensor) -> Tensor:
        return positions.T.reshape(1, channels, rows, cols).expand(count, -1, -1, -1)

    words = torch.cat([tokens.words.expand(count, -1, -1), sparse], dim=1)
    words, seen = decoder.transformer(spread(image), spread(tokens.places), words)
    scores = decoder.iou_prediction_head(words[:, 0])[:, masks]
    good = ~(scores < least_score)
    use = good.any(dim=1)
    chosen = list(range(len(decoder.output_hypernetworks_mlps)))[masks]
    weights = torch.stack(
        [decoder.output_hypernetworks_mlps[i](words[use, 1 + i]) for i in chosen], dim=1
    )
    seen = seen[use].transpose(1, 2).reshape(-1, channels, rows, cols)
    fine = decoder.output_upscaling(seen)
    logits = (weights @ fine.flatten(2)).view(-1, len(chosen), *fine.shape[2:])[good[use]]
    source = torch.nonzero(good)[:, 0].cpu().numpy()
    return Decoded(_array(logits), _array(scores[good]), source)


def _array(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array


def _joined(parts: list[Decoded]) -> Decoded:
    if not parts:
        return Decoded(
            np.zeros((0, LOW, LOW), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        )
    return Decoded(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.source for part in parts]),
    )


def _check_numbers(predictor: Predictor, found: Decoded, points: NDArray[np.float64]) -> None:
    # a maximum is NaN where any value is, and needs no array of flags
    bad = np.isnan(found.scores) | np.isnan(found.logits.max(axis=(1, 2), initial=-np.inf))
    if bad.any():
        row, col = points[found.source[np.flatnonzero(bad)[0]]]
        raise ModelError(
            f"{predictor.title} answered NaN for the point ({row:g}, {col:g}): its weights or the "
            "plane's embedding are damaged; encode the plane again or load another checkpoint."
        )
