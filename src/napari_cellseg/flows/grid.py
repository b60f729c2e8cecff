"""The working grid: how large a voxel is when it is shown to the network."""

from dataclasses import dataclass

#: Upsampling in plane beyond this shows the network nothing new and costs its square.
LARGEST_ZOOM = 2.5

ORIENTATIONS = ("xy", "xz", "yz")
#: Axes (of z, y, x) that are the rows and cols of a plane, and the axis planes are stacked along.
AXES = {"xy": (1, 2, 0), "xz": (0, 2, 1), "yz": (0, 1, 2)}


@dataclass(frozen=True)
class Grid:
    """Sampling of a volume for a network.

    Axes along which a voxel is smaller than a network pixel are reduced once (with antialiasing,
    which also averages noise); axes along which it is larger are enlarged only in the planes that
    are handed to the network.

    Attributes
    ----------
    shape : tuple of int
        Of the volume, (z, y, x).
    spacing : tuple of float
        Of the volume, (z, y, x).
    pixel : float
        Edge of a network pixel, in the unit of ``spacing``.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    pixel: float

    @classmethod
    def for_network(
        cls,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        diameter: float | None,
        diameters: tuple[float, float],
    ) -> "Grid":
        """Choose the pixel so that cells have a diameter that the network takes.

        Planes are shown as they are sampled (a pixel is the finest in-plane spacing) where cells
        then lie in the network's range, else rescaled just into it.

        Parameters
        ----------
        shape : tuple of int, (z, y, x)
        spacing : tuple of float, (z, y, x)
        diameter : float or None
            Of the cells, in the unit of ``spacing``; None: they are taken to lie in the range.
        diameters : tuple of float
            Smallest and largest diameter, in pixels.
        """
        finest = min(spacing[1:])
        if diameter is None:
            return cls(shape, spacing, finest)
        low, high = diameters
        pixel = min(max(finest, diameter / high), diameter / low)
        return cls(shape, spacing, max(pixel, finest / LARGEST_ZOOM))

    @property
    def working_shape(self) -> tuple[int, int, int]:
        """Shape (z, y, x) of the reduced volume."""
        z, y, x = (
            max(1, round(n * s / self.pixel)) if s < 0.95 * self.pixel else n
            for n, s in zip(self.shape, self.spacing, strict=True)
        )
        return z, y, x

    def plane_shape(self, orientation: str) -> tuple[int, int]:
        """Rows and cols of a plane as the network sees it."""
        rows, cols, _ = AXES[orientation]
        shape = self.working_shape

        def sampled(axis: int) -> int:
            whole = max(1, round(self.shape[axis] * self.spacing[axis] / self.pixel))
            # an axis within 5 % of a network pixel is left as it is
            near = 0.95 * self.pixel <= self.spacing[axis] <= 1.05 * self.pixel
            return shape[axis] if near else whole

        return sampled(rows), sampled(cols)

    @property
    def orientations(self) -> tuple[str, ...]:
        """Orientations to predict: all three, or the one of a volume that is a single plane."""
        for orientation, (rows, cols, along) in AXES.items():
            whole = along == 0 or min(self.shape[rows], self.shape[cols]) > 1
            if self.shape[along] == 1 and whole:
                return (orientation,)
        return ORIENTATIONS

    def seen(self, fusion: str) -> tuple[str, ...]:
        """Orientations that a way of fusion needs."""
        return ("xy",) if fusion == "xy" else self.orientations

    def network_pixels(self, fusion: str = "mean") -> int:
        """Pixels that the network will see, over all orientations."""
        total = 0
        for orientation in self.seen(fusion):
            rows, cols = self.plane_shape(orientation)
            total += rows * cols * self.working_shape[AXES[orientation][2]]
        return total
