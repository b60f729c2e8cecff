"""What makes a mask worth keeping."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.everything_grid import MOST_PER_SIDE

#: Smallest and largest side, in diameters, of the square as large as a cell.
_SMALLEST, _LARGEST = 0.2, 3.0


@dataclass(frozen=True)
class Rules:
    """Thresholds of `everything`, which says what each means.

    Raises
    ------
    InputError
        If a number is not finite or makes no sense.
    """

    points_per_side: int | None = None
    diameter: float | None = None
    least_score: float = 0.88
    least_stability: float = 0.95
    stability_offset: float = 1.0
    duplicate: float = 0.7
    min_size: int | None = None
    max_size: int | None = None
    crop_layers: int = 0
    batch: int = 32

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not math.isfinite(value):
                raise InputError(f"{name} is {value}: give a finite number.")
        for name, least, most in (
            ("points_per_side", 1, MOST_PER_SIDE),
            ("crop_layers", 0, 3),
            ("batch", 1, 1024),
        ):
            value = getattr(self, name)
            if value is not None and (value != int(value) or not least <= value <= most):
                raise InputError(
                    f"{name} is {value}: give a whole number from {least} to {most:,}."
                )
        if self.diameter is not None and self.diameter <= 0:
            raise InputError(f"The diameter is {self.diameter:g}: give a positive one, in pixels.")
        if self.stability_offset < 0:
            raise InputError(
                f"stability_offset is {self.stability_offset:g}: give 0 or a positive number."
            )
        if self.smallest < 0:
            raise InputError(f"min_size is {self.smallest:,}: give 0 or a positive number.")
        if self.largest is not None and self.largest < max(1, self.smallest):
            raise InputError(
                f"No cell has {self.smallest:,} pixels at least and {self.largest:,} at most: "
                "give a max_size above min_size."
            )

    @property
    def smallest(self) -> int:
        """Fewest pixels of a cell."""
        if self.min_size is not None:
            return int(self.min_size)
        return 0 if self.diameter is None else int((_SMALLEST * self.diameter) ** 2)

    @property
    def largest(self) -> int | None:
        """Most pixels of a cell; None: half the plane."""
        if self.max_size is not None:
            return int(self.max_size)
        return None if self.diameter is None else math.ceil((_LARGEST * self.diameter) ** 2)
