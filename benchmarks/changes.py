"""Ways to make a stack harder, or only different, without changing which cells are in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Spacing = tuple[float, float, float]
Image = NDArray[np.floating]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Stack:
    """An image with its true labels, (z, y, x).

    Attributes
    ----------
    image : array of float
    truth : array of int32
    spacing : tuple of float
        (z, y, x) in µm.
    outside : array of bool, optional
        Where nothing is known of the truth.
    """

    image: Image
    truth: Labels
    spacing: Spacing
    outside: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Change:
    """One point of a curve.

    Attributes
    ----------
    curve, level : str
        Which curve, and where on it.
    apply : callable
        Makes the changed stack.
    diameter : float
        The diameter that is given, as a share of the true one.
    """

    curve: str
    level: str
    apply: Callable[[Stack], Stack]
    diameter: float = 1.0


def changes() -> Iterator[Change]:
    """Every point of every curve."""
    yield Change("none", "", lambda stack: stack)
    for angle in (15, 30, 45, 60):
        yield Change("turned in the plane", f"{angle}°", lambda s, a=angle: turned(s, a))
    yield Change("turned in the plane", "90°", quarter_turn)
    yield Change("axes exchanged", "z and x", z_and_x)
    for step in (2, 3, 5):
        yield Change("every n-th plane", f"×{step}", lambda s, n=step: thinned(s, n))
    for decay in (0.5, 1.0, 1.5, 2.0):
        left = f"{100 * np.exp(-decay):.0f} % left"
        yield Change("dimmed with depth", left, lambda s, d=decay: dimmed(s, d))
    for level in (0.05, 0.1, 0.2, 0.4):
        yield Change("noise added", f"{level:g}", lambda s, n=level: noisy(s, n))
    for shift in (1, 2, 3, 5):
        yield Change("origin shifted", f"{shift} voxels", lambda s, n=shift: shifted(s, n))
    for error in (0.5, 0.7, 0.85, 1.2, 1.4, 2.0):
        yield Change("diameter misjudged", f"×{error:g}", lambda stack: stack, error)
    for share in (0.9, 0.75, 0.5):
        yield Change("cropped", f"{share:g} of each axis", lambda s, f=share: cropped(s, f))


def turned(stack: Stack, degrees: float) -> Stack:
    """Turned about z; in the corners the image is mirrored, and what is found there is not scored.

    Corners of one even grey would be a change of their own: no microscope makes such edges.
    """
    frame = {"axes": (1, 2), "reshape": True}
    inside = ndimage.rotate(np.ones(stack.truth.shape, np.uint8), degrees, order=0, **frame)
    return Stack(
        ndimage.rotate(stack.image, degrees, order=3, mode="mirror", **frame),
        ndimage.rotate(stack.truth, degrees, order=0, **frame),
        stack.spacing,
        inside == 0,
    )


def quarter_turn(stack: Stack) -> Stack:
    """Turned by 90° about z, exactly."""
    z, y, x = stack.spacing
    return Stack(_turn(stack.image), _turn(stack.truth), (z, x, y))


def _turn(array: NDArray) -> NDArray:
    return np.ascontiguousarray(np.rot90(array, axes=(1, 2)))


def z_and_x(stack: Stack) -> Stack:
    """The same voxels with z and x exchanged, so that x is the coarse axis."""
    z, y, x = stack.spacing
    return Stack(
        np.ascontiguousarray(stack.image.transpose(2, 1, 0)),
        np.ascontiguousarray(stack.truth.transpose(2, 1, 0)),
        (x, y, z),
    )


def thinned(stack: Stack, step: int) -> Stack:
    """Every `step`-th plane, as if the microscope had taken larger steps in z."""
    z, y, x = stack.spacing
    first = step // 2
    return Stack(stack.image[first::step], stack.truth[first::step], (step * z, y, x))


def dimmed(stack: Stack, decay: float) -> Stack:
    """Signal above the dark level falls exponentially: `exp(-decay)` is left in the last plane."""
    dark = np.percentile(stack.image, 1)
    left = np.exp(-decay * np.linspace(0, 1, len(stack.image)))[:, None, None]
    return Stack((stack.image - dark) * left + dark, stack.truth, stack.spacing)


def noisy(stack: Stack, level: float) -> Stack:
    """Gaussian noise whose deviation is `level` of the stack's range (1st to 99.8th percentile)."""
    low, high = np.percentile(stack.image, [1, 99.8])
    noise = np.random.default_rng(0).normal(0, level * (high - low), stack.image.shape)
    return Stack(stack.image + noise, stack.truth, stack.spacing)


def shifted(stack: Stack, voxels: int) -> Stack:
    """The stack without its first voxels along each axis: every grid of tiles falls elsewhere."""
    part = (slice(voxels, None),) * 3
    return Stack(stack.image[part], stack.truth[part], stack.spacing)


def cropped(stack: Stack, share: float) -> Stack:
    """The middle of the stack."""
    part = []
    for n in stack.image.shape:
        keep = max(1, round(share * n))
        start = (n - keep) // 2
        part.append(slice(start, start + keep))
    return Stack(stack.image[tuple(part)], stack.truth[tuple(part)], stack.spacing)
