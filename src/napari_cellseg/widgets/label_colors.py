"""The colours of cells: one cycle that colour-blind people can tell apart, and its twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CYCLE = 49
"""Colours after which the cycle begins again."""
BLOCKS = 5
"""Variants of the cycle: plain, locked, doubtful, by class, by class and locked."""

# Chosen greedily in Oklab (Ottosson 2020), each as far as can be from those before it in what
# people with normal, protan, deutan and tritan vision see (Machado, Oliveira & Fernandes 2009);
# then ordered so that ids that follow each other differ most.
_HEX = """
783cff 00f04b 00a578 69c3ff 00784b a5d2a5 9669b4 69b4c3 f04b0f a587ff a53c00 69e1f0 784b78 96ffc3
964bc3 e1d20f 96b4e1 ff690f a55ad2 d22d4b ff78a5 b40078 b4e1a5 8700d2 a5c32d 3c96e1 ff4b87 78ffff
965a3c ff87d2 d23c96 7869f0 3cd278 9600b4 c3ff3c b478d2 5aa54b 5ad2f0 008769 c3e178 5a0ff0 78b45a
f05af0 009669 ffb4d2 b41e96 e1f096 c378b4 c34b00
"""
_GLOW = np.array([1.0, 0.9, 0.1])
_DIM_ALPHA, _DIM_TO_GREY = 0.45, 0.55


def cycle() -> NDArray[np.float32]:
    """Return the plain colours, (49, 3), red, green, blue from 0 to 1."""
    values = [[int(one[k : k + 2], 16) for k in (0, 2, 4)] for one in _HEX.split()]
    return np.asarray(np.array(values) / 255, np.float32)


def palette(order: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """Return background and all variants, (1 + 5 x 49, 4), RGBA from 0 to 1.

    Parameters
    ----------
    order : array of int, (49,), optional
        Another order of the cycle; classes keep their colours.
    """
    plain = cycle()
    shuffled = plain if order is None else plain[order]
    blocks = [
        _opaque(shuffled),
        _dimmed(shuffled),
        _opaque(0.2 * shuffled + 0.8 * _GLOW),
        _opaque(plain),
        _dimmed(plain),
    ]
    return np.concatenate([np.zeros((1, 4)), *blocks]).astype(np.float32)


def _opaque(rgb: NDArray[Any]) -> NDArray[np.float32]:
    return np.column_stack([rgb, np.ones(len(rgb))]).astype(np.float32)


def _dimmed(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """Paler and more transparent: still the object's own hue, but out of the way."""
    grey = rgb.mean(1, keepdims=True)
    mixed = (1 - _DIM_TO_GREY) * rgb + _DIM_TO_GREY * grey
    return np.column_stack([mixed, np.full(len(rgb), _DIM_ALPHA)]).astype(np.float32)
