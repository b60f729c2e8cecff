"""Random crops with the changes that a network must not mind."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import IterableDataset

from napari_cellseg.training.samples import Sample

#: How often each kind is drawn.
KIND_WEIGHTS = {
    "fluo": 0.47,
    "histology": 0.13,
    "bright-field": 0.04,
    "phase": 0.11,
    "rendered": 0.25,
}
_FLUORESCENCE = ("fluo", "rendered")


class CropBatches(IterableDataset[tuple[Tensor, Tensor, Tensor, Tensor]]):
    """Endless batches for a data loader, whose process draws while the network learns.

    Parameters
    ----------
    sampler : CropSampler
    size : int
        Crops per batch.
    """

    def __init__(self, sampler: "CropSampler", size: int) -> None:
        self.sampler = sampler
        self.size = size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        while True:
            yield self.sampler.batch(self.size)


class CropSampler:
    """Draw batches of augmented crops.

    Parameters
    ----------
    samples : sequence of Sample
    crop : int
        Side of a crop in pixels.
    diameter : float
        Diameter in pixels that cells have on average in a crop.
    strength : float
        How often images are changed, 1 for as often as the first stage of the training does.
    seed : int
        Of the random generator.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        crop: int = 128,
        diameter: float = 20.0,
        strength: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.crop = crop
        self.strength = strength
        self.diameter = diameter
        self.rng = np.random.default_rng(seed)
        self.samples = list(samples)
        kinds = np.array([s.kind for s in self.samples])
        groups = np.array([s.group for s in self.samples])
        weight = np.zeros(len(self.samples))
        for kind, share in KIND_WEIGHTS.items():
            of_kind = kinds == kind
            if not of_kind.any():
                continue
            # between equal weight per image and per group: rare kinds of image count too
            sizes = np.bincount(groups[of_kind])
            each = 1 / np.sqrt(sizes[groups[of_kind]])
            weight[of_kind] = share * each / each.sum()
        self.weight = weight / weight.sum()

    def batch(self, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw ``size`` crops.

        Returns
        -------
        planes : Tensor, (n, 1, crop, crop)
            Normalised and changed images.
        flow : Tensor, (n, 2, crop, crop)
            Unit flow along rows and cols, 0 outside cells.
        cell : Tensor, (n, crop, crop)
            1 inside cells.
        weight : Tensor, (n, crop, crop)
            Larger where two instances meet.
        """
        crops = [self._draw() for _ in range(size)]
        planes = torch.stack([c[0] for c in crops])
        return (
            planes,
            torch.stack([c[1] for c in crops]),
            torch.stack([c[2] for c in crops]),
            torch.stack([c[3] for c in crops]),
        )

    def _draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw a crop; nine of ten empty ones are drawn again."""
        while True:
            index = int(self.rng.choice(len(self.samples), p=self.weight))
            crop = self._crop(self.samples[index])
            if bool(crop[2].any()) or self.rng.random() < 0.1:
                return crop

    def _crop(self, sample: Sample) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rng = self.rng
        finest = sample.levels[0].diameter
        if rng.random() < 1 - 0.2 * self.strength:
            target = self.diameter * math.exp(rng.normal(0, 0.33))
        else:
            target = math.exp(rng.uniform(math.log(8), math.log(60)))
        target = min(max(target, 6.0), max(60.0, finest))
        level = sample.levels[0]
        if len(sample.levels) > 1 and target < 0.65 * finest:
            level = sample.levels[1]
        zoom = target / level.diameter
        warp = self._affine(zoom)
        planes, flow, labels = self._sample(level.planes, warp)
        image = self._change(planes, labels, sample.kind)
        return image, flow, (labels > 0).float(), _meeting(labels)

    def _affine(self, zoom: float) -> Tensor:
        """Matrix from crop offsets to image offsets, (2, 2), in (row, col)."""
        rng = self.rng
        angle = rng.uniform(0, 2 * math.pi)
        stretch = math.exp(rng.normal(0, 0.12))
        tilt = rng.uniform(0, math.pi)
        turn = _rotation(angle)
        axis = _rotation(tilt)
        scale = axis @ torch.diag(torch.tensor([stretch, 1 / stretch])) @ axis.T
        flip = torch.diag(torch.tensor([1.0, -1.0 if rng.random() < 0.5 else 1.0]))
        return (flip @ turn @ scale / zoom).float()

    def _sample(self, planes: Tensor, warp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, rng = self.crop, self.rng
        rows, cols = planes.shape[1:]
        half = warp.abs().sum(1) * (n / 2)
        centre = torch.tensor(
            [
                rng.uniform(min(float(h), s / 2), max(s - float(h), s / 2))
                for h, s in zip(half, (rows, cols), strict=True)
            ]
        )
        offsets = torch.arange(n, dtype=torch.float32) - (n - 1) / 2
        grid = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), -1)
        where = grid @ warp.T + centre
        low = (centre - half - 2).floor().clamp(min=0).int()
        high = torch.minimum((centre + half + 3).ceil().int(), torch.tensor([rows, cols]))
        low = torch.minimum(low, high - 2)
        part = planes[:, low[0] : high[0], low[1] : high[1]]
        size = torch.tensor(part.shape[1:])
        unit = (2 * (where - low) + 1) / size - 1
        unit = unit.flip(-1)[None]
        smooth = F.grid_sample(
            part[None, :3], unit, mode="bilinear", padding_mode="reflection", align_corners=False
        )[0]
        labels = F.grid_sample(
            part[None, 3:], unit, mode="nearest", padding_mode="reflection", align_corners=False
        )[0, 0]
        inside = (unit.abs() <= 1).all(-1)[0]
        flow = torch.einsum("ij,jrc->irc", torch.linalg.inv(warp), smooth[1:3])
        flow = flow / flow.square().sum(0).sqrt().clamp(min=1e-6)
        # beyond the image the picture is mirrored, so flows there would point out of the mirror
        flow = flow * ((labels > 0) & inside)
        return smooth[:1], flow, labels * inside

    def _change(self, image: Tensor, labels: Tensor, kind: str) -> Tensor:
        rng, often = self.rng, self.strength
        n = self.crop
        fluorescence = kind in _FLUORESCENCE
        if fluorescence and rng.random() < 0.3 * often:
            spread = rng.uniform(0.1, 0.5)
            ids, inverse = torch.unique(labels, return_inverse=True)
            factor = torch.from_numpy(np.exp(rng.normal(-spread, spread, len(ids)))).float()
            factor[ids == 0] = 1
            image = image * _soften(factor[inverse][None])
        if rng.random() < 0.4 * often:
            field = torch.from_numpy(rng.normal(0, rng.uniform(0.1, 0.5), (1, 1, 3, 3))).float()
            smooth = F.interpolate(field, (n, n), mode="bicubic", align_corners=True)
            image = image * smooth[0].exp()
        if rng.random() < 0.25 * often:
            haze = torch.from_numpy(rng.uniform(0, rng.uniform(0.05, 0.5), (1, 1, 4, 4))).float()
            image = image + F.interpolate(haze, (n, n), mode="bicubic", align_corners=True)[0]
        if rng.random() < 0.5 * often:
            power = math.exp(rng.normal(0, 0.35))
            image = image.clamp(min=0).pow(power)
        if rng.random() < 0.3 * often:
            image = _blur(image, rng.uniform(0.3, 1.6), rng.uniform(0.3, 1.6))
        noisy = rng.random() < (0.65 if fluorescence else 0.35) * often
        level = rng.uniform(0, 0.3) ** 1.3 if noisy else 0.0
        if rng.random() < 0.35 * often:
            image = self._reslice(image, level)
        elif noisy:
            image = image + level * self._noise(image)
        gain = math.exp(rng.normal(0, 0.25))
        return image * gain + rng.normal(0, 0.05)

    def _noise(self, image: Tensor) -> Tensor:
        noise = torch.from_numpy(
            self.rng.standard_normal(tuple(image.shape), dtype=np.float32)
        )
        if self.rng.random() < 0.4:
            noise = _blur(noise, *self.rng.uniform(0.3, 1.2, 2))
            noise = noise / noise.std().clamp(min=1e-6)
        if self.rng.random() < 0.5:  # shot noise grows with the signal
            noise = noise * image.clamp(0, 2).add(0.05).sqrt()
        return noise

    def _reslice(self, image: Tensor, level: float) -> Tensor:
        """Make rows (or cols) look like the z axis of a stack: blurred, few, interpolated."""
        step = self.rng.uniform(1.3, 5)
        down = self.rng.random() < 0.5
        image = image if down else image.transpose(1, 2)
        image = _blur(image, self.rng.uniform(0.2, 0.7) * step, 0.0)
        rows = max(8, round(self.crop / step))
        few = F.interpolate(image[None], (rows, self.crop), mode="bilinear", align_corners=False)[0]
        if level:
            few = few + level * self._noise(few)
        whole = F.interpolate(
            few[None], (self.crop, self.crop), mode="bilinear", align_corners=False
        )[0]
        return whole if down else whole.transpose(1, 2)


