"""TinyViT as MobileSAM uses it, with the names of MobileSAM's weights.

Wu et al., TinyViT: Fast Pretraining Distillation for Small Vision Transformers, ECCV 2022;
Zhang et al., Faster Segment Anything, arXiv:2306.14289. Four stages: convolutions, then attention
in windows; unlike TinyViT's own, the last stage keeps its resolution, so that 1024² pixels give
64² positions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
HEADS = (2, 4, 5, 10)
WINDOWS = (7, 7, 14, 7)
CHANNELS = 256

#: Keys of files that only the classifier of the distillation needed, or that can be computed.
UNUSED = ("head.", "norm_head.")


class ConvNorm(nn.Module):
    """A convolution without bias and its batch normalisation."""

    def __init__(
        self, inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalise (n, channels, rows, cols)."""
        y: Tensor = self.bn(self.c(x))
        return y


class PatchEmbed(nn.Module):
    """Two convolutions of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvNorm(3, width // 2, 3, 2), nn.GELU(), ConvNorm(width // 2, width, 3, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, rows, cols) → (n, width, rows / 4, cols / 4)."""
        y: Tensor = self.seq(x)
        return y


class MBConv(nn.Module):
    """Inverted bottleneck: widen four times, convolve each channel, narrow, add."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 4 * width
        self.conv1 = ConvNorm(width, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (n, width, rows, cols)."""
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class PatchMerging(nn.Module):
    """From one stage's width and resolution to the next one's."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, rows, cols) → (n, outputs, rows / stride, cols / stride)."""
        y: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return y


class WindowAttention(nn.Module):
    """Attention within windows; a bias for each head and distance.

    Upstream keeps a copy of the biases by position, made when the module is switched to
    evaluation, which is stale if weights are loaded later. Here they are looked up at each call.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    def biases(self) -> Tensor:
        """Biases by pair of positions, (heads, window², window²)."""
        side = torch.arange(self.window, device=self.attention_biases.device)
        apart = (side[:, None] - side[None, :]).abs()
        rows = apart[:, None, :, None] * self.window
        pairs = (rows + apart[None, :, None, :]).reshape(self.window**2, self.window**2)
        table: Tensor = self.attention_biases[:, pairs]
        return table

    def forward(self, x: Tensor) -> Tensor:
        """Attend within windows (n, window², width)."""
        count, places, width = x.shape
        split = self.qkv(self.norm(x)).view(count, places, self.heads, 3, width // self.heads)
        q, k, v = split.permute(3, 0, 2, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.biases())
        out: Tensor = self.proj(y.transpose(1, 2).reshape(count, places, width))
        return out


class Mlp(nn.Module):
    """Normalise, widen four times, narrow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (..., width)."""
        y: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return y


class Block(nn.Module):
    """Attention in windows, a convolution of each channel, and an MLP."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, heads, window)
        self.mlp = Mlp(width)
        self.local_conv = ConvNorm(width, width, 3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (n, width, rows, cols)."""
        x = self.local_conv(x + self._attended(x))
        places = x.permute(0, 2, 3, 1)
        y: Tensor = (places + self.mlp(places)).permute(0, 3, 1, 2)
        return y

    def _attended(self, x: Tensor) -> Tensor:
        n, width, rows, cols = x.shape
        side = self.window
        down, across = -rows % side, -cols % side
        padded = F.pad(x, (0, across, 0, down))
        high, wide = (rows + down) // side, (cols + across) // side
        windows = padded.view(n, width, high, side, wide, side).permute(0, 2, 4, 3, 5, 1)
        y = self.attn(windows.reshape(n * high * wide, side * side, width))
        y = y.view(n, high, wide, side, side, width).permute(0, 5, 1, 3, 2, 4)
        whole: Tensor = y.reshape(n, width, high * side, wide * side)
        return whole[..., :rows, :cols]


class Stage(nn.Module):
    """Blocks of one resolution, and the step to the next."""

    def __init__(self, blocks: list[nn.Module], downsample: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor, check: Callable[[], None]) -> Tensor:
        """Run the blocks, calling `check` before each."""
        for block in self.blocks:
            check()
            x = block(x)
        check()
        y: Tensor = self.downsample(x)
        return y


class LayerNorm2d(nn.LayerNorm):
    """Normalise over the channels of (n, channels, rows, cols)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        y: Tensor = super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


class TinyViT(nn.Module):
    """The image encoder of MobileSAM."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(WIDTHS[0])
        stages = []
        for i, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            blocks: list[nn.Module] = [
                MBConv(width) if i == 0 else Block(width, HEADS[i], WINDOWS[i])
                for _ in range(depth)
            ]
            last = i + 1 == len(WIDTHS)
            stride = 2 if i < 2 else 1
            step = nn.Identity() if last else PatchMerging(width, WIDTHS[i + 1], stride)
            stages.append(Stage(blocks, step))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )

    def forward(self, x: Tensor, check: Callable[[], None] = lambda: None) -> Tensor:
        """Encode normalised pixels.

        Parameters
        ----------
        x : Tensor, (n, 3, rows, cols)
            Sides a multiple of 16.
        check : callable
            Called between blocks; may raise to stop.

        Returns
        -------
        Tensor, (n, 256, rows / 16, cols / 16)
        """
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x, check)
        y: Tensor = self.neck(x)
        return y
