import threading

import pytest
import torch

from napari_cellseg.errors import Cancelled
from napari_cellseg.flows import Progress, _torch_memory
from napari_cellseg.flows._torch_memory import in_pieces

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_torch_memory.PIECE, "cpu", 1 << 12)


def covered(total: int, room: int, weight: int = 1) -> list[tuple[int, int]]:
    """Pieces that were done on a device that has room for `room` elements."""
    done: list[tuple[int, int]] = []

    def work(part: slice) -> None:
        if (part.stop - part.start) * weight > room:
            raise torch.OutOfMemoryError("fake")
        done.append((part.start, part.stop))

    in_pieces(total, CPU, work, weight=weight)
    return done


def test_pieces_cover_everything_once():
    assert covered(10_000, 1 << 12) == [(0, 4096), (4096, 8192), (8192, 10_000)]
    assert covered(3, 1 << 12) == [(0, 3)]
    assert covered(0, 1 << 12) == []


def test_pieces_become_smaller_until_they_fit():
    done = covered(9_000, 1500)
    assert done[0] == (0, 1024)
    assert [stop for _, stop in done][:-1] == [start for start, _ in done][1:]
    assert done[-1][1] == 9_000


def test_elements_that_stand_for_many_make_small_pieces():
    assert covered(5, 1 << 12, weight=2000) == [(0, 2), (2, 4), (4, 5)]
    assert covered(3, 1 << 20, weight=1 << 19) == [(0, 1), (1, 2), (2, 3)]


def test_where_nothing_fits_it_says_so():
    with pytest.raises(torch.OutOfMemoryError):
        covered(9_000, 10)


def test_between_pieces_it_can_be_cancelled():
    stop = threading.Event()
    done: list[int] = []

    def work(part: slice) -> None:
        done.append(part.start)
        stop.set()

    with pytest.raises(Cancelled):
        in_pieces(10_000, CPU, work, Progress(cancel=stop))
    assert done == [0]
