"""A mask is carried through a stack while the object lasts, and never further."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_cellseg.errors import Cancelled, InputError
from napari_cellseg.prompts import Embedding, Predictor
from napari_cellseg.prompts.answer import Answer, Region
from napari_cellseg.prompts.mask_region import whole, within
from napari_cellseg.prompts.predictor import Capabilities
from napari_cellseg.prompts.prompt import Prompt
from napari_cellseg.prompts.propagate import Step, propagate, propagate_from
from napari_cellseg.prompts.stop_rule import REASONS, StopRule

Mask = NDArray[np.bool_]
SHAPE = (64, 80)


@dataclass
class Given:
    """An answer made of whole masks."""

    masks: list[Mask]
    scores: NDArray[np.float32]
    shape: tuple[int, int] = SHAPE

    def __len__(self) -> int:
        return len(self.masks)

    def region(self, index: int = 0) -> Region:
        return within(self.masks[index])

    def refine(self, index: int = 0) -> None:
        return None


def answered(*masks: Mask, score: float = 0.9) -> Given:
    return Given(list(masks), np.full(len(masks), score, np.float32), masks[0].shape)


@dataclass
class Seer:
    """Knows the truth: answers with the cell on which most of the prompt lies."""

    truth: NDArray[np.int64]
    change: dict[int, Callable[[Mask], Answer | None]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)

    def __call__(self, index: int, prompt: Prompt) -> Answer | None:
        self.asked.append(index)
        self.prompts.append(prompt.within(self.truth.shape[1:]))
        plane = self.truth[index]
        pointed = np.zeros(plane.shape, bool)
        if prompt.mask is not None:
            pointed |= prompt.mask
        elif len(prompt.points):
            pointed[tuple(np.round(prompt.points).astype(int).T)] = True
        elif prompt.box is not None:
            row0, col0, row1, col1 = (int(np.ceil(max(0, v))) for v in prompt.box)
            pointed[row0:row1, col0:col1] = True
        votes = np.bincount(plane[pointed], minlength=2)
        votes[0] = 0
        cell = int(votes.argmax())
        mask = (plane == cell) if votes[cell] else np.zeros(plane.shape, bool)
        return self.change[index](mask) if index in self.change else answered(mask)


def discs(*rows: tuple[int, float, float, float]) -> NDArray[np.int64]:
    """A stack of one disc per plane: (label, row, col, radius)."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.stack([one * ((y - r) ** 2 + (x - c) ** 2 <= k * abs(k)) for one, r, c, k in rows])


