"""A plane of any size and pixel shape: masks to the pixel, and no tile encoded needlessly."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.prompts import EmbeddingCache, Prompt, Proposal
from napari_cellseg.prompts.answer import Answer
from napari_cellseg.prompts.plane_prompter import NotEncoded, PlanePrompter
from napari_cellseg.prompts.predictor import Capabilities, Predictor
from napari_cellseg.prompts.stitch import MOST_TILES
from napari_cellseg.prompts.tile_answer import PlaneAnswer
from prompts.tiny_predictor import TinyPredictor

#: Tiles small enough to be quick: 3 × 3 of 128² over 320², each sharing 32 with the next.
SMALL: dict[str, Any] = {"largest": 200, "tile": 128, "halo": 32}


def cache() -> EmbeddingCache:
    return EmbeddingCache(disk_limit=0)


def discs(shape: tuple[int, int], *places: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Bright discs (row, col, radius) on a dark plane."""
    plane = np.full(shape, 10, np.uint8)
    for row, col, radius in places:
        top, left = max(0, row - radius), max(0, col - radius)
        part = plane[top : row + radius + 1, left : col + radius + 1]
        rows, cols = np.ogrid[: part.shape[0], : part.shape[1]]
        part[(rows + top - row) ** 2 + (cols + left - col) ** 2 <= radius**2] = 200
    return plane


def whole(answer: Answer, index: int = 0) -> NDArray[np.bool_]:
    mask = np.zeros(answer.shape, np.bool_)
    place, inside = answer.region(index)
    mask[place] = inside
    return mask


def prompter(plane: Any, **options: Any) -> PlanePrompter:
    return PlanePrompter(TinyPredictor(), cache(), plane, **options)


def click(row: float, col: float) -> Prompt:
    return Prompt(points=[(row, col)])


# One tile ------------------------------------------------------------------------------------


def test_a_plane_seen_whole_is_answered_by_the_predictor_itself() -> None:
    one = prompter(discs((100, 140), (40, 50, 12)))
    one.encode()
    answer = one.decode(click(40, 50))
    assert isinstance(answer, Proposal)
    np.testing.assert_array_equal(whole(answer), one.plane > 127)
    assert one.tiles_for(click(3, 3)) == (0,)
    assert one.embedding(0) is one.embedding(0)


def test_nothing_is_answered_before_it_is_encoded() -> None:
    one = prompter(discs((100, 140), (40, 50, 12)))
    assert not one.encoded()
    with pytest.raises(NotEncoded) as missing:
        one.decode(click(40, 50))
    assert missing.value.tiles == (0,)
    assert isinstance(missing.value, LookupError)
    one.encode(click(40, 50))
    assert one.encoded()
    assert one.encoded(click(1, 1))


@pytest.mark.parametrize("options", [{}, SMALL])
def test_an_image_that_was_painted_on_is_not_answered_from_what_it_was(
    options: dict[str, Any],
) -> None:
    plane = discs((300, 300), (40, 50, 12))
    one = prompter(plane, **options)
    one.encode(click(40, 50))
    plane[40, 50] = 11
    assert not one.encoded(click(40, 50))
    with pytest.raises(NotEncoded):
        one.decode(click(40, 50))
    one.encode(click(40, 50))
    assert not whole(one.decode(click(40, 50)))[40, 50]


def test_a_frozen_plane_is_hashed_once_until_it_is_forgotten() -> None:
    plane = discs((100, 140), (40, 50, 12))
    one = prompter(plane, frozen=True)
    one.encode()
    plane[:] = 0
    assert whole(one.decode(click(40, 50))).any()
    one.forget()
    with pytest.raises(NotEncoded):
        one.decode(click(40, 50))


