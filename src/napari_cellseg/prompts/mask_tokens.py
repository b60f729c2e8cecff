"""SAM's mask decoder, arranged so that a click costs what depends on the click.

The arithmetic is that of segment-anything's ``MaskDecoder`` (Kirillov et al., ICCV 2023), to
float32 rounding, in another order. Its cost is projections of the 4,096 image positions; but

- those of the first layer do not depend on the prompt: they are made once per embedding;
- a prompt has a handful of tokens: ``q · (K W)`` is ``(q Wᵀ) · K`` and ``p (K W)`` is ``(p K) W``,
  so that the projection moves from thousands of positions to a few tokens;
- positions stay rows of a matrix throughout, so that nothing is transposed and each 2 × 2
  upscaling is one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

#: Positions that are upscaled at a time: their 32 channels at 16 times the resolution fit a cache.
_CHUNK = 512


class CrossAttention:
    """One attention layer between tokens and image positions, in both directions.

    Parameters
    ----------
    layer : segment_anything.modeling.transformer.Attention
        With weights.
    """

    def __init__(self, layer: Any) -> None:
        self.heads = int(layer.num_heads)
        self.size = int(layer.internal_dim) // self.heads
        self.scale = self.size**-0.5
        self.layer = layer
        per_head = (self.heads, self.size, -1)
        self.q_weight = layer.q_proj.weight.view(per_head)
        self.k_weight = layer.k_proj.weight.view(per_head)
        self.v_weight = layer.v_proj.weight.view(per_head)
        self.q_bias = layer.q_proj.bias.view(self.heads, self.size, 1)
        self.v_bias = layer.v_proj.bias.view(self.heads, 1, self.size)
        self.out_weight = layer.out_proj.weight.T.reshape(self.heads, self.size, -1)
        # the shares of a position sum to one in each head: the bias can ride on the tokens
        self.out_bias = layer.out_proj.bias / self.heads

    def split(self, rows: Tensor) -> Tensor:
        """(n, heads · size) → (heads, n, size)."""
        return rows.view(len(rows), self.heads, self.size).transpose(0, 1)

    def columns(self, rows: Tensor) -> Tensor:
        """(positions, heads · size) → contiguous (heads, size, positions)."""
        return rows.view(len(rows), self.heads, self.size).permute(1, 2, 0).contiguous()

    def join(self, parts: Tensor) -> Tensor:
        """(heads, n, size) → (n, channels), through the output projection."""
        joined: Tensor = self.layer.out_proj(parts.transpose(0, 1).reshape(parts.shape[1], -1))
        return joined

    def read_ready(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Tokens attend to positions that are projected already.

        Parameters
        ----------
        tokens : Tensor, (n, channels)
        keys : Tensor, (heads, size, positions)
        values : Tensor, (heads, positions, size)

        Returns
        -------
        Tensor, (n, channels)
        """
        queries = self.split(self.layer.q_proj(tokens) * self.scale)
        return self.join((queries @ keys).softmax(-1) @ values)

    def read(self, tokens: Tensor, placed: Tensor, image: Tensor) -> Tensor:
        """Tokens attend to image positions.

        Parameters
        ----------
        tokens : Tensor, (n, channels)
        placed : Tensor, (positions, channels)
            The image with its positional encoding.
        image : Tensor, (positions, channels)

        Returns
        -------
        Tensor, (n, channels)
        """
        if len(tokens) >= self.size:  # then projecting the image is cheaper
            keys = self.columns(self.layer.k_proj(placed))
            values = self.split(self.layer.v_proj(image))
            return self.read_ready(tokens, keys, values)
        queries = self.split(self.layer.q_proj(tokens) * self.scale)
        # a key's bias shifts all scores of a query alike, and softmax forgets it
        scores = (queries @ self.k_weight).flatten(0, 1) @ placed.T
        seen = scores.softmax(-1) @ image
        parts = seen.view(self.heads, len(tokens), -1) @ self.v_weight.transpose(1, 2)
        return self.join(parts + self.v_bias)

    def write_ready(self, image: Tensor, tokens: Tensor, values: Tensor, asks: Tensor) -> Tensor:
        """Return the image plus what its positions read off the tokens.

        Parameters
        ----------
        image : Tensor, (positions, channels)
        tokens, values : Tensor, (n, channels)
            The tokens with and without their own encoding.
        asks : Tensor, (heads, size, positions)
            The positions' queries, projected already.

        Returns
        -------
        Tensor, (positions, channels)
        """
        scores = self.split(self.layer.k_proj(tokens) * self.scale) @ asks
        return self._spread(image, scores, values)

    def write(self, image: Tensor, tokens: Tensor, values: Tensor, placed: Tensor) -> Tensor:
        """Return the image plus what its positions read off the tokens.

        Parameters
        ----------
        image, placed : Tensor, (positions, channels)
            Without and with the positional encoding.
        tokens, values : Tensor, (n, channels)

        Returns
        -------
        Tensor, (positions, channels)
        """
        if len(tokens) >= self.size:
            asks = self.columns(self.layer.q_proj(placed))
            return self.write_ready(image, tokens, values, asks)
        keys = self.split(self.layer.k_proj(tokens) * self.scale)
        scores = (keys @ self.q_weight).flatten(0, 1) @ placed.T
        shift = keys @ self.q_bias
        return self._spread(image, scores.view(*shift.shape[:2], -1) + shift, values)

    def _spread(self, image: Tensor, scores: Tensor, values: Tensor) -> Tensor:
        """Add tokens to positions by scores (heads, n, positions)."""
        shares = scores.softmax(1)
        parts = self.split(self.layer.v_proj(values))
        if len(values) >= self.size:
            gathered = shares.transpose(1, 2) @ parts  # (heads, positions, size)
            return image + self.join(gathered)
        words = parts @ self.out_weight + self.out_bias
        return torch.addmm(image, shares.flatten(0, 1).T, words.flatten(0, 1))


