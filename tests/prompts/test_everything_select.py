"""Which of several masks becomes the object."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_cellseg.prompts.everything_pieces import piece_of
from napari_cellseg.prompts.everything_rules import Rules
from napari_cellseg.prompts.everything_select import TABLE, choose, paint, settle
from napari_cellseg.prompts.everything_view import Candidate

PLANE = (40, 40)


def candidate(row: int, col: int, side: int, score: float, view: int = 1600) -> Candidate:
    piece = piece_of(row, col, np.ones((side, side), bool))
    assert piece is not None
    return Candidate(piece, score, 1.0, (float(row), float(col)), view)


def scores(found: list[Candidate]) -> list[float]:
    return [one.score for one in found]


def test_of_the_same_the_better_is_kept_and_of_views_the_smaller() -> None:
    best, good = candidate(5, 5, 10, 0.97), candidate(5, 5, 10, 0.9)
    assert scores(choose([good, best], Rules())) == [0.97]
    near = candidate(5, 5, 10, 0.89, view=400)
    assert scores(choose([good, best, near], Rules())) == [0.89]
    assert scores(choose([good, best], Rules(duplicate=1.0))) == [0.97, 0.9]
    assert choose([], Rules()) == []


@pytest.mark.parametrize(("diameter", "side"), [(11, 10), (5, 4), (28, 24)])
def test_of_nested_masks_the_one_most_like_a_cell(diameter: float, side: int) -> None:
    nested = [candidate(4, 4, 24, 0.99), candidate(8, 8, 10, 0.95), candidate(10, 10, 4, 0.97)]
    (kept,) = choose(nested, Rules(diameter=diameter))
    assert kept.piece.box[2] - kept.piece.box[0] == side


def test_of_sizes_that_are_alike_the_score_decides() -> None:
    nested = [candidate(4, 4, 12, 0.9), candidate(4, 4, 10, 0.95)]
    assert scores(choose(nested, Rules(diameter=12.5))) == [0.95]
    assert scores(choose(nested[::-1], Rules(diameter=12.5))) == [0.95]


def test_settling() -> None:
    free = np.zeros(PLANE, bool)
    settled = settle(candidate(5, 5, 10, 0.9), PLANE, free, Rules())
    assert settled is not None
    assert settled.piece.area == 100
    free[5:9] = True
    settled = settle(candidate(5, 5, 10, 0.9), PLANE, free, Rules())
    assert settled is not None
    assert settled.piece.box == (9, 5, 15, 15)
    assert settle(candidate(5, 5, 10, 0.9), PLANE, free, Rules(min_size=61)) is None
    free[5:11] = True
    assert settle(candidate(5, 5, 10, 0.9), PLANE, free, Rules()) is None
    assert settle(candidate(0, 0, 40, 0.9), PLANE, None, Rules(max_size=9999)) is None
    assert settle(candidate(0, 0, 29, 0.9), PLANE, None, Rules()) is None
    assert settle(candidate(0, 0, 29, 0.9), PLANE, None, Rules(max_size=9999)) is not None


def painted(found: list[Candidate], **options: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return paint(found, PLANE, options.pop("taken", None), Rules(**options))


def test_the_earlier_is_on_top_and_scraps_are_left_out() -> None:
    first, second = candidate(5, 5, 10, 0.9), candidate(5, 11, 10, 0.8)
    labels, table = painted([first, second])
    assert table["size"].tolist() == [100, 60]
    assert (labels[5:15, 5:15] == 1).all()
    assert (labels[5:15, 15:21] == 2).all()
    assert table.dtype == TABLE
    assert table[1].item()[4:] == (5, 15, 15, 21, 5, 11)
    _, table = painted([first, candidate(5, 9, 10, 0.8)])
    assert len(table) == 1
    _, table = painted([first, second], min_size=61)
    assert len(table) == 1


def test_painting_spares_what_is_taken() -> None:
    taken = np.zeros(PLANE, bool)
    taken[10] = True  # between two parts, the larger of which stays
    labels, table = painted([candidate(5, 5, 10, 0.9)], taken=taken)
    assert table["size"].tolist() == [50]
    assert not labels[10:].any()
