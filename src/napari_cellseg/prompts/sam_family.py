"""What the predictors of the SAM family share: plane to embedding, prompt to masks."""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.eight_bit import picture
from napari_cellseg.prompts.embedding import Embedding
from napari_cellseg.prompts.framing import Frame
from napari_cellseg.prompts.mask_prompt import mask_logits
from napari_cellseg.prompts.mask_tokens import MaskTokens, Ready
from napari_cellseg.prompts.predictor import Capabilities
from napari_cellseg.prompts.prompt import Prompt
from napari_cellseg.prompts.proposal import Proposal
from napari_cellseg.prompts.registry import PredictorInfo
from napari_cellseg.prompts.sam_parts import SamParts

#: Planes whose prompt-free work is kept, about 15 MB each; further ones cost 10 ms again.
_RECENT = 4


class SamFamily(ABC):
    """A predictor made of SAM's parts.

    Parameters
    ----------
    info : PredictorInfo
    parts : SamParts
        With weights, on its device.
    fingerprint : str
        SHA-256 over the model files.
    framing : str
        ``"pad"`` or ``"stretch"``.
    title : str, optional
        Another one than `info`'s.
    """

    capabilities = Capabilities()
    blends = "logits"

    def __init__(
        self,
        info: PredictorInfo,
        parts: SamParts,
        fingerprint: str,
        framing: str,
        title: str | None = None,
    ) -> None:
        self.name = info.family
        self.title = title or info.title
        self.licence = info.licence
        self.fingerprint = fingerprint
        self.framing = framing
        self.parts = parts
        self._tokens = self.make_tokens()
        self._recent: OrderedDict[weakref.ref[Embedding], Ready] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.parts.parameters()).device

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return sum(values.nbytes for values in self.parts.state_dict().values())

    # What a family defines -----------------------------------------------------------------

    def make_tokens(self) -> MaskTokens:
        """Arrange the mask decoder."""
        with torch.inference_mode():
            return MaskTokens(self.parts.prompt_encoder, self.parts.mask_decoder)

    @abstractmethod
    def square(self, pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
        """Fit a picture (rows, cols, 3) into the model's input, float32 (3, 1024, 1024)."""

    @abstractmethod
    def features(self, square: Tensor, cancel: threading.Event | None) -> Mapping[str, Tensor]:
        """Run the encoder on the model's input; see `Embedding.features`."""

    def prepare(self, features: Mapping[str, Tensor], dense: Tensor | None) -> Ready:
        """Do what does not depend on points and boxes."""
        return self._tokens.ready(features["image"], dense)

    # The protocol --------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(
        self,
        plane: ArrayLike,
        limits: tuple[float, float] | None = None,
        *,
        cancel: threading.Event | None = None,
    ) -> Embedding:
        """Encode a plane; see `Predictor.encode`."""
        pixels = picture(plane, limits)
        frame = Frame((pixels.shape[0], pixels.shape[1]), self.framing)
        square = self.square(pixels, frame).to(self.device)
        features = self.features(square, cancel)
        return Embedding(self.name, self.fingerprint, frame.shape, self.framing, features)

    @torch.inference_mode()
    def decode(
        self, embedding: Embedding, prompt: Prompt, multimask: bool | None = None
    ) -> Proposal:
        """Answer a prompt; see `Predictor.decode`."""
        self._check(embedding, prompt, multimask)
        prompt = prompt.within(embedding.shape)
        frame = Frame(embedding.shape, self.framing)
        sparse, dense = self._embed(prompt, frame)
        ready = self._ready(embedding) if dense is None else self._made(embedding, dense)
        several = self.capabilities.multimask and (
            _lone_point(prompt) if multimask is None else multimask
        )
        masks = slice(1, None) if several else slice(0, 1)
        logits, scores = self._tokens.decode(ready, sparse, masks)
        order = scores.argsort(descending=True, stable=True)
        return Proposal(
            scores[order].float().cpu().numpy(),
            logits[order].float().cpu().numpy(),
            frame,
            self.blends,
        )

    def _check(self, embedding: Embedding, prompt: Prompt, multimask: bool | None) -> None:
        if (embedding.family, embedding.fingerprint) != (self.name, self.fingerprint):
            raise InputError(
                f"The embedding was made by another model ({embedding.family}, "
                f"{embedding.fingerprint[:8]}…) than this {self.name}: encode the plane again."
            )
        if embedding.framing != self.framing:
            raise InputError(
                f'The embedding was framed by "{embedding.framing}", but this predictor frames '
                f'by "{self.framing}": encode the plane again.'
            )
        asked = {
            "points": bool(len(prompt.points)),
            "box": prompt.box is not None,
            "mask": prompt.mask is not None,
            "multimask": bool(multimask),
        }
        refused = [name for name, wanted in asked.items() if wanted and not self._can(name)]
        if refused:
            names = {"points": "points", "box": "a box", "mask": "a mask"}
            takes = [text for name, text in names.items() if self._can(name)]
            what = {"multimask": "several masks for one prompt", "mask": "mask prompts"}
            raise InputError(
                f"{self.title} cannot do {what.get(refused[0], refused[0])}: it takes "
                f"{' and '.join(takes)}{'' if self._can('multimask') else ' and gives one mask'}."
            )

    def _can(self, name: str) -> bool:
        return bool(getattr(self.capabilities, name))

    def _embed(self, prompt: Prompt, frame: Frame) -> tuple[Tensor, Tensor | None]:
        """Embed points and box, (n, 256), and the mask, (256, 64, 64), if there is one."""
        encoder: Any = self.parts.prompt_encoder
        points = boxes = masks = None
        if len(prompt.points):
            labels = torch.as_tensor(prompt.labels, device=self.device)
            points = self._xy(prompt.points, frame)[None], labels[None]
        if prompt.box is not None:
            corners = np.asarray(prompt.box, np.float64).reshape(2, 2)
            boxes = self._xy(corners, frame).reshape(1, 4)
        if prompt.mask is not None:
            logits = mask_logits(prompt.mask, frame)
            masks = torch.as_tensor(logits, device=self.device)[None, None]
        sparse, dense = encoder(points=points, boxes=boxes, masks=masks)
        return sparse[0], None if masks is None else dense[0]

    def _xy(self, places: NDArray[np.float64], frame: Frame) -> Tensor:
        return torch.as_tensor(
            np.ascontiguousarray(frame.xy(places)), dtype=torch.float32, device=self.device
        )

    def _ready(self, embedding: Embedding) -> Ready:
        """What is kept of the last few planes: a second click on one does nothing twice."""
        key = weakref.ref(embedding, self._forget)
        with self._lock:
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key]
        ready = self._made(embedding, None)
        with self._lock:
            self._recent[key] = ready
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        return ready

    def _forget(self, key: weakref.ref[Embedding]) -> None:
        self._recent.pop(key, None)

    def _made(self, embedding: Embedding, dense: Tensor | None) -> Ready:
        here = embedding.to(self.device, torch.float32)
        return self.prepare(here.features, dense)


def _lone_point(prompt: Prompt) -> bool:
    return len(prompt.points) == 1 and prompt.box is None and prompt.mask is None
