"""The architecture of the built-in network: a small U-Net that works at half resolution."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvBlock(nn.Sequential):
    """3×3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class FlowUNet(nn.Module):
    """U-Net from a grey plane to flow and cell-probability logit.

    Pixels are folded 2×2 into channels at the entrance and unfolded at the exit, so that no
    convolution runs at full resolution: on a CPU those are bound by memory and cost more than
    they add for cells of about twenty pixels. Skips are added, not concatenated, which halves the
    decoder.

    Parameters
    ----------
    channels : sequence of int
        Channels of each level, finest first. Each level halves the resolution.

    Notes
    -----
    After O. Ronneberger et al., "U-Net" (2015); the outputs are those of C. Stringer et al.,
    "Cellpose" (2021), with flows of unit length.
    """

    def __init__(self, channels: Sequence[int] = (48, 96, 160, 224)) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.stem = ConvBlock(4, channels[0])
        self.encoder = nn.ModuleList()
        previous = channels[0]
        for width in channels:
            self.encoder.append(nn.Sequential(ConvBlock(previous, width), ConvBlock(width, width)))
            previous = width
        self.lateral = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for fine, coarse in pairwise(channels):
            self.lateral.append(nn.Conv2d(coarse, fine, 1))
            self.decoder.append(nn.Sequential(ConvBlock(fine, fine), ConvBlock(fine, fine)))
        self.head = nn.Conv2d(channels[0], 12, 3, padding=1)

    @property
    def stride(self) -> int:
        """Multiple, in pixels, that both sides of an input must have."""
        return int(2 ** len(self.channels))

    def forward(self, planes: Tensor) -> Tensor:
        """Predict flow and logit.

        Parameters
        ----------
        planes : Tensor, (n, 1, rows, cols)
            Normalised planes; rows and cols are multiples of ``stride``.

        Returns
        -------
        Tensor, (n, 3, rows, cols)
            Flow along rows, flow along cols (length about 1 or less), logit.
        """
        x = self.stem(F.pixel_unshuffle(planes, 2))
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            if level:
                x = F.max_pool2d(x, 2)
            x = block(x)
            skips.append(x)
        for level in reversed(range(len(self.decoder))):
            up = F.interpolate(self.lateral[level](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[level](up + skips[level])
        out: Tensor = F.pixel_shuffle(self.head(x), 2)
        return out


def fold_batch_norm(model: FlowUNet) -> FlowUNet:
    """Return a copy for inference whose batch normalisations are folded into the convolutions."""
    import copy

    folded = copy.deepcopy(model).eval()
    for module in folded.modules():
        if isinstance(module, ConvBlock):
            conv, norm = module[0], module[1]
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            module[0] = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
            module[1] = nn.Identity()
    return folded
