import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.prompts.framing import Frame

sides = st.integers(1, 5000)


@given(sides, sides, st.sampled_from(["pad", "stretch"]))
def test_every_output_reads_a_weighted_mean(rows: int, cols: int, framing: str) -> None:
    for taps, side in zip(Frame((rows, cols), framing).taps, (rows, cols), strict=True):
        assert taps.weights.shape == (side, 3)
        assert np.abs(taps.weights.sum(1) - 1).max() < 1e-6
        assert taps.weights.min() >= 0
        assert (np.diff(taps.first) >= 0).all()
        reach = taps.first[:, None] + np.arange(3)
        assert reach[taps.weights > 0].max() < 256


@given(sides, st.integers(0, 255), st.integers(0, 255))
def test_reading_finds_every_output_of_some_inputs(side: int, one: int, other: int) -> None:
    low, high = sorted((one, other))
    taps = Frame((side, 1), "pad").taps[0]
    reach = taps.first[:, None] + np.arange(3)
    reads = ((reach >= low) & (reach <= high) & (taps.weights > 0)).any(1)
    found = np.zeros(side, bool)
    found[taps.reading(low, high)] = True
    assert found[reads].all()


def test_the_longer_side_becomes_1024() -> None:
    assert Frame((300, 400), "pad").resized == (768, 1024)
    assert Frame((4000, 1), "pad").resized == (1024, 1)
    assert Frame((300, 400), "stretch").resized == (1024, 1024)


def test_places_are_turned_and_scaled_per_axis() -> None:
    frame = Frame((300, 400), "stretch")
    assert frame.xy(np.array([[150.0, 100.0]])).tolist() == [[256.0, 512.0]]