def test_names_of_embeddings_can_be_handed_on() -> None:
    class Counted:
        shape, reads = (100, 140), 0

        def __getitem__(self, place: Any) -> NDArray[np.uint8]:
            self.reads += 1
            return discs(self.shape, (40, 50, 12))[place]

    plane, store, predictor = Counted(), cache(), TinyPredictor()
    keys: dict[int, Any] = {}
    PlanePrompter(predictor, store, plane, keys=keys).encode()
    before = plane.reads
    assert PlanePrompter(predictor, store, plane, keys=keys).encoded()
    assert plane.reads == before


def test_an_entry_on_disk_that_cannot_be_read_is_made_again(tmp_path: Path) -> None:
    plane = discs((100, 140), (40, 50, 12))
    PlanePrompter(TinyPredictor(), EmbeddingCache(tmp_path), plane).encode()
    (entry,) = tmp_path.glob("*.embedding")
    entry.write_bytes(b"torn")
    one = PlanePrompter(TinyPredictor(), EmbeddingCache(tmp_path), plane)
    with pytest.raises(NotEncoded):
        one.decode(click(40, 50))
    one.encode(click(40, 50))
    np.testing.assert_array_equal(whole(one.decode(click(40, 50))), plane > 127)


# Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, SMALL, {"pixel": (3, 1)}])
@pytest.mark.parametrize(
    "prompt",
    [
        click(300, 5),
        click(5, -1),
        Prompt(box=(400, 400, 420, 420)),
        Prompt(points=[(5, 5)], mask=np.ones((9, 9), np.bool_)),
        Prompt(points=[(5, 5), (999, 0)], labels=[1, 0]),
    ],
)
def test_prompts_outside_the_plane_are_refused(prompt: Prompt, options: dict[str, Any]) -> None:
    one = prompter(discs((300, 300), (40, 50, 12)), **options)
    for ask in (one.tiles_for, one.decode, one.encode, one.encoded):
        if ask == one.decode:
            one.encode(click(40, 50))
        with pytest.raises(InputError, match="plane"):
            ask(prompt)


