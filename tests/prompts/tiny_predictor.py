"""A predictor without a network: it answers with the bright regions of the plane, exactly.

It goes through everything that a model goes through (`EmbeddingCache`, `Prompt`, `Proposal`), in
under 10 ms for 1024² pixels, so that what surrounds a model can be tested to the pixel::

    from prompts.tiny_predictor import TinyPredictor

    predictor = TinyPredictor()
    embedding = predictor.encode(plane)              # pixels above 127 are bright
    predictor.decode(embedding, Prompt(points=[(row, col)])).region()
"""

import threading
import weakref
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.prompts.eight_bit import picture
from napari_cellseg.prompts.embedding import Embedding
from napari_cellseg.prompts.framing import LOW, SIDE, Frame
from napari_cellseg.prompts.predictor import Capabilities
from napari_cellseg.prompts.prompt import Prompt
from napari_cellseg.prompts.proposal import Proposal, _tight

BRIGHT = 127
SCORES = (0.9, 0.7, 0.5)


class TinyPredictor:
    """Bright regions, 8-connected.

    What a prompt gives: the regions under its positive points; without any, those that its mask
    overlaps; without either, every bright pixel in its box. Regions under negative points are
    left out, and the box cuts what is left. Where several masks are asked for (by default for a
    lone point) the second is grown by two pixels and the third shrunk by two.

    Parameters
    ----------
    name, fingerprint, framing : str
        See `Predictor`.

    Attributes
    ----------
    encoded : list of tuple
        Shape of each plane that was encoded, in order.
    decoded : list of Prompt
        Every prompt that was answered, in order.
    before : threading.Event or None
        Where set, `encode` waits for it (or for its `cancel`) before it begins.
    """

    title = "Bright regions"
    licence = "BSD-3-Clause"
    capabilities = Capabilities()

    def __init__(
        self, name: str = "tiny", fingerprint: str = "7" * 64, framing: str = "pad"
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.framing = framing
        self.encoded: list[tuple[int, int]] = []
        self.decoded: list[Prompt] = []
        self.before: threading.Event | None = None
        self._regions: weakref.WeakKeyDictionary[Embedding, NDArray[Any]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def device(self) -> torch.device:
        """The processor."""
        return torch.device("cpu")

    def encode(
        self,
        plane: ArrayLike,
        limits: tuple[float, float] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> Embedding:
        """Keep which pixels are bright, one bit each; see `Predictor.encode`."""
        while self.before is not None and not self.before.wait(0.01):
            if cancel is not None and cancel.is_set():
                break
        if cancel is not None and cancel.is_set():
            raise Cancelled("The encoding was cancelled.")
        bright = picture(plane, limits).max(axis=2) > BRIGHT
        features = {"image": torch.from_numpy(np.packbits(bright, axis=1))}
        shape = (bright.shape[0], bright.shape[1])
        self.encoded.append(shape)
        return Embedding(self.name, self.fingerprint, shape, self.framing, features)

    def decode(
        self, embedding: Embedding, prompt: Prompt, multimask: bool | None = None
    ) -> Proposal:
        """Answer with bright regions; see `Predictor.decode`."""
        if (embedding.family, embedding.fingerprint) != (self.name, self.fingerprint):
            raise InputError("The embedding was made by another model: encode the plane again.")
        prompt = prompt.within(embedding.shape)
        self.decoded.append(prompt)
        frame = Frame(embedding.shape, self.framing)
        best = self._chosen(embedding, prompt, frame)
        lone = len(prompt.points) == 1 and prompt.box is None and prompt.mask is None
        masks = [best]
        if lone if multimask is None else multimask:
            masks += _grown_and_shrunk(best)
        scores = np.array(SCORES[: len(masks)] if best.any() else [0.0] * len(masks), np.float32)
        return Proposal(
            scores,
            np.stack([_small(mask, frame) for mask in masks]),
            frame,
            # to the pixel: enlarged logits could not tell
            _regions={index: _tight(mask, 0, 0) for index, mask in enumerate(masks)},
        )

    def _chosen(self, embedding: Embedding, prompt: Prompt, frame: Frame) -> NDArray[np.bool_]:
        regions = self._numbered(embedding)
        under = _at(regions, prompt.points)
        wanted = under[prompt.labels == 1]
        if not len(wanted) and prompt.mask is not None:
            mask = prompt.mask
            if mask.dtype != bool:
                enlarged = Proposal(np.ones(1, np.float32), mask[None], frame)
                mask = enlarged.masks[0]
            wanted = np.unique(regions[mask])
        elif not len(wanted):
            wanted = np.arange(1, regions.max() + 1)
        wanted = np.setdiff1d(wanted, [0, *under[prompt.labels == 0]])
        chosen = np.isin(regions, wanted) if len(wanted) != 1 else regions == wanted[0]
        if prompt.box is not None:
            row0, col0, row1, col1 = prompt.box
            inside = np.zeros_like(chosen)
            inside[_pixels(row0, row1), _pixels(col0, col1)] = True
            chosen &= inside
        return chosen

    def _numbered(self, embedding: Embedding) -> NDArray[Any]:
        if embedding not in self._regions:
            packed = embedding.features["image"].numpy()
            bright = np.unpackbits(packed, axis=1, count=embedding.shape[1])
            self._regions[embedding] = cv2.connectedComponents(bright, connectivity=8)[1]
        return self._regions[embedding]


def _at(regions: NDArray[Any], points: NDArray[np.float64]) -> NDArray[Any]:
    upper = np.array(regions.shape) - 1
    rows, cols = np.clip(np.floor(points + 0.5).astype(int), 0, upper).T
    return np.asarray(regions[rows, cols])


def _pixels(low: float, high: float) -> slice:
    """Pixels whose centres lie between two coordinates."""
    return slice(max(int(np.ceil(low)), 0), max(int(np.floor(high)) + 1, 0))


def _small(mask: NDArray[np.bool_], frame: Frame) -> NDArray[np.float32]:
    """Logits (256, 256) of a mask: 8 where a low-resolution pixel is covered, -8 where not."""
    rows, cols = (max(1, round(side * LOW / SIDE)) for side in frame.resized)
    logits = np.full((LOW, LOW), -8, np.float32)
    covered = cv2.resize(mask.astype(np.uint8) * 255, (cols, rows), interpolation=cv2.INTER_AREA)
    logits[:rows, :cols] = covered.astype(np.float32) * (16 / 255) - 8
    return logits


def _grown_and_shrunk(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    square, image = np.ones((5, 5), np.uint8), mask.astype(np.uint8)
    return [cv2.dilate(image, square) > 0, cv2.erode(image, square) > 0]
