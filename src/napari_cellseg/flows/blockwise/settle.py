"""What must be known of a whole image before its blocks are predicted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from napari_cellseg.flows import advice
from napari_cellseg.flows.channels import Shown
from napari_cellseg.flows.diameter import estimate_diameter, show_planes, takes_a_range
from napari_cellseg.flows.grid import Grid
from napari_cellseg.flows.limits import intensity_limits
from napari_cellseg.flows.progress import Progress
from napari_cellseg.networks import FlowNetwork, diameters_of, intensities_of

#: Side of the middle of a plane, in voxels, in which the diameter is looked for.
_WINDOW = 2048
#: Diameter, in voxels of y, where no cell is found.
_ASSUMED = 20.0


@dataclass(frozen=True)
class Settled:
    """What is the same for all blocks.

    Attributes
    ----------
    limits : list
        See `intensity_limits`.
    diameter : float or None
        Of cells, for the network; None: planes are shown as they are sampled.
    cells : float
        Diameter of the cells, in the unit of the spacing.
    notices : tuple of str
        What the user should know, a sentence each.
    """

    limits: list[Any]
    diameter: float | None
    cells: float
    notices: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Settled":
        """From a file; KeyError, TypeError or ValueError if it is damaged."""
        return cls(
            list(kept["limits"]),
            None if kept["diameter"] is None else float(kept["diameter"]),
            float(kept["cells"]),
            tuple(str(text) for text in kept["notices"]),
        )


def settle(
    network: FlowNetwork, shown: Shown, diameter: float | None, progress: Progress
) -> Settled:
    """Measure intensity limits, and the diameter of the cells if it is None.

    A bounded number of planes is read, of the first frame for the diameter.

    Raises
    ------
    InputError
        If the image is constant.
    Cancelled
        If the user has cancelled.
    """
    image = shown.image
    progress(0.0, "reading the image")
    limits = intensity_limits(
        [shown.stack(t) for t in range(image.n_times)],
        intensities_of(network),
        repr(image.name),
        shown.to_grey,
        channels=shown.several,
    )
    kept = [list(one) if isinstance(one, tuple) else one for one in limits]
    stack = shown.stack(0, _middle(image.label_shape, "t" in image.label_axes))
    notices = list(image.notices)
    cells = diameter
    if cells is None:
        progress(0.4, "estimating the diameter of the cells")
        cells = estimate_diameter(
            stack, image.spacing, network, limits, shown.to_grey, progress.check,
            sections=image.is_3d,
        )  # fmt: skip
        unit = advice.unit_of(image)
        if cells is None:
            cells = _ASSUMED * image.spacing[1]
            notices.append(
                f"No cells were found from which to estimate the diameter; {cells:.3g} {unit} "
                "is assumed: measure a cell and enter its diameter."
            )
        else:
            notices.append(f"The diameter of the cells was estimated as {cells:.3g} {unit}.")
    shows = cells if diameter is not None or not takes_a_range(network) else None
    size = (int(stack.shape[0]), int(stack.shape[1]), int(stack.shape[2]))
    pixel = Grid.for_network(size, image.spacing, shows, diameters_of(network)).pixel
    zoom = image.spacing[1] / pixel
    strange = network.strangeness(
        show_planes(stack, image.spacing, network, limits, shown.to_grey, zoom)
    )
    told = advice.strangeness(strange, network, image)
    if told is not None:
        notices.append(told)
    progress(1.0, "estimating the diameter of the cells")
    return Settled(kept, shows, cells, tuple(notices))


def _middle(shape: Sequence[int], timed: bool) -> tuple[slice, ...]:
    """The middle of large planes, ([z,] y, x): the whole of one might not fit into memory."""
    *others, height, width = shape[1:] if timed else shape
    window = []
    for n in (height, width):
        start = max(0, (n - _WINDOW) // 2)
        window.append(slice(start, min(n, start + _WINDOW)))
    return (*(slice(0, n) for n in others), *window)