@pytest.mark.parametrize("shape", [(5,), (0, 4), (4, 4, 2), (2, 2, 2, 2)])
def test_what_is_no_plane_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="plane has shape"):
        prompter(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("pixel", [(0.0, 1.0), (-1, 1), (np.nan, 1), (1,), (np.inf, 1)])
def test_impossible_pixels_are_refused(pixel: Any) -> None:
    with pytest.raises(InputError, match="pixel size"):
        prompter(discs((50, 50)), pixel=pixel)


# Tiles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "disc",
    [
        (160, 160, 20),  # within the middle tile
        (160, 110, 30),  # over a border
        (110, 110, 40),  # over a corner
        (0, 160, 25),  # cut by the plane's border
        (319, 319, 30),
        (160, 160, 90),  # larger than a tile
        (40, 60, 1),
    ],
)
def test_a_disc_is_answered_exactly_wherever_it_lies(disc: tuple[int, int, int]) -> None:
    plane = discs((320, 320), disc, (300, 20, 8))
    one = prompter(plane, **SMALL)
    expected = discs((320, 320), disc) > 127
    row, col, radius = disc
    for offset in ((0, 0), (radius // 2, radius // 2), (0, -radius // 2)):
        place = np.clip((row + offset[0], col + offset[1]), 0, 319)
        prompt = click(*place)
        one.encode(prompt)
        answer = one.decode(prompt, complete=True)
        np.testing.assert_array_equal(whole(answer), expected)
        assert isinstance(answer, PlaneAnswer)
        assert answer.missing == ()
        assert len(answer) == 3
        assert answer.scores[0] == np.float32(0.9)


def test_a_prompt_asks_a_bounded_number_of_tiles() -> None:
    """A click on the background, which goes on everywhere."""
    plane = np.full((900, 900), 200, np.uint8)
    one = prompter(plane, **SMALL)
    one.encode()
    predictor = one.predictor
    assert isinstance(predictor, TinyPredictor)
    answer = one.decode(click(450, 450))
    assert isinstance(answer, PlaneAnswer)
    assert len(predictor.decoded) == 1 + MOST_TILES
    assert whole(answer).sum() > 3 * 128**2


def test_a_mask_ends_where_the_next_tile_is_not_encoded_and_says_so() -> None:
    plane = discs((320, 320), (64, 110, 30))
    one = prompter(plane, **SMALL)
    prompt = click(64, 90)
    one.encode(prompt)
    part = one.decode(prompt)
    assert isinstance(part, PlaneAnswer)
    assert part.missing
    assert 0 < whole(part).sum() < (plane > 127).sum()
    one.encode_tiles(part.missing)
    np.testing.assert_array_equal(whole(one.decode(prompt)), plane > 127)


def test_every_candidate_is_stitched() -> None:
    plane = discs((320, 320), (160, 110, 30))
    one, single = prompter(plane, **SMALL), prompter(plane)
    one.encode()
    single.encode()
    tiled, alone = one.decode(click(160, 110)), single.decode(click(160, 110))
    np.testing.assert_array_equal(whole(tiled), whole(alone))
    for index in (1, 2):  # grown and shrunk within tiles, they differ by pixels at their borders
        assert tiled.region(index)[0] == alone.region(index)[0]
        assert np.count_nonzero(whole(tiled, index) != whole(alone, index)) < 10


def test_far_from_borders_a_tile_alone_decides() -> None:
    plane = discs((320, 320), (160, 160, 20))
    one = prompter(plane, **SMALL)
    one.encode()
    prompt = click(158, 163)
    (tile,) = one.tiles_for(prompt)
    rows, cols = one.grid.place(tile)
    alone = TinyPredictor()
    direct = alone.decode(
        alone.encode(plane[rows, cols]), click(158 - rows.start, 163 - cols.start)
    )
    answer = one.decode(prompt)
    assert isinstance(answer, PlaneAnswer)
    assert answer.tiles == (tile,)
    for index in range(3):
        (r, c), mask = direct.region(index)
        place, got = answer.region(index)
        assert place == (
            slice(r.start + rows.start, r.stop + rows.start),
            slice(c.start + cols.start, c.stop + cols.start),
        )
        np.testing.assert_array_equal(got, mask)
    np.testing.assert_array_equal(answer.scores, direct.scores)


def test_logits_of_a_network_are_enlarged_in_their_tile(small_sam: Predictor) -> None:
    """With weights of noise: its masks are specks all over the tile."""
    rng = np.random.default_rng(5)
    plane = rng.integers(0, 255, (320, 320)).astype(np.uint8)
    one = PlanePrompter(
        small_sam, EmbeddingCache(disk_limit=0, precision="float32"), plane, **SMALL
    )
    one.encode(click(160, 165))
    (tile,) = one.tiles_for(click(160, 165))
    rows, cols = one.grid.place(tile)
    corner = (rows.start, cols.start)
    direct = small_sam.decode(
        small_sam.encode(plane[rows, cols]), click(160 - corner[0], 165 - corner[1])
    )
    answer = one.decode(click(160, 165))
    assert isinstance(answer, PlaneAnswer)
    assert answer.missing  # only one tile is encoded
    np.testing.assert_array_equal(answer.scores, direct.scores)
    for index in range(3):
        expected = np.zeros((320, 320), np.bool_)
        expected[rows, cols] = direct.masks[index]
        np.testing.assert_array_equal(whole(answer, index), expected)
    logits = answer.refine(1)
    np.testing.assert_array_equal(logits, direct.logits[1])
    again = one.decode(Prompt(points=[(150, 165)], mask=logits))
    expected = small_sam.decode(
        one.embedding(tile),
        Prompt(points=[(150 - corner[0], 165 - corner[1])], mask=direct.logits[1]),
    ).masks[0]
    np.testing.assert_array_equal(whole(again)[rows, cols], expected)


def test_another_object_at_the_border_of_the_next_tile_is_not_united() -> None:
    """The neighbour answers with all but what it was asked for."""

    class Liar(TinyPredictor):
        def decode(self, embedding: Any, prompt: Prompt, multimask: bool | None = None) -> Proposal:
            if len(prompt.points) > 1 or multimask is True:  # asked to go on with a mask
                other = np.zeros(len(prompt.points))
                prompt = Prompt(prompt.points, other, box=(-0.5, -0.5, 127.5, 127.5))
            return super().decode(embedding, prompt, multimask)

    plane = discs((320, 320), (64, 110, 30))
    plane[100:128, 128:200] = 200
    plane[0:30, 100:230] = 200
    one = PlanePrompter(Liar(), cache(), plane, **SMALL)
    one.encode()
    answer = one.decode(click(64, 90))
    assert isinstance(answer, PlaneAnswer)
    assert answer.tiles == one.tiles_for(click(64, 90))
    assert whole(answer)[:, 128:].sum() == 0


def test_a_box_over_several_tiles() -> None:
    plane = discs((320, 320), (160, 160, 90), (20, 20, 10))
    one = prompter(plane, **SMALL)
    prompt = Prompt(box=(100, 60, 260, 200))
    with pytest.raises(NotEncoded) as missing:
        one.decode(prompt)
    one.encode_tiles(missing.value.tiles)
    expected = np.zeros((320, 320), np.bool_)
    expected[100:261, 60:201] = plane[100:261, 60:201] > 127
    np.testing.assert_array_equal(whole(one.decode(prompt)), expected)


def test_a_model_that_takes_boxes_only_goes_on_with_the_box() -> None:
    class Boxes(TinyPredictor):
        capabilities = Capabilities(points=False, mask=False, multimask=False)

        def decode(self, embedding: Any, prompt: Prompt, multimask: bool | None = None) -> Proposal:
            assert not len(prompt.points)
            assert prompt.mask is None
            assert not multimask
            return super().decode(embedding, prompt, multimask)

    plane = discs((320, 320), (64, 110, 30))
    one = PlanePrompter(Boxes(), cache(), plane, **SMALL)
    one.encode()
    answer = one.decode(Prompt(box=(30, 70, 100, 145)))
    np.testing.assert_array_equal(whole(answer), plane > 127)


def test_positive_points_far_apart_are_united() -> None:
    plane = discs((320, 320), (30, 30, 12), (290, 290, 15), (160, 160, 10))
    one = prompter(plane, **SMALL)
    prompt = Prompt(points=[(30, 30), (290, 290), (160, 160)], labels=[1, 1, 0])
    one.encode(prompt)
    assert one.encoded(prompt)
    assert not one.encoded()
    expected = plane > 127
    expected[140:180, 140:180] = False
    np.testing.assert_array_equal(whole(one.decode(prompt)), expected)


def test_a_negative_point_counts_in_the_tile_it_lies_in() -> None:
    plane = discs((320, 320), (64, 110, 30))
    one = prompter(plane, **SMALL)
    one.encode()
    answer = one.decode(Prompt(points=[(64, 90), (64, 139)], labels=[1, 0]))
    assert isinstance(answer, PlaneAnswer)
    assert len(answer.tiles) == 1
    assert not whole(answer)[64, 139]


def test_a_drawn_mask_is_cut_to_its_tiles() -> None:
    plane = discs((320, 320), (160, 110, 30), (40, 40, 9))
    one = prompter(plane, **SMALL)
    drawn = discs((320, 320), (160, 110, 5)) > 127
    one.encode()
    np.testing.assert_array_equal(
        whole(one.decode(Prompt(mask=drawn))), discs((320, 320), (160, 110, 30)) > 127
    )


def test_logits_go_back_to_the_tile_they_came_from() -> None:
    plane = discs((320, 320), (160, 160, 20), (20, 20, 9))
    one = prompter(plane, **SMALL)
    one.encode()
    first = one.decode(click(160, 160))
    logits = first.refine(0)
    assert logits is not None
    assert one.tiles_for(Prompt(mask=logits)) == one.tiles_for(click(160, 160))
    again = one.decode(Prompt(mask=logits.copy()))
    np.testing.assert_array_equal(whole(again), whole(first))
    # a point that another tile would centre better stays with the logits, if their tile has it
    assert one.tiles_for(Prompt(points=[(100, 100)], mask=logits)) == one.tiles_for(click(160, 160))
    assert one.tiles_for(click(100, 100)) != one.tiles_for(click(160, 160))
    # elsewhere they mean nothing, and are left out
    one.decode(Prompt(points=[(20, 20)], mask=logits))
    predictor = one.predictor
    assert isinstance(predictor, TinyPredictor)
    assert predictor.decoded[-1].mask is None
    with pytest.raises(InputError, match="logits"):
        one.decode(Prompt(mask=logits + 1))


def test_only_what_is_missing_is_encoded_nearest_first() -> None:
    plane = discs((320, 320), (160, 160, 20))
    plane[:] += np.arange(320, dtype=np.uint8)[:, None] // 8  # no two tiles alike
    plane[:] += np.arange(320, dtype=np.uint8) // 16
    one = prompter(plane, **SMALL)
    predictor = one.predictor
    assert isinstance(predictor, TinyPredictor)
    one.encode(click(5, 5))
    assert predictor.encoded == [(128, 128)]
    told: list[float] = []
    one.encode(near=(310, 310), progress=lambda fraction, _: told.append(fraction))
    assert len(predictor.encoded) == len(one.grid) == 9
    assert one.encoded()
    assert told == pytest.approx(np.arange(1, 10) / 9)


def test_encoding_is_cancelled_between_tiles() -> None:
    one = prompter(discs((320, 320), (160, 160, 20)), **SMALL)
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        one.encode(cancel=cancel, progress=lambda *_: cancel.set())
    assert one.encoded(Prompt(points=[(1, 1)]))


def test_tiles_of_a_wide_format_share_their_limits() -> None:
    plane = discs((320, 320), (160, 160, 20)).astype(np.uint16) * 100
    plane[:128, :128] = np.arange(128)  # alone, its own range would be stretched to white
    one = prompter(plane, **SMALL)
    assert one.limits is not None
    one.encode()
    np.testing.assert_array_equal(whole(one.decode(click(160, 160))), plane > 12700)
    assert not whole(one.decode(click(60, 120))).any()
    assert prompter(plane, limits=(3, 9), **SMALL).limits == (3, 9)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_point_keeps_its_place_in_any_tile(data: st.DataObject) -> None:
    """A single bright pixel, clicked, is found where it is, whatever the pixels' shape."""
    rows, cols = data.draw(st.tuples(st.integers(150, 400), st.integers(150, 400)))
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    pixel = data.draw(st.sampled_from([(1.0, 1.0), (2.0, 1.0), (1.0, 3.0), (4.0, 1.0)]))
    plane = np.zeros((rows, cols), np.uint8)
    plane[row, col] = 255
    one = prompter(plane, pixel=pixel, **SMALL)
    part = data.draw(st.tuples(*[st.floats(-0.45, 0.45)] * 2))
    prompt = click(row, col) if pixel != (1.0, 1.0) else click(row + part[0], col + part[1])
    one.encode(prompt)
    np.testing.assert_array_equal(whole(one.decode(prompt, complete=True)), plane > 0)


# Oblong pixels -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, SMALL])
@pytest.mark.parametrize("pixel", [(2.0, 1.0), (0.2, 0.55), (5.0, 1.0), (1.0, 4.0), (1.0, 1.4)])
def test_oblong_pixels_are_seen_square_and_answered_as_they_are(
    pixel: tuple[float, float], options: dict[str, Any]
) -> None:
    plane = discs((90, 110), (30, 40, 12), (70, 90, 15))
    predictor = TinyPredictor()
    one = PlanePrompter(predictor, cache(), plane, pixel=pixel, **options)
    prompt = Prompt(points=[(30, 40), (70, 90)], labels=[1, 0])
    one.encode(prompt)
    answer = one.decode(prompt, complete=True)
    assert answer.shape == plane.shape
    np.testing.assert_array_equal(whole(answer), discs((90, 110), (30, 40, 12)) > 127)
    if not options:
        rows, cols = one.sampling.factors
        assert predictor.encoded == [(90 * rows, 110 * cols)]
        box = Prompt(box=(17.5, 27.5, 42.5, 52.5))
        np.testing.assert_array_equal(whole(one.decode(box)), whole(answer))
        drawn = Prompt(mask=discs((90, 110), (30, 40, 3)) > 127)
        np.testing.assert_array_equal(whole(one.decode(drawn)), whole(answer))
        again = Prompt(mask=answer.refine(0))
        np.testing.assert_array_equal(whole(one.decode(again)), whole(answer))


# 8192² ---------------------------------------------------------------------------------------

#: Row, column, radius, and whether no single tile sees the disc.
LARGE = (
    (300, 300, 60, False),
    (717, 1434, 100, False),  # where tiles begin, which is within another
    (0, 4095, 90, False),
    (8191, 8191, 150, False),
    (2661, 4454, 200, True),  # over a border
    (4454, 4454, 200, True),  # over a corner
    (0, 1587, 220, True),  # over a border, at the plane's
    (6000, 2300, 700, True),  # larger than a tile
)


@pytest.fixture(scope="module")
def large() -> NDArray[np.uint8]:
    return discs((8192, 8192), *(disc[:3] for disc in LARGE))


@pytest.mark.parametrize("disc", LARGE, ids=str)
def test_8192(large: NDArray[np.uint8], disc: tuple[int, int, int, bool]) -> None:
    one = prompter(large)
    predictor = one.predictor
    assert isinstance(predictor, TinyPredictor)
    row, col, radius, several = disc
    place = min(8191, row + radius // 3), max(0, col - radius // 3)
    one.encode(click(*place))
    assert predictor.encoded == [(1024, 1024)]
    answer = one.decode(click(*place), multimask=False, complete=True)
    assert isinstance(answer, PlaneAnswer)
    (rows, cols), mask = answer.region()
    top, left = max(0, row - radius), max(0, col - radius)
    assert (rows, cols) == (
        slice(top, min(8192, row + radius + 1)),
        slice(left, min(8192, col + radius + 1)),
    )
    np.testing.assert_array_equal(mask, large[rows, cols] > 127)
    assert (len(answer.tiles) > 1) == several
    assert len(answer.tiles) <= len(predictor.encoded) <= (1 + MOST_TILES if several else 1)


@settings(max_examples=15, deadline=None)
@given(row=st.integers(0, 8191), col=st.integers(0, 8191))
def test_8192_any_pixel_is_found_where_it_is(row: int, col: int) -> None:
    one = prompter(Pixel(row, col))
    one.encode(click(row, col))
    place, mask = one.decode(click(row, col), multimask=False).region()
    assert place == (slice(row, row + 1), slice(col, col + 1))
    assert mask.all()


class Pixel:
    """A lazy plane of 8192² with one bright pixel, of which one tile is read."""

    shape = (8192, 8192)
    dtype = np.dtype(np.uint8)

    def __init__(self, row: int, col: int) -> None:
        self.place = (row, col)

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, cols = (np.arange(part.start, part.stop) for part in place)
        assert len(rows) == len(cols) == 1024
        bright = (rows[:, None] == self.place[0]) & (cols == self.place[1])
        return bright.astype(np.uint8) * 255
