"""Points over a view, and crops of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.utils.amg import build_point_grid, generate_crop_boxes

from napari_cellseg.prompts.everything_grid import crop_places, point_grid

SIDES = st.integers(1, 300)


@pytest.mark.parametrize("count", [1, 7, 32])
def test_points_are_segment_anythings_at_pixel_centres(count: int) -> None:
    theirs = build_point_grid(count)[:, ::-1] * 1024
    ours = point_grid((1024, 1024), count)
    np.testing.assert_allclose(ours + 0.5, theirs)
    assert len(point_grid((1024, 1024))) == 32**2


@given(SIDES, SIDES, st.floats(0.3, 1000))
def test_points_lie_evenly_inside(rows: int, cols: int, diameter: float) -> None:
    points = point_grid((rows, cols), None, diameter)
    assert (points >= -0.5).all()
    assert (points <= np.array([rows, cols]) - 0.5).all()
    for axis, side in enumerate((rows, cols)):
        lines = np.unique(points[:, axis])
        assert len(lines) <= 128
        steps = np.diff(lines)
        assert steps.size == 0 or steps.max() - steps.min() < 1e-6
        gaps = [lines[0] + 0.5, side - 0.5 - lines[-1]]
        assert np.isclose(*gaps)
        assert max(gaps) <= max(diameter / 4, max(rows, cols) / 256) + 1e-6


@pytest.mark.parametrize("shape", [(1024, 1024), (700, 1000), (333, 201)])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_crops_are_segment_anythings(shape: tuple[int, int], layers: int) -> None:
    boxes, _ = generate_crop_boxes(shape, layers, 512 / 1500)
    theirs = {(y0 + 5, x0 + 7, y1 + 5, x1 + 7) for x0, y0, x1, y1 in boxes[1:]}
    place = slice(5, 5 + shape[0]), slice(7, 7 + shape[1])
    ours = [(r.start, c.start, r.stop, c.stop) for r, c in crop_places(place, layers)]
    assert set(ours) == theirs
    assert len(ours) == len(boxes) - 1


@given(SIDES, SIDES, st.integers(1, 3))
def test_crops_cover_their_view(rows: int, cols: int, layers: int) -> None:
    seen = np.zeros((rows + 2, cols + 3), bool)
    place = slice(2, rows + 2), slice(3, cols + 3)
    for crop in crop_places(place, layers):
        assert seen[crop].size > 0
        assert crop[0].start >= 2
        assert crop[1].start >= 3
        assert crop[0].stop <= rows + 2
        assert crop[1].stop <= cols + 3
        seen[crop] = True
    assert seen[place].all()
