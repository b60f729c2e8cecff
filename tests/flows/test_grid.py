import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.flows.grid import AXES, Grid


def test_large_cells_are_reduced_once() -> None:
    grid = Grid.for_network((100, 400, 400), (1.0, 1.0, 1.0), 40.0, (20.0, 20.0))
    assert grid.pixel == 2.0
    assert grid.working_shape == (50, 200, 200)
    assert grid.plane_shape("xy") == (200, 200)
    assert grid.plane_shape("xz") == (50, 200)


def test_coarse_z_grows_only_in_planes() -> None:
    grid = Grid.for_network((20, 100, 100), (5.0, 1.0, 1.0), 20.0, (20.0, 20.0))
    assert grid.working_shape == (20, 100, 100)
    assert grid.plane_shape("xy") == (100, 100)
    assert grid.plane_shape("xz") == (100, 100)
    assert grid.plane_shape("yz") == (100, 100)


def test_y_and_x_may_differ() -> None:
    grid = Grid.for_network((10, 100, 100), (1.0, 1.0, 2.0), 20.0, (20.0, 20.0))
    assert grid.plane_shape("xy") == (100, 200)


def test_tiny_cells_are_enlarged_within_reason() -> None:
    grid = Grid.for_network((10, 100, 100), (1.0, 1.0, 1.0), 2.0, (20.0, 20.0))
    assert grid.plane_shape("xy") == (250, 250)


@pytest.mark.parametrize(
    ("diameter", "pixel"),
    [(None, 0.5), (10.0, 0.5), (5.0, 0.5), (40.0, 0.5), (80.0, 1.0), (4.0, 0.4), (0.1, 0.2)],
)
def test_networks_of_a_range_see_planes_as_they_are_within_it(
    diameter: float | None, pixel: float
) -> None:
    grid = Grid.for_network((10, 90, 90), (2.0, 0.5, 1.0), diameter, (10.0, 80.0))
    assert grid.pixel == pytest.approx(pixel)


@pytest.mark.parametrize(
    ("shape", "orientations"),
    [
        ((1, 50, 50), ("xy",)),
        ((20, 1, 50), ("xz",)),
        ((20, 50, 1), ("yz",)),
        ((1, 50, 1), ("xy",)),
        ((2, 50, 50), ("xy", "xz", "yz")),
    ],
)
def test_a_single_plane_has_its_one_orientation(
    shape: tuple[int, int, int], orientations: tuple[str, ...]
) -> None:
    assert Grid(shape, (1.0, 1.0, 1.0), 1.0).orientations == orientations


@given(
    shape=st.tuples(*[st.integers(1, 300)] * 3),
    spacing=st.tuples(*[st.floats(0.05, 20)] * 3),
    diameter=st.floats(0.5, 200),
)
def test_planes_are_never_empty_and_the_working_volume_never_grows(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], diameter: float
) -> None:
    grid = Grid.for_network(shape, spacing, diameter, (20.0, 20.0))
    assert all(1 <= w <= n for w, n in zip(grid.working_shape, shape, strict=True))
    for orientation in AXES:
        assert min(grid.plane_shape(orientation)) >= 1
