"""A click in 3D goes to the first voxel on its line of sight that is labelled or bright."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.prompts.ray import contrast_threshold, first_voxel, voxels_along

SHAPE = (7, 9, 12)
places = st.tuples(
    *(
        st.one_of(
            st.floats(-6, size + 6, width=32),
            st.integers(-3, size + 3).map(float),
            st.integers(-6, 2 * size + 6).map(lambda n: n / 2),
        )
        for size in SHAPE
    )
)


def dense(start: Any, end: Any, count: int = 6001) -> NDArray[np.int64]:
    """Voxels at many points of the ray, those near a face between voxels left out."""
    points = np.linspace(np.asarray(start, float), np.asarray(end, float), count)
    clear = (np.abs(points + 0.5 - np.round(points + 0.5)) > 1e-6).all(axis=1)
    voxels = np.round(points[clear]).astype(int)
    voxels = voxels[((voxels >= 0) & (voxels < SHAPE)).all(axis=1)]
    new = np.ones(len(voxels), bool)
    new[1:] = (voxels[1:] != voxels[:-1]).any(axis=1)
    return voxels[new]


def chord(start: Any, end: Any, voxel: NDArray[np.int64], half: float = 0.5) -> float:
    """Length of the part of the ray in a voxel; negative where it passes by."""
    origin, along = np.asarray(start, float), np.subtract(end, start)
    enter, leave = 0.0, 1.0
    for axis in range(3):
        faces = np.sort(np.array([-half, half]) + voxel[axis] - origin[axis])
        if along[axis] == 0:
            if faces[0] > 0 or faces[1] < 0:
                return -1.0
            continue
        crossed = np.sort(faces / along[axis])
        enter, leave = max(enter, crossed[0]), min(leave, crossed[1])
    return float((leave - enter) * np.linalg.norm(along))


@given(places, places)
@example((-3.0, 4.0, 5.0), (9.0, 4.0, 5.0))
@example((0.0, 0.0, 0.0), (6.0, 6.0, 6.0))
@example((6.5, 8.5, 11.5), (-0.5, -0.5, -0.5))
@settings(deadline=None, max_examples=250)
def test_a_ray_passes_the_voxels_that_lie_on_it(
    start: tuple[float, ...], end: tuple[float, ...]
) -> None:
    path = voxels_along(start, end, SHAPE)
    assert ((path >= 0) & (path < SHAPE)).all()
    assert len(np.unique(path, axis=0)) == len(path)
    assert (np.abs(np.diff(path, axis=0)).max(axis=1, initial=0) <= 1).all()  # unbroken
    for voxel in path:
        assert chord(start, end, voxel) > -1e-6
    # every voxel that dense sampling sees is there, in that order
    order = {tuple(voxel): at for at, voxel in enumerate(path.tolist())}
    seen = [order[tuple(voxel)] for voxel in dense(start, end).tolist()]
    assert seen == sorted(seen)
    # and any other is one that the ray only grazes
    step = np.linalg.norm(np.subtract(end, start)) / 6000
    for at in set(range(len(path))) - set(seen):
        assert chord(start, end, path[at], half=0.5 - 1e-6) <= 2 * step + 1e-5


@given(places, places, st.integers(0, 2**31), st.floats(0, 0.2), st.floats(0, 0.1))
@settings(deadline=None, max_examples=150)
def test_the_first_voxel_is_found_however_it_is_stored(
    start: tuple[float, ...], end: tuple[float, ...], seed: int, bright: float, labelled: float
) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.random(SHAPE) < bright) * 100.0
    labels = (rng.random(SHAPE) < labelled) * np.uint32(3)
    path = voxels_along(start, end, SHAPE)
    expected = next(
        (tuple(v) for v in path.tolist() if image[tuple(v)] > 50 or labels[tuple(v)]), None
    )
    assert first_voxel(start, end, image, labels, threshold=50) == expected
    lazy = da.from_array(image, chunks=(3, 4, 5)), da.from_array(labels, chunks=(7, 2, 6))
    assert first_voxel(start, end, *lazy, threshold=50) == expected
    assert first_voxel(start, end, Counted(image), Counted(labels), threshold=50) == expected
    only = next((tuple(v) for v in path.tolist() if image[tuple(v)] > 50), None)
    assert first_voxel(start, end, image, threshold=50) == only


class Counted:
    """An array that must be asked for its parts, and counts what was read."""

    def __init__(self, array: NDArray[Any], chunks: tuple[int, ...] | None = None) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.boxes: list[tuple[slice, ...]] = []
        if chunks is not None:
            self.chunks = chunks

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        self.boxes.append(key)
        return self.array[key]

    @property
    def read(self) -> int:
        return sum(self.array[box].size for box in self.boxes)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("back", [False, True])
def test_along_an_axis(axis: int, back: bool) -> None:
    image = np.zeros(SHAPE)
    image[5, 3, 2], image[3, 6, 2], image[3, 3, 9], image[3, 3, 2] = 9, 9, 9, 9
    start, end = np.full(3, 0.0), np.full(3, 0.0)
    start[:], end[:] = (3, 3, 2), (3, 3, 2)
    start[axis], end[axis] = (20, -20) if back else (-20, 20)
    expected = [3, 3, 2]
    if back:
        expected[axis] = (5, 6, 9)[axis]
    assert first_voxel(start, end, image, threshold=5) == tuple(expected)


def test_a_diagonal_steps_across_corners() -> None:
    path = voxels_along((-1, -1, -1), (9, 9, 9), (5, 5, 5))
    np.testing.assert_array_equal(path, np.repeat(np.arange(5), 3).reshape(5, 3))
    np.testing.assert_array_equal(voxels_along((9, 9, 9), (-1, -1, -1), (5, 5, 5)), path[::-1])


def test_a_label_hides_what_lies_behind_and_brightness_what_lies_before() -> None:
    image, labels = np.zeros(SHAPE), np.zeros(SHAPE, np.uint32)
    labels[4, 4, 4] = 7
    ray = (-5, 4, 4), (20, 4, 4)
    assert first_voxel(*ray, image, labels, threshold=1) == (4, 4, 4)
    image[5, 4, 4] = 2
    assert first_voxel(*ray, image, labels, threshold=1) == (4, 4, 4)
    image[2, 4, 4] = 2
    assert first_voxel(*ray, image, labels, threshold=1) == (2, 4, 4)
    assert first_voxel(*ray, image, labels, threshold=2) == (4, 4, 4)  # not above it
    assert first_voxel(*ray, image, threshold=2) is None


def test_a_ray_that_misses() -> None:
    image = np.ones(SHAPE)
    assert first_voxel((-5, -5, -5), (-5, 20, 20), image, threshold=0) is None
    assert first_voxel((-5, 4, 4), (-1, 4, 4), image, threshold=0) is None  # ends before it
    assert first_voxel((3, -4, 2), (3, 2, -4), image, threshold=0) is None  # past the edge
    assert first_voxel((3, 4, 5), (3, 4, 5), image, threshold=0) == (3, 4, 5)
    assert first_voxel((-0.5, -0.5, -0.5), (20, -0.5, -0.5), image, threshold=0) == (0, 0, 0)


def test_micrometres_are_turned_into_voxels() -> None:
    image = np.zeros(SHAPE)
    image[3, 4, 5] = 1
    spacing = (2.0, 0.5, 0.25)
    place = np.array([3, 4, 5]) * spacing
    view = np.array([1.0, 0.3, -0.4])
    start, end = place - 20 * view, place + 20 * view
    assert first_voxel(start, end, image, threshold=0.5, spacing=spacing) == (3, 4, 5)
    assert first_voxel(start, end, image, threshold=0.5) is None
    # the same voxels in the same order, whatever the units
    voxels = first_voxel(start / spacing, end / spacing, image, threshold=0.5)
    assert voxels == (3, 4, 5)


def test_nan_is_not_bright() -> None:
    image = np.full(SHAPE, np.nan)
    image[5, 4, 4] = 1
    assert first_voxel((-1, 4, 4), (9, 4, 4), image, threshold=0) == (5, 4, 4)


def test_of_a_stored_volume_only_chunks_up_to_the_hit_are_read() -> None:
    array = np.zeros((64, 128, 128), np.uint8)
    array[40, 64, 64] = 200
    image = Counted(array, chunks=(8, 32, 32))
    assert first_voxel((-10, 64, 64), (90, 64, 64), image, threshold=100) == (40, 64, 64)
    assert len(image.boxes) == 6
    assert image.boxes[-1][0] == slice(40, 48)
    assert image.read == 48
    slanted = Counted(array, chunks=(8, 32, 32))
    assert first_voxel((0, 0, 0), (64, 127, 100), slanted, threshold=100) is None
    assert slanted.read < 16 * 8 * 32 * 32
    unknown = Counted(np.zeros((256, 256, 256), np.uint8))
    assert first_voxel((0, 0, 0), (255, 255, 255), unknown, threshold=100) is None
    assert unknown.read == 4 * 64**3
    with_labels = Counted(array, chunks=(8, 32, 32))
    labels = np.zeros(array.shape, np.uint32)
    labels[3, 64, 64] = 1
    ray = (-10, 64, 64), (90, 64, 64)
    assert first_voxel(*ray, with_labels, labels, threshold=100) == (3, 64, 64)
    assert with_labels.read == 3  # nothing behind the label


def test_a_zarr_array_is_read_by_its_chunks(tmp_path: Any) -> None:
    import zarr

    stored = zarr.create_array(tmp_path / "a.zarr", shape=SHAPE, chunks=(2, 4, 4), dtype="u2")
    stored[5, 4, 4] = 9
    assert first_voxel((-1, 4, 4), (9, 4, 4), stored, threshold=3) == (5, 4, 4)


def test_the_threshold_lies_between_the_contrast_limits() -> None:
    assert contrast_threshold((100, 300)) == 200
    assert contrast_threshold((100, 300), 0.25) == 150
    for limits, part in (((3, 3), 0.5), ((0, np.inf), 0.5), ((0, 1), 2), ((np.nan, 1), 0.5)):
        with pytest.raises(InputError, match="give no threshold"):
            contrast_threshold(limits, part)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda i: first_voxel((0, 0, np.nan), (1, 1, 1), i, threshold=1), "finite"),
        (lambda i: first_voxel((0, 0), (1, 1), i, threshold=1), "three finite numbers"),
        (lambda i: first_voxel((0, 0, 0), (1, 1), i, threshold=1), "three numbers"),
        (lambda i: first_voxel((0, 0, 0), (1, 1, 1), i[0], threshold=1), "needs a volume"),
        (lambda i: first_voxel((0, 0, 0), (1, 1, 1), i, i[1:], threshold=1), "labels have shape"),
        (lambda i: first_voxel((0, 0, 0), (1, 1, 1), i, threshold=np.nan), "threshold nan"),
        (
            lambda i: first_voxel((0, 0, 0), (1, 1, 1), i, threshold=1, spacing=(0, 1, 1)),
            "spacing",
        ),
    ],
)
def test_what_is_no_ray_is_said(call: Callable[[NDArray[Any]], Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(np.zeros(SHAPE))
