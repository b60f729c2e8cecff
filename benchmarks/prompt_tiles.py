"""From a click to a mask on a plane of 8192² pixels, beside one of 1024².

The model costs next to nothing, so that what is left is ours: finding the tile, hashing it, moving
the prompt and the mask, and following a mask over borders.
"""

import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL, LARGE = 1024, 8192
#: Row, column and radius of discs: within a tile, over a border, over the corner of four tiles.
WITHIN, BORDER, CORNER = (2661, 3300, 60), (2661, 4454, 200), (4454, 4454, 200)

Clicking = Callable[[], None]


def run_tiles(runs: int = 3) -> dict[str, float]:
    """Time clicks on cached planes and weigh what they allocate.

    Parameters
    ----------
    runs : int
        Medians over this many.

    Returns
    -------
    dict
        In ms: ``small`` (1024², the whole plane), ``within``, ``border`` and ``corner`` (8192²),
        ``frozen`` (within, the plane not watched), ``drawn`` (within, with a mask of the plane),
        ``encode`` (a click's tile); ``overhead``: `within` less `small`; ``peak``: most MiB
        allocated in numpy arrays for one click and its tile, beside the plane itself (64 MiB);
        ``exact``: 1 if every mask was its disc.
    """
    from tests.prompts.tiny_predictor import TinyPredictor

    from napari_cellseg.prompts import EmbeddingCache, Prompt
    from napari_cellseg.prompts.plane_prompter import PlanePrompter

    plane = np.full((LARGE, LARGE), 10, np.uint8)
    for disc in (WITHIN, BORDER, CORNER):
        _draw(plane, *disc)
    small = np.full((SMALL, SMALL), 10, np.uint8)
    _draw(small, 500, 500, 60)
    exact = True

    def prompter(pixels: NDArray[np.uint8], frozen: bool = False) -> PlanePrompter:
        cache = EmbeddingCache(disk_limit=0)
        return PlanePrompter(TinyPredictor(), cache, pixels, frozen=frozen)

    def click(one: PlanePrompter, disc: tuple[int, int, int], mask: Any = None) -> Clicking:
        prompt = Prompt(points=[(disc[0], disc[1] - 20)], mask=mask)
        one.encode(prompt)
        one.decode(prompt, False, complete=True)

        def answer() -> None:
            nonlocal exact
            box, pixels = one.decode(prompt, False).region()
            exact = exact and bool(np.array_equal(pixels, one.plane[box] > 127))

        return answer

    tiled = prompter(plane)
    first = Prompt(points=[WITHIN[:2]])
    start = time.perf_counter()
    tiled.encode(first)
    encode = 1e3 * (time.perf_counter() - start)
    drawn = np.zeros(plane.shape, np.bool_)
    drawn[WITHIN[0] - 9 : WITHIN[0] + 9, WITHIN[1] - 9 : WITHIN[1] + 9] = True
    result = _medians(
        {
            "small": click(prompter(small), (500, 500, 60)),
            "within": click(tiled, WITHIN),
            "border": click(tiled, BORDER),
            "corner": click(tiled, CORNER),
            "frozen": click(prompter(plane, frozen=True), WITHIN),
            "drawn": click(tiled, WITHIN, drawn),
        },
        runs,
    )
    result["encode"] = encode
    result["overhead"] = result["within"] - result["small"]
    fresh = prompter(plane)

    def begin() -> None:
        fresh.encode(first)
        fresh.decode(first).region()

    result["peak"] = _peak(begin)
    result["exact"] = float(exact)
    return result


def _draw(plane: NDArray[np.uint8], row: int, col: int, radius: int) -> None:
    rows, cols = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    part = plane[row - radius : row + radius + 1, col - radius : col + radius + 1]
    part[rows**2 + cols**2 <= radius**2] = 200


def _medians(clicks: dict[str, Clicking], runs: int) -> dict[str, float]:
    """Median times in ms; the kinds take turns."""
    times: dict[str, list[float]] = {name: [] for name in clicks}
    for _ in range(runs):
        for name, work in clicks.items():
            start = time.perf_counter()
            work()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def _peak(work: Clicking) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    for name, value in run_tiles(9).items():
        print(f"{name:10s} {value:8.2f}")
