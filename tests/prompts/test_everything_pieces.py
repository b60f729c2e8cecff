"""Masks as pieces: cutting, joining, comparing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from napari_cellseg.prompts.everything_pieces import Piece, apart, largest, piece_of, shared

MASKS = arrays(np.bool_, (9, 11))


def whole(piece: Piece | None) -> NDArray[np.bool_]:
    plane = np.zeros((9, 11), bool)
    if piece is not None:
        plane[piece.place] = piece.mask
    return plane


@given(MASKS)
def test_a_piece_is_its_mask(mask: NDArray[np.bool_]) -> None:
    piece = piece_of(0, 0, mask)
    assert np.array_equal(whole(piece), mask)
    assert (piece is None) == (not mask.any())
    if piece is not None:
        assert piece.area == np.count_nonzero(mask)
        edges = piece.mask[0], piece.mask[-1], piece.mask[:, 0], piece.mask[:, -1]
        assert all(edge.any() for edge in edges)
        moved = piece_of(5, 7, mask)
        assert moved is not None
        assert moved.box == tuple(np.add(piece.box, (5, 7, 5, 7)))


@given(MASKS, MASKS)
def test_shared_pixels_are_counted(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> None:
    a, b = piece_of(0, 0, one), piece_of(0, 0, two)
    if a is not None and b is not None:
        assert shared(a, b) == shared(b, a) == np.count_nonzero(one & two)


@given(MASKS)
def test_the_largest_part(mask: NDArray[np.bool_]) -> None:
    piece = piece_of(0, 0, mask)
    if piece is None:
        return
    part = largest(piece)
    inside = whole(part)
    assert not (inside & ~mask).any()
    assert part.area == np.count_nonzero(inside)
    assert largest(part).area == part.area
    grown = np.zeros((11, 13), bool)
    for row in range(3):
        for col in range(3):
            grown[row : row + 9, col : col + 11] |= inside
    rest = mask & ~inside
    assert not (grown[1:-1, 1:-1] & rest).any()
    left = piece_of(0, 0, rest)
    assert left is None or largest(left).area <= part.area


@given(
    st.lists(MASKS.filter(lambda mask: bool(mask.any())), max_size=8),
    st.sampled_from([0.0, 0.2, 0.5, 0.7]),
    st.sampled_from(["union", "smaller"]),
    st.randoms(),
)
def test_no_two_kept_pieces_overlap_by_more(
    masks: list[NDArray[np.bool_]], limit: float, measure: Any, rng: Any
) -> None:
    pieces = [piece for piece in (piece_of(0, 0, mask) for mask in masks) if piece is not None]
    order = list(range(len(pieces)))
    rng.shuffle(order)

    def overlap(a: int, b: int) -> float:
        both = np.count_nonzero(masks[a] & masks[b])
        if measure == "union":
            return both / np.count_nonzero(masks[a] | masks[b])
        return both / min(pieces[a].area, pieces[b].area)

    expected: list[int] = []
    for index in order:
        if all(overlap(index, other) <= limit for other in expected):
            expected.append(index)
    assert apart(pieces, order, limit, measure) == expected


@pytest.mark.parametrize("limit", [1.0, 2.0])
def test_a_limit_of_one_keeps_all(limit: float) -> None:
    piece = Piece(0, 0, np.ones((2, 2), bool), 4)
    assert apart([piece, piece], [1, 0], limit, "union") == [1, 0]