def _rotation(angle: float) -> Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]])


def _kernel(sigma: float) -> Tensor:
    reach = max(1, math.ceil(3 * sigma))
    x = torch.arange(-reach, reach + 1, dtype=torch.float32)
    k = torch.exp(-0.5 * (x / max(sigma, 1e-3)) ** 2)
    return k / k.sum()


def _blur(image: Tensor, along_rows: float, along_cols: float) -> Tensor:
    out = image[None]
    if along_rows > 0.2:
        k = _kernel(along_rows)
        out = F.conv2d(
            F.pad(out, (0, 0, len(k) // 2, len(k) // 2), mode="reflect"), k.view(1, 1, -1, 1)
        )
    if along_cols > 0.2:
        k = _kernel(along_cols)
        out = F.conv2d(
            F.pad(out, (len(k) // 2, len(k) // 2, 0, 0), mode="reflect"), k.view(1, 1, 1, -1)
        )
    return out[0]


def _soften(factor: Tensor) -> Tensor:
    return _blur(factor, 0.7, 0.7)


def _meeting(labels: Tensor) -> Tensor:
    """1 everywhere, 3 within two pixels of the border between two instances."""
    cell = labels > 0
    large = torch.where(cell, labels, torch.zeros_like(labels))[None, None]
    small = torch.where(cell, -labels, torch.full_like(labels, -1e9))[None, None]
    high = F.max_pool2d(large, 5, 1, 2)[0, 0]
    low = -F.max_pool2d(small, 5, 1, 2)[0, 0]
    return 1 + 2 * ((high > 0) & (low < 1e8) & (high != low)).float()
