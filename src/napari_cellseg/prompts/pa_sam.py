"""PA-SAM: SAM with a decoder that is guided by edges and samples points of its own.

Xie et al., PA-SAM: Prompt Adapter SAM for High-Quality Image Segmentation, arXiv:2401.13051.
Written from a description of the architecture; what that leaves open (that the adapter's answer is
added before the second norm, and that sampled points bring the image's own features) was found by
fitting upstream's outputs. Upstream's code has no licence and none of it is here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_cellseg.networks.tiny_vit import LayerNorm2d
from napari_cellseg.prompts.framing import LOW, SIDE, Frame
from napari_cellseg.prompts.mask_tokens import CrossAttention, MaskTokens, Ready, rows_of
from napari_cellseg.prompts.predictor import Capabilities
from napari_cellseg.prompts.sam import SamPredictor, channels_first, padded_square
from napari_cellseg.prompts.sam_modules import Attention
from napari_cellseg.prompts.sam_parts import CHANNELS, mask_decoder, normalised, run_vit

#: Positions sampled from either end of the score.
SAMPLED = 4
#: Canny's thresholds. The wrapped picture has steps of a few grey values or of about 250: any
#: thresholds between those give the same edges.
_WEAK, _STRONG = 100, 200


class _TokenMlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = (2 * CHANNELS, 64, 64, CHANNELS)
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in list(self.layers)[:-1]:
            x = F.relu(layer(x))
        y: Tensor = self.layers[-1](x)
        return y


class _PromptAdapter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.static_uncertain_token = nn.Embedding(1, CHANNELS)
        self.static_refined_token = nn.Embedding(1, CHANNELS)
        self.uncertain_mlp = _TokenMlp()
        self.refined_mlp = _TokenMlp()
        self.cross_attn_token_to_image = Attention(CHANNELS, 8, downsample_rate=2)


def pa_mask_decoder() -> nn.Module:
    """SAM's mask decoder with the 32 tensors that PA-SAM adds."""
    decoder = mask_decoder()
    decoder.guiding_conv = nn.Sequential(
        nn.Conv2d(4, 64, 2, stride=2),
        LayerNorm2d(64),
        nn.GELU(),
        nn.Conv2d(64, CHANNELS, 2, stride=2),
        LayerNorm2d(CHANNELS),
        nn.GELU(),
        nn.Conv2d(CHANNELS, CHANNELS, 1),
    )
    decoder.prompt_adapter = _PromptAdapter()
    return decoder


def edges(small: Tensor) -> Tensor:
    """Edges of a normalised picture, as PA-SAM was trained to see them.

    The picture is truncated to whole numbers and wrapped around at 256: values below −1 become
    nearly 255, and it is where the sign changes that Canny finds edges.

    Parameters
    ----------
    small : Tensor, (3, rows, cols)

    Returns
    -------
    Tensor of float32, (1, rows, cols)
        0 or 1.
    """
    import cv2

    whole = small.permute(1, 2, 0).cpu().numpy().astype(np.int32)
    # modulo in whole numbers: a cast from float may saturate, which empties the map
    wrapped = np.ascontiguousarray((whole % 256).astype(np.uint8))
    found = cv2.Canny(wrapped, _WEAK, _STRONG)
    return torch.from_numpy((found > 0).astype(np.float32))[None].to(small.device)


class PaMaskTokens(MaskTokens):
    """The arrangement of SAM's decoder, with PA-SAM's prompt adapter in its second layer."""

    def __init__(self, prompt_encoder: Any, mask_decoder: Any) -> None:
        super().__init__(prompt_encoder, mask_decoder)
        self.adapter = mask_decoder.prompt_adapter
        self.look = CrossAttention(self.adapter.cross_attn_token_to_image)
        labels = prompt_encoder.point_embeddings
        self.sampled_labels = torch.cat(
            [labels[which].weight.expand(SAMPLED, -1) for which in (1, 0)]
        )

    def adapt(
        self,
        index: int,
        ready: Ready,
        asked: Tensor,
        tokens: Tensor,
        words: Tensor,
        image: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refine the mask's token over the guided image, and sample points where that matters."""
        if index != 1:
            return tokens, words, image
        guided = ready.extra["guiding"] * image
        looked = self.look.read(asked, guided + self.places, guided)
        coarse = looked[1:2]  # the token of the mask for prompts that leave no doubt
        refined, uncertain = self.change(coarse)
        chosen = self.sample(guided, coarse, refined, uncertain)
        looked = torch.cat([looked[:1], refined, looked[2:]])
        image = image + guided
        tokens = torch.cat([tokens + looked, image[chosen]])
        words = torch.cat([words, self.places[chosen] + self.sampled_labels])
        return tokens, words, image

    def change(self, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Make the refined and the uncertain token, (1, 256) each, of the coarse one."""
        adapter = self.adapter
        refined = adapter.refined_mlp(torch.cat([adapter.static_refined_token.weight, coarse], 1))
        doubt = torch.cat([adapter.static_uncertain_token.weight, coarse], 1)
        return refined, adapter.uncertain_mlp(doubt)

    def sample(self, guided: Tensor, coarse: Tensor, refined: Tensor, uncertain: Tensor) -> Tensor:
        """Positions where the refined mask most exceeds the coarse one, then the reverse."""
        maps = (guided @ torch.cat([coarse, refined, uncertain]).T).sigmoid()
        score = maps[:, 2] * (maps[:, 1] - maps[:, 0])
        most = score.topk(SAMPLED).indices
        least = score.topk(SAMPLED, largest=False).indices
        return torch.cat([most, least])


class PaSamPredictor(SamPredictor):
    """PA-SAM, with planes stretched (as its authors evaluate it) or padded (as SAM does)."""

    capabilities = Capabilities(multimask=False)

    def make_tokens(self) -> MaskTokens:
        """Arrange the mask decoder."""
        with torch.inference_mode():
            return PaMaskTokens(self.parts.prompt_encoder, self.parts.mask_decoder)

    def square(self, pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
        """Fit a picture: padded, or stretched without antialiasing and truncated to 8 bit."""
        if frame.framing == "pad":
            return padded_square(pixels, frame)
        whole = channels_first(pixels)[None]
        large = F.interpolate(whole, (SIDE, SIDE), mode="bilinear", align_corners=False)[0]
        return normalised(large.to(torch.uint8).float())

    def features(self, square: Tensor, cancel: threading.Event | None) -> Mapping[str, Tensor]:
        """Encode the model's input, and what guides the decoder."""
        image = run_vit(self.parts.image_encoder, square[None], cancel)
        return {"image": image, "guiding": self.guiding(square)}

    def guiding(self, square: Tensor) -> Tensor:
        """Embed the picture and its edges, (256, 64, 64)."""
        small = F.interpolate(square[None], (LOW, LOW), mode="bilinear", align_corners=False)[0]
        decoder: Any = self.parts.mask_decoder
        guiding: Tensor = decoder.guiding_conv(torch.cat([small, edges(small)])[None])[0]
        return guiding

    def prepare(self, features: Mapping[str, Tensor], dense: Tensor | None) -> Ready:
        """Do what does not depend on points and boxes."""
        ready = super().prepare(features, dense)
        return replace(ready, extra={"guiding": rows_of(features["guiding"])})
