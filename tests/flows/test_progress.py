from threading import Event

import pytest

from napari_cellseg.errors import Cancelled
from napari_cellseg.flows import Progress


def test_parts_of_parts_map_to_the_whole() -> None:
    seen: list[float] = []
    whole = Progress(lambda fraction, message: seen.append(fraction))
    whole.part(0.5, 1.0).part(0.0, 0.5)(0.5, "half of the third quarter")
    assert seen == [0.625]


def test_fractions_are_kept_in_range() -> None:
    seen: list[float] = []
    Progress(lambda fraction, message: seen.append(fraction))(7.0, "too much")
    assert seen == [1.0]


def test_a_cancelled_step_reports_nothing() -> None:
    cancel, seen = Event(), []
    progress = Progress(lambda fraction, message: seen.append(fraction), cancel).part(0, 0.1)
    progress.check()
    cancel.set()
    with pytest.raises(Cancelled):
        progress(0.5, "on")
    assert not seen
