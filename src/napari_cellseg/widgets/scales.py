"""Slider scales: positions from 0 to 1 against the values that a user sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Scale(Protocol):
    """A monotonic map between slider positions and values."""

    @property
    def low(self) -> float:
        """The value at the left end."""
        ...

    @property
    def high(self) -> float:
        """The value at the right end."""
        ...

    def position(self, value: float) -> float:
        """Return the position (0 to 1) of a value, clipped to the ends."""
        ...

    def value(self, position: float) -> float:
        """Return the value at a position (0 to 1), rounded to what is shown."""
        ...

    def text(self, value: float) -> str:
        """Return the value as the user sees it."""
        ...


@dataclass(frozen=True)
class LogitScale:
    """Probabilities spaced by their logit, because useful thresholds reach 0.003."""

    low: float = 0.003
    high: float = 0.997

    def position(self, value: float) -> float:
        """Return the position (0 to 1) of a probability, clipped to the ends."""
        start, stop = _logit(self.low), _logit(self.high)
        inside = min(max(value, self.low), self.high)
        return (_logit(inside) - start) / (stop - start)

    def value(self, position: float) -> float:
        """Return the probability at a position, rounded to the digits shown."""
        start, stop = _logit(self.low), _logit(self.high)
        exact = 1.0 / (1.0 + math.exp(-(start + position * (stop - start))))
        return min(max(round(exact, _decimals(exact)), self.low), self.high)

    def text(self, value: float) -> str:
        """Return two decimals in the middle and three in the tails."""
        return f"{value:.{_decimals(value)}f}"


@dataclass(frozen=True)
class LogScale:
    """Whole numbers spaced by their logarithm, for sizes in voxels."""

    low: float = 1.0
    high: float = 100_000.0

    def position(self, value: float) -> float:
        """Return the position (0 to 1) of a size, clipped to the ends."""
        inside = min(max(value, self.low), self.high)
        return math.log(inside / self.low) / math.log(self.high / self.low)

    def value(self, position: float) -> float:
        """Return the whole number at a position, rounded to two digits above 100."""
        exact = self.low * (self.high / self.low) ** position
        if exact >= 100:
            exact = float(f"{exact:.2g}")
        return float(min(max(round(exact), self.low), self.high))

    def text(self, value: float) -> str:
        """Return a whole number with thousands separated."""
        return f"{round(value):,}"


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def _decimals(probability: float) -> int:
    return 2 if 0.095 <= probability <= 0.905 else 3
