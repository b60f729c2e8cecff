"""A predictor that knows the truth: what lies under a point is its answer."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.prompts import Capabilities, Embedding, Prompt, Proposal
from napari_cellseg.prompts.framing import LOW, SIDE, Frame


@dataclass
class BlobPredictor:
    """Encodes an image of labels; a point on 0 gives the whole background.

    Parameters
    ----------
    extra : callable, optional
        ``(labels, id) → [(bool mask, score), ...]``: more masks beside the blob itself.
    score : dict
        Of a blob, by its id; 0.95 by default.
    broken : str, optional
        ``"scores"`` or ``"logits"`` are NaN.
    """

    extra: Any = None
    score: dict[int, float] = field(default_factory=dict)
    broken: str | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    soft: float = 8.0
    name: str = "blobs"
    title: str = "Blobs"
    licence: str = "none"
    fingerprint: str = "0"
    framing: str = "pad"
    asked: list[tuple[float, float]] = field(default_factory=list)
    cancel_after: tuple[int, threading.Event] | None = None

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def encode(
        self,
        plane: ArrayLike,
        limits: tuple[float, float] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> Embedding:
        labels = np.asarray(plane, np.int64)
        shape = (labels.shape[0], labels.shape[1])
        features = {"image": torch.from_numpy(labels.copy())}
        return Embedding(self.name, self.fingerprint, shape, self.framing, features)

    def decode(
        self, embedding: Embedding, prompt: Prompt, multimask: bool | None = None
    ) -> Proposal:
        labels = embedding.features["image"].numpy()
        prompt = prompt.within(embedding.shape)
        row, col = np.rint(prompt.points[0]).astype(int)
        self.asked.append((float(prompt.points[0][0]), float(prompt.points[0][1])))
        if self.cancel_after is not None and len(self.asked) >= self.cancel_after[0]:
            self.cancel_after[1].set()
        here = int(labels[row, col])
        found = [(labels == here, self.score.get(here, 0.95))]
        if self.extra is not None:
            found += self.extra(labels, here)
        found.sort(key=lambda pair: -pair[1])
        frame = Frame(embedding.shape, self.framing)
        logits = np.stack([self.small(mask, frame) for mask, _ in found])
        scores = np.array([score for _, score in found], np.float32)
        if self.broken == "scores":
            scores[0] = np.nan
        if self.broken == "logits":
            logits[0, 3, 3] = np.nan
        return Proposal(scores, logits, frame)

    def small(self, mask: NDArray[np.bool_], frame: Frame) -> NDArray[np.float32]:
        """The mask in the model's square; outside the plane it is wrongly positive."""
        logits = np.full((LOW, LOW), self.soft, np.float32)
        index = []
        for rows, side in zip(frame.resized, frame.shape, strict=True):
            count = -(-rows * LOW // SIDE)
            place = (np.arange(count) + 0.5) * (SIDE / LOW) * side / rows
            index.append(np.minimum(place.astype(int), side - 1))
        inner = np.where(mask[np.ix_(*index)], self.soft, -self.soft)
        logits[: len(index[0]), : len(index[1])] = inner
        return logits