@dataclass(frozen=True)
class Ready:
    """What the first layer needs of an image, whatever the prompt is.

    Attributes
    ----------
    image : Tensor, (positions, channels)
        The embedding plus the word for "no mask".
    keys, asks : Tensor, (heads, size, positions)
    values : Tensor, (heads, positions, size)
    extra : dict of str to Tensor
        What else a family prepares.
    """

    image: Tensor
    keys: Tensor
    values: Tensor
    asks: Tensor
    extra: dict[str, Tensor]


class MaskTokens:
    """A mask decoder with its constants.

    Parameters
    ----------
    prompt_encoder : segment_anything.modeling.PromptEncoder
    mask_decoder : segment_anything.modeling.MaskDecoder
        With weights; used in place, not copied.
    """

    def __init__(self, prompt_encoder: Any, mask_decoder: Any) -> None:
        self.decoder = mask_decoder
        transformer = mask_decoder.transformer
        self.layers = list(transformer.layers)
        self.reads = [CrossAttention(layer.cross_attn_token_to_image) for layer in self.layers]
        self.writes = [CrossAttention(layer.cross_attn_image_to_token) for layer in self.layers]
        self.last_read = CrossAttention(transformer.final_attn_token_to_image)
        self.last_norm = transformer.norm_final_attn
        self.places = rows_of(prompt_encoder.get_dense_pe()[0])
        self.grid = tuple(int(n) for n in prompt_encoder.image_embedding_size)
        self.no_mask = prompt_encoder.no_mask_embed.weight
        self.words = torch.cat([mask_decoder.iou_token.weight, mask_decoder.mask_tokens.weight])
        up = mask_decoder.output_upscaling
        self.norm = up[1]
        self.first_up, self.first_bias = _as_matrix(up[0])
        self.second_up, self.second_bias = _as_matrix(up[3])

    def ready(self, image: Tensor, dense: Tensor | None = None) -> Ready:
        """Prepare an embedding.

        Parameters
        ----------
        image : Tensor, (channels, rows, cols)
        dense : Tensor, (channels, rows, cols), optional
            A mask prompt, embedded.

        Returns
        -------
        Ready
        """
        rows = rows_of(image) + (self.no_mask if dense is None else rows_of(dense))
        placed = rows + self.places
        read, write = self.reads[0], self.writes[0]
        return Ready(
            rows,
            read.columns(read.layer.k_proj(placed)),
            read.split(read.layer.v_proj(rows)).contiguous(),
            write.columns(write.layer.q_proj(placed)),
            {},
        )

    def decode(self, ready: Ready, sparse: Tensor, masks: slice) -> tuple[Tensor, Tensor]:
        """Answer a prompt.

        Parameters
        ----------
        ready : Ready
        sparse : Tensor, (n, channels)
            Embedded points and box corners.
        masks : slice
            Which of the four masks: the first is for prompts that leave no doubt.

        Returns
        -------
        logits : Tensor, (masks, 4 · rows, 4 · cols)
        scores : Tensor, (masks,)
        """
        words = torch.cat([self.words, sparse])
        words, image = self.transform(ready, words)
        heads = self.decoder.output_hypernetworks_mlps
        chosen = range(len(heads))[masks]
        weights = torch.cat([heads[i](words[1 + i : 2 + i]) for i in chosen])
        scores = self.decoder.iou_prediction_head(words[:1])[0, masks]
        return self.upscale(image, weights), scores

    def transform(self, ready: Ready, words: Tensor) -> tuple[Tensor, Tensor]:
        """Run the two-way transformer; see `decode`."""
        tokens, image = words, ready.image
        for index, layer in enumerate(self.layers):
            asked, tokens = self.attend(index, layer, ready, tokens, words, image)
            tokens, words, image = self.adapt(index, ready, asked, tokens, words, image)
            tokens = layer.norm2(tokens)
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            if index == 0:
                image = self.writes[0].write_ready(image, tokens + words, tokens, ready.asks)
            else:
                image = self.writes[index].write(image, tokens + words, tokens, image + self.places)
            image = layer.norm4(image)
        read = self.last_read.read(tokens + words, image + self.places, image)
        return self.last_norm(tokens + read), image

    def attend(
        self, index: int, layer: Any, ready: Ready, tokens: Tensor, words: Tensor, image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens look at each other, then at the image: what they ask it, and what they become."""
        if index == 0:
            tokens = layer.norm1(self_attention(layer.self_attn, tokens, tokens))
            asked = tokens + words
            return asked, tokens + self.reads[0].read_ready(asked, ready.keys, ready.values)
        looked = self_attention(layer.self_attn, tokens + words, tokens)
        tokens = layer.norm1(tokens + looked)
        asked = tokens + words
        return asked, tokens + self.reads[index].read(asked, image + self.places, image)

    def adapt(
        self,
        index: int,
        ready: Ready,
        asked: Tensor,
        tokens: Tensor,
        words: Tensor,
        image: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where a family changes tokens, their encoding and the image; SAM does not."""
        return tokens, words, image

    def upscale(self, image: Tensor, weights: Tensor) -> Tensor:
        """Enlarge the image four times and weigh its channels, a mask for each row of weights."""
        rows, cols = self.grid
        masks = len(weights)
        out = torch.empty((rows * cols * 16, masks), device=image.device, dtype=image.dtype)
        channels = self.norm.weight.shape
        # on other devices than the processor there is no cache to fit
        chunk = _CHUNK if image.device.type == "cpu" else len(image)
        for start in range(0, len(image), chunk):
            part = torch.addmm(self.first_bias, image[start : start + chunk], self.first_up)
            part = F.layer_norm(
                part.view(-1, *channels), channels, self.norm.weight, self.norm.bias, self.norm.eps
            )
            part = torch.addmm(self.second_bias, F.gelu(part), self.second_up)
            part = F.gelu(part).view(-1, weights.shape[1])
            torch.mm(part, weights.T, out=out[start * 16 : start * 16 + len(part)])
        # position, then the two steps' quarters: (row, col, i, j, k, l)
        fine = out.view(rows, cols, 2, 2, 2, 2, masks).permute(6, 0, 2, 4, 1, 3, 5)
        return fine.reshape(masks, 4 * rows, 4 * cols)


def rows_of(image: Tensor) -> Tensor:
    """(channels, rows, cols) → contiguous (rows · cols, channels)."""
    return image.flatten(1).T.contiguous()


def self_attention(layer: Any, asked: Tensor, values: Tensor) -> Tensor:
    """Tokens (n, channels) attend to each other through one of segment-anything's layers."""
    attended: Tensor = layer(q=asked[None], k=asked[None], v=values[None])[0]
    return attended


def _as_matrix(up: Any) -> tuple[Tensor, Tensor]:
    """Write a 2 × 2 transposed convolution of stride 2 as (inputs, quarters · outputs) and bias."""
    weight = up.weight.permute(0, 2, 3, 1).flatten(1).contiguous()
    return weight, up.bias.repeat(4)