def sphere(radius: float, step: float = 1.0, planes: int = 41) -> NDArray[np.int64]:
    heights = (np.arange(planes) - planes // 2) * step
    return discs(*((1, 32, 40, np.sqrt(max(0, radius**2 - h**2)) if abs(h) < radius else -1)
                   for h in heights))  # fmt: skip


def cylinder(first: int, last: int, planes: int = 12, radius: float = 9) -> NDArray[np.int64]:
    stack = discs(*[(1, 32, 40, radius)] * planes)
    stack[:first], stack[last + 1 :] = 0, 0
    return stack


def run(seer: Any, truth: NDArray[np.int64], at: int, **options: Any) -> list[Step]:
    return list(propagate(seer, truth[at] == 1, at, len(truth), **options))


def stack_of(steps: Iterable[Step], truth: NDArray[np.int64], at: int) -> Mask:
    """The object: the start and every accepted step."""
    out = np.zeros(truth.shape, bool)
    out[at] = truth[at] == 1
    for step in steps:
        if step.accepted:
            out[step.index] = whole((step.region, step.mask), SHAPE)
    return out


def test_a_sphere_is_followed_to_both_poles() -> None:
    truth = sphere(16)
    steps = run(Seer(truth), truth, 20)
    inside = stack_of(steps, truth, 20)
    missed = np.count_nonzero((truth == 1) & ~inside)
    assert not (inside & (truth != 1)).any()
    assert missed <= 0.01 * truth.sum()  # the caps shrink too fast: a plane on each side
    assert {step.stopped for step in steps} <= {"", "shrinkage", "gap"}
    assert all(
        set(step.scores) == {"score", "overlap", "area_ratio"} for step in steps if step.mask.size
    )
    # nearest planes first, on both sides in turn
    assert [step.index for step in steps[:6]] == [19, 21, 18, 22, 17, 23]


@pytest.mark.parametrize("at", [10, 31])
def test_a_sphere_is_followed_from_beside_its_middle(at: int) -> None:
    truth = sphere(16)
    inside = stack_of(run(Seer(truth), truth, at), truth, at)
    assert np.count_nonzero(inside) >= 0.98 * truth.sum()


def test_a_cylinder_that_ends_stops_the_walk() -> None:
    truth = cylinder(2, 8)
    steps = run(Seer(truth), truth, 5)
    np.testing.assert_array_equal(stack_of(steps, truth, 5), truth == 1)
    ends = [step for step in steps if not step.accepted]
    assert [(step.index, step.stopped) for step in ends] == [(1, "gap"), (9, "gap")]
    assert all(step.mask.size == 0 and step.scores == {} for step in ends)


def test_the_end_of_the_stack_is_no_stop() -> None:
    truth = cylinder(0, 11)
    steps = run(Seer(truth), truth, 3)
    assert all(step.accepted for step in steps)
    assert sorted(step.index for step in steps) == [0, 1, 2, *range(4, 12)]


def test_one_direction_only() -> None:
    truth = cylinder(0, 11)
    assert [s.index for s in run(Seer(truth), truth, 9, direction=(1,))] == [10, 11]
    assert [s.index for s in run(Seer(truth), truth, 2, direction=[-1])] == [1, 0]


def test_a_part_of_the_stack_only() -> None:
    truth = cylinder(0, 11)
    seer = Seer(truth)
    steps = run(seer, truth, 5, between=(3, 7), known={1: truth[1] == 1, 10: truth[10] == 1})
    assert [(s.index, s.stopped) for s in steps] == [(4, ""), (6, ""), (3, ""), (7, "")]
    assert sorted(seer.asked) == [3, 4, 6, 7]
    assert len(run(seer, truth, 5, between=(-5, 50))) == 11
    gone = np.zeros(SHAPE, bool)
    known = {9: truth[9] == 1, 11: truth[11] == 1}
    after = propagate_from(seer, gone, 7, 12, start=4, between=(0, 8), known=known)
    assert list(after) == []


def test_a_missing_plane_is_bridged() -> None:
    truth = cylinder(0, 11)
    seer = Seer(truth, {7: lambda mask: None, 3: lambda mask: answered(np.zeros_like(mask))})
    steps = run(seer, truth, 5)
    assert sorted(step.index for step in steps) == [0, 1, 2, 4, 6, 8, 9, 10, 11]
    assert all(step.accepted for step in steps)


def test_a_gap_that_is_too_long_stops() -> None:
    truth = cylinder(0, 11)
    seer = Seer(truth, {7: lambda mask: None, 8: lambda mask: None})
    steps = run(seer, truth, 5, direction=(1,))
    assert [(s.index, s.stopped) for s in steps] == [(6, ""), (7, "gap")]
    longer = run(seer, truth, 5, direction=(1,), rule=StopRule(max_gap=2))
    assert [(s.index, s.stopped) for s in longer] == [(6, ""), (9, ""), (10, ""), (11, "")]
    none = run(seer, truth, 5, direction=(1,), rule=StopRule(max_gap=0))
    assert none[-1].index == 7
    assert none[-1].stopped == "gap"


def test_a_mask_of_which_the_model_is_not_sure_stops() -> None:
    truth = cylinder(0, 11)
    seer = Seer(truth, {8: lambda mask: answered(mask, score=0.3)})
    last = run(seer, truth, 5, direction=(1,))[-1]
    assert (last.index, last.stopped) == (8, "score")
    assert last.scores["score"] == pytest.approx(0.3)
    assert np.count_nonzero(last.mask) == np.count_nonzero(truth[8])  # shown for review
    assert run(seer, truth, 5, direction=(1,), rule=StopRule(min_score=0.2))[-1].index == 11
    lost = Seer(truth, {8: lambda mask: answered(mask, score=np.nan)})
    assert run(lost, truth, 5, direction=(1,))[-1].stopped == "score"


def test_a_mask_beside_the_one_before_stops() -> None:
    truth = discs(*[(1, 20, 20, 8)] * 3, *[(2, 20, 29, 8)] * 3)
    steps = run(Seer(truth), truth, 0)
    assert (steps[-1].index, steps[-1].stopped) == (3, "overlap")
    assert steps[-1].scores["overlap"] < 0.5


def test_a_mask_that_swells_stops() -> None:
    truth = discs(*[(1, 32, 40, 9)] * 3, *[(1, 32, 40, 15)] * 3)
    steps = run(Seer(truth), truth, 0)
    assert (steps[-1].index, steps[-1].stopped) == (3, "growth")
    assert steps[-1].scores["area_ratio"] > 2


def test_a_mask_that_collapses_stops() -> None:
    truth = discs(*[(1, 32, 40, 16)] * 3, *[(1, 32, 40, 5)] * 3)
    steps = run(Seer(truth), truth, 0)
    assert (steps[-1].index, steps[-1].stopped) == (3, "shrinkage")


@pytest.mark.parametrize("holes", [False, True])
def test_a_flood_stops_whatever_the_limits(holes: bool) -> None:
    truth = cylinder(0, 11, radius=25)

    def flooded(mask: Mask) -> Answer:
        out = np.ones_like(mask)
        out[10:20, 10:20] = not holes
        return answered(out, score=0.99)

    loose = StopRule(min_score=0, min_overlap=0, max_growth=1e6, min_shrink=0, max_total=1e6)
    steps = run(Seer(truth, {7: flooded}), truth, 5, direction=(1,), rule=loose)
    assert [(s.index, s.stopped) for s in steps] == [(6, ""), (7, "flood")]


def test_slow_growth_ends_too() -> None:
    truth = discs(*((1, 32, 40, 3 * 1.15**k) for k in range(20)))
    steps = run(Seer(truth), truth, 0)
    assert steps[-1].stopped == "growth"
    assert steps[-1].scores["area_ratio"] < 2
    assert np.count_nonzero(steps[-2].mask) <= 20 * truth[0].sum()


@given(st.integers(0, 2**31), st.floats(1, 9), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_whatever_is_answered_nothing_runs_away(seed: int, z: float, gap: int) -> None:
    rng = np.random.default_rng(seed)
    truth = cylinder(0, 29, planes=30)
    rule = StopRule(max_gap=gap)
    asked: list[int] = []

    def anything(index: int, prompt: Prompt) -> Answer | None:
        asked.append(index)
        if rng.random() < 0.2:
            return None
        low, high = np.sort(rng.integers(0, 80, 2)), np.sort(rng.integers(0, 64, 2))
        mask = np.zeros(SHAPE, bool)
        mask[high[0] : high[1], low[0] : low[1]] = rng.random() < 0.9
        return answered(mask, score=rng.random() + 0.2)

    steps = list(propagate(anything, truth[9] == 1, 9, 30, spacing=(z, 1, 1), rule=rule))
    for side in (-1, 1):
        mine = [step for step in steps if (step.index - 9) * side > 0]
        assert [step.accepted for step in mine[:-1]] == [True] * (len(mine) - 1)
        indices = [9, *(step.index for step in mine if step.accepted)]
        assert all(1 <= (b - a) * side <= gap + 1 for a, b in pairwise(indices))
    for step in steps:
        assert step.stopped == "" or step.stopped in REASONS
        if step.accepted:
            assert np.count_nonzero(step.mask) <= 20 * truth[9].sum()
            assert step.scores["score"] >= rule.min_score
    assert len(asked) <= 2 * 29  # no plane more than twice


def test_touching_cells_stay_apart() -> None:
    truth = discs(*[(1, 32, 30, 10)] * 9)
    truth[discs(*[(1, 32, 49, 9)] * 9) > 0] = 2
    np.testing.assert_array_equal(stack_of(run(Seer(truth), truth, 4), truth, 4), truth == 1)


def test_a_neighbour_that_the_model_takes_in_is_kept_out_where_it_is_locked() -> None:
    truth = discs(*[(1, 32, 30, 10)] * 9)
    truth[discs(*[(1, 32, 49, 9)] * 9) > 0] = 2

    def both(index: int, prompt: Prompt) -> Answer:
        return answered(truth[index] > 0)

    steps = run(both, truth, 4, blocked=lambda index: truth[index] == 2)
    np.testing.assert_array_equal(stack_of(steps, truth, 4), truth == 1)
    free = run(both, truth, 4, blocked=lambda index: None)
    assert (stack_of(free, truth, 4) & (truth == 2)).any()


def test_a_place_that_is_taken_stops() -> None:
    truth = cylinder(0, 11)
    steps = run(
        Seer(truth), truth, 5, direction=(1,),
        blocked=lambda index: (truth[index] == 1) if index == 7 else None,
    )  # fmt: skip
    assert [(s.index, s.stopped) for s in steps] == [(6, ""), (7, "blocked")]


def test_both_branches_are_followed() -> None:
    truth = discs(*[(1, 32, 40, 14)] * 10)
    for index in range(4, 10):  # a fork: the stem opens towards plane 9
        truth[index][:, 40 - (index - 3) : 40 + (index - 3) + 1] = 0
    steps = run(Seer(truth), truth, 0)
    np.testing.assert_array_equal(stack_of(steps, truth, 0), truth == 1)


def test_specks_apart_from_the_object_are_dropped() -> None:
    truth = cylinder(0, 5, planes=6)

    def specked(mask: Mask) -> Answer:
        out = mask.copy()
        out[1:3, 1:3] = True
        return answered(out)

    steps = run(Seer(truth, dict.fromkeys(range(6), specked)), truth, 2)
    np.testing.assert_array_equal(stack_of(steps, truth, 2), truth == 1)


def test_coarse_planes_may_change_more() -> None:
    truth = sphere(20, step=8, planes=7)
    fine = run(Seer(truth), truth, 3, rule=StopRule(max_growth=1.3, min_shrink=0.6))
    coarse = run(
        Seer(truth), truth, 3, spacing=(4, 0.5, 0.5), rule=StopRule(max_growth=1.3, min_shrink=0.6)
    )
    np.testing.assert_array_equal(stack_of(coarse, truth, 3), truth == 1)
    assert "shrinkage" in {step.stopped for step in fine}
    # and not without end: a jump is one however far planes lie apart
    jump = discs((1, 20, 20, 8), (2, 20, 36, 8), (2, 20, 36, 8))

    def other(index: int, prompt: Prompt) -> Answer:
        return answered(jump[index] == 2)

    assert run(other, jump, 0, spacing=(9, 1, 1))[0].stopped == "overlap"


def test_the_box_is_a_little_larger_than_the_mask_and_within_the_plane() -> None:
    truth = cylinder(0, 2, planes=3, radius=9)
    seer = Seer(truth)
    run(seer, truth, 0)
    assert seer.prompts[0].box == (21.5, 29.5, 42.5, 50.5)  # rows 23 … 41, and one more
    np.testing.assert_array_equal(seer.prompts[0].mask, truth[0] == 1)
    corner = discs(*[(1, 0, 0, 5)] * 2)
    seer = Seer(corner)
    run(seer, corner, 0)
    assert seer.prompts[0].box == (-0.5, -0.5, 6.5, 6.5)


def test_a_refused_mask_is_asked_for_again_by_its_deepest_point() -> None:
    truth = cylinder(0, 2, planes=3)

    def answer(index: int, prompt: Prompt) -> Answer:
        return answered(truth[index] == 1, score=0.9 if len(prompt.points) else 0.1)

    steps = run(answer, truth, 0)
    assert [s.accepted for s in steps] == [True, True]
    point = Seer(truth, {1: lambda mask: answered(mask, score=0.1)})
    run(point, truth, 0)
    assert point.prompts[1].points.tolist() == [[32, 40]]
    assert point.prompts[1].mask is None


@pytest.mark.parametrize(
    ("able", "kinds"),
    [
        (Capabilities(mask=False), ["box", "box point"]),
        (Capabilities(mask=False, points=False), ["box"]),
        (Capabilities(box=False), ["mask", "point"]),
        (Capabilities(box=False, mask=False), ["point"]),
        (Capabilities(), ["box mask", "box point"]),
    ],
)
def test_only_prompts_that_the_model_takes_are_used(able: Capabilities, kinds: list[str]) -> None:
    truth = cylinder(0, 1, planes=2)
    seen = []

    def refuse(index: int, prompt: Prompt) -> Answer:
        parts = {"box": prompt.box, "mask": prompt.mask, "point": len(prompt.points) or None}
        seen.append(" ".join(name for name, part in parts.items() if part is not None))
        return answered(truth[index] == 1, score=0)

    assert run(refuse, truth, 0, capabilities=able)[-1].stopped == "score"
    assert seen == kinds


def test_the_first_candidate_that_fits_is_taken() -> None:
    truth = cylinder(0, 1, planes=2)
    wide = np.ones(SHAPE, bool)

    def three(index: int, prompt: Prompt) -> Answer:
        return answered(wide, truth[index] == 1, wide)

    (step,) = run(three, truth, 0)
    assert step.accepted
    assert np.count_nonzero(step.mask) == truth[1].sum()


def test_a_real_predictor_takes_the_prompts(
    small_sam: Predictor, small_embedding: Embedding
) -> None:
    start = np.zeros(small_embedding.shape, bool)
    start[40:70, 60:100] = True
    rule = StopRule(min_score=-np.inf, min_overlap=0, max_growth=1e6, min_shrink=0, max_total=1e6)
    asked = []

    def answer(index: int, prompt: Prompt) -> Answer:
        asked.append(index)
        return small_sam.decode(small_embedding, prompt)

    steps = list(propagate(answer, start, 1, 3, rule=rule))
    assert set(asked) == {0, 2}
    for step in steps:  # its weights are noise: what it finds is not known, only what form it has
        rows, cols = step.region
        assert step.mask.shape == (rows.stop - rows.start, cols.stop - cols.start)
        assert step.stopped in ("", "flood", "gap")


def test_corrected_planes_are_passed_on_and_prompt_the_next() -> None:
    truth = cylinder(0, 11)
    drawn = discs(*[(1, 32, 40, 7)] * 12) == 1
    seer = Seer(truth)
    steps = run(seer, truth, 2, direction=(1,), known={5: drawn[5]})
    assert 5 not in seer.asked
    (mine,) = [step for step in steps if step.index == 5]
    assert mine.given
    assert mine.accepted
    np.testing.assert_array_equal(whole((mine.region, mine.mask), SHAPE), drawn[5])
    np.testing.assert_array_equal(seer.prompts[seer.asked.index(6)].mask, drawn[5])
    assert not any(step.given for step in steps if step.index != 5)


def test_a_walk_that_ended_goes_on_at_a_corrected_plane() -> None:
    truth = cylinder(0, 11)
    truth[5:8] = 0
    seer = Seer(truth)
    drawn = cylinder(0, 11) == 1
    steps = run(seer, truth, 2, direction=(1,), known={9: drawn[9]})
    assert [(s.index, s.stopped) for s in steps] == [
        (3, ""), (4, ""), (5, "gap"), (9, ""), (10, ""), (11, ""),
    ]  # fmt: skip
    assert 8 not in seer.asked


def test_a_plane_emptied_by_hand_ends_the_object() -> None:
    truth = cylinder(0, 11)
    nothing = np.zeros(SHAPE, bool)
    steps = run(Seer(truth), truth, 2, direction=(1,), known={5: nothing})
    assert [(s.index, s.stopped) for s in steps] == [(3, ""), (4, ""), (5, "given")]
    again = run(Seer(truth), truth, 2, direction=(1,), known={5: nothing, 8: truth[8] == 1})
    assert [s.index for s in again] == [3, 4, 5, 8, 9, 10, 11]


def test_only_planes_beyond_a_correction_are_computed_again() -> None:
    truth = cylinder(0, 11)
    drawn = truth[7] == 1
    seer = Seer(truth)
    steps = list(propagate_from(seer, drawn, 7, 12, start=4, known={9: drawn, 2: drawn}))
    assert [s.index for s in steps] == [8, 9, 10, 11]
    assert sorted(set(seer.asked)) == [8, 10, 11]
    down = list(propagate_from(Seer(truth), drawn, 3, 12, start=4))
    assert [s.index for s in down] == [2, 1, 0]
    both = list(propagate_from(Seer(truth), drawn, 4, 12, start=4))
    assert {s.index for s in both} == set(range(12)) - {4}


def test_an_emptied_plane_is_where_a_correction_ends() -> None:
    truth = cylinder(0, 11)
    nothing = np.zeros(SHAPE, bool)
    assert list(propagate_from(Seer(truth), nothing, 7, 12, start=4)) == []
    known = {9: truth[9] == 1}
    steps = list(propagate_from(Seer(truth), nothing, 7, 12, start=4, known=known))
    assert [s.index for s in steps] == [9, 10, 11]


def test_a_walk_can_be_cancelled() -> None:
    truth = cylinder(0, 11)
    cancel = threading.Event()
    walk = propagate(Seer(truth), truth[5] == 1, 5, 12, cancel=cancel)
    assert next(walk).index == 4
    cancel.set()
    with pytest.raises(Cancelled, match="planes found so far stand"):
        next(walk)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start_mask": np.zeros(SHAPE, bool)}, "is empty"),
        ({"start_mask": np.zeros(SHAPE)}, "must be bool"),
        ({"start_index": 12}, "does not exist"),
        ({"start_index": -1}, "does not exist"),
        ({"direction": (1, 2)}, "must be -1, \\+1 or both"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"known": {3: np.ones((2, 2), bool)}}, "that of the start"),
        ({"known": {12: np.ones(SHAPE, bool)}}, "does not exist"),
        ({"blocked": lambda index: np.ones((2, 2), bool)}, "blocked in plane 4"),
        ({"answer": lambda index, prompt: answered(np.ones((9, 9), bool))}, "must be alike"),
    ],
)
def test_what_does_not_fit_is_said(options: dict[str, Any], words: str) -> None:
    truth = cylinder(0, 11)
    arguments = {
        "answer": Seer(truth), "start_mask": truth[5] == 1, "start_index": 5, "count": 12,
    } | options  # fmt: skip
    with pytest.raises(InputError, match=words):
        list(propagate(**arguments))


@pytest.mark.parametrize(
    "limits",
    [{"min_score": 1.5}, {"min_overlap": -0.1}, {"max_growth": 0.5}, {"min_shrink": 2},
     {"max_gap": -1}, {"max_total": np.inf}, {"min_overlap": np.nan}, {"min_score": np.nan}],
)  # fmt: skip
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(limits))):
        StopRule(**limits)  # type: ignore[arg-type]
