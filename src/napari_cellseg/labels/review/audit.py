"""A random audit: how much is still wrong, with an exact interval, and whether to stop.

Uniform random objects, places where a cell may be missing, and voxels of unlabelled space are
shown; the user says right or wrong. Nothing of the ranking is believed: what was accepted in the
queue is drawn like anything else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_cellseg.errors import InputError
from napari_cellseg.labels.review.intervals import count_bounds, share_bounds
from napari_cellseg.labels.review.item import ItemKey

if TYPE_CHECKING:
    from numpy.typing import NDArray

Stratum = Literal["object", "missing", "space"]
FINITE: tuple[Stratum, ...] = ("object", "missing")
_TRIES = 1000  # random voxels looked at for an unlabelled one
_VERSION = 1


@dataclass(frozen=True)
class Estimate:
    """A share that is wrong, with its interval.

    Attributes
    ----------
    checked, wrong, corrected : int
        Answers; those that said wrong; those of them that were put right since.
    population : int or None
        How many there are; None for voxels of space.
    rate, low, high : float
        Share that is wrong *now*, and the ends of the interval; 0, 0, 1 before any answer.
    """

    checked: int
    wrong: int
    corrected: int
    population: int | None
    rate: float
    low: float
    high: float


class Audit:
    """Draws what to check, keeps the answers, estimates, and says when to stop.

    Parameters
    ----------
    items : iterable of item keys
        `ReviewItem.key` of every object and place at the start: the population. Objects that are
        made later were made by the user, and are not drawn.
    seed : int
        The same seed draws the same items in the same order.
    accepted : float
        Share of wrong ones that is good enough.
    confidence : float
        Of intervals, and of the promise to stop.

    Raises
    ------
    InputError
        If a share is not between 0 and 1.

    Notes
    -----
    Looking at the interval after every answer and stopping when it suits would break its promise.
    So there are planned looks: the first after as many answers as suffice if all are right, each
    later one after twice as many; look k may err with half the chance of look k - 1, and all
    together with 1 - `confidence` at most.
    """

    def __init__(
        self,
        items: Collection[ItemKey],
        seed: int = 0,
        accepted: float = 0.05,
        confidence: float = 0.95,
    ) -> None:
        if not (0 < accepted < 1 and 0 < confidence < 1):
            raise InputError(
                f"The accepted share ({accepted}) and the confidence ({confidence}) must be "
                "between 0 and 1."
            )
        self.seed, self.accepted, self.confidence = seed, accepted, confidence
        self._order: dict[str, list[ItemKey]] = {}
        for place, stratum in enumerate(FINITE):
            keys = sorted({tuple(key) for key in items if key[0] == stratum})
            shuffled = np.random.default_rng([seed, place]).permutation(len(keys))
            self._order[stratum] = [keys[index] for index in shuffled]
        self._answers: dict[ItemKey, bool] = {}  # in the order given
        self._corrected: set[ItemKey] = set()
        self._gone: set[ItemKey] = set()

    def draw(self, stratum: Stratum = "object") -> ItemKey | None:
        """The next object or place to check; None when all were.

        What is drawn must be answered: a sample from which the hard cases are left out says
        nothing.
        """
        for key in self._order[stratum]:
            if key not in self._answers and key not in self._gone:
                return key
        return None

    def draw_space(self, labels: NDArray[np.integer], timed: bool = False) -> ItemKey | None:
        """A uniform random voxel of unlabelled space; None where hardly any is left.

        Parameters
        ----------
        labels : array of int, ([t,] [z,] y, x)
        timed : bool
            Whether the first axis is time.

        Returns
        -------
        tuple or None
            ``("space", t, z, y, x)``.
        """
        count = sum(key[0] == "space" for key in self._answers)
        # by the number of answers, so that a reopened audit goes on as if it had never stopped
        rng = np.random.default_rng([self.seed, len(FINITE), count])
        for _ in range(_TRIES):
            voxel = [int(rng.integers(n)) for n in labels.shape]
            if labels[tuple(voxel)] == 0:
                time, space = (voxel[:1], voxel[1:]) if timed else ([0], voxel)
                return ("space", *time, *[0] * (3 - len(space)), *space)
        return None

    def answer(self, key: ItemKey, wrong: bool) -> None:
        """Keep an answer: the object is wrong, or a cell is missing there.

        Raises
        ------
        InputError
            If the item was never to be drawn.
        """
        key = tuple(key)
        if key[0] != "space" and key not in self._order.get(str(key[0]), ()):
            raise InputError(f"{key} is not an item of this audit.")
        self._answers[key] = bool(wrong)

    def corrected(self, key: ItemKey) -> None:
        """Say that what was answered as wrong is put right now.

        Raises
        ------
        InputError
            If it was not answered as wrong.
        """
        if not self._answers.get(tuple(key), False):
            raise InputError(f"{key} was not found wrong in this audit.")
        self._corrected.add(tuple(key))

    def removed(self, keys: Collection[ItemKey]) -> None:
        """Objects and places that are there no longer; unanswered ones leave the population."""
        self._gone |= {tuple(key) for key in keys}

    def estimate(self, stratum: Stratum = "object") -> Estimate:
        """Share that is wrong now: the sample's estimate less what was corrected of the sample.

        Parameters
        ----------
        stratum : {"object", "missing", "space"}
            Of places the share at which a cell is missing; of space the share of unlabelled
            voxels that lie in a missing cell.
        """
        answers, population = self._sample(stratum)
        tail = (1 - self.confidence) / 2
        checked, wrong = len(answers), sum(answers.values())
        fixed = sum(key in self._corrected for key in answers)
        if population is None:
            low, high = share_bounds(wrong, checked, tail)
            rate = wrong / checked if checked else 0.0
            return Estimate(checked, wrong, fixed, None, rate, low, high)
        if not population:
            return Estimate(0, 0, 0, 0, 0.0, 0.0, 1.0)
        few, many = count_bounds(wrong, checked, population, tail)
        expected = wrong / checked * population if checked else 0.0
        low, rate, high = ((number - fixed) / population for number in (few, expected, many))
        return Estimate(checked, wrong, fixed, population, max(rate, 0.0), max(low, 0.0), high)

    def missing_cells(self, unlabelled: int, usual: float) -> tuple[float, float, float]:
        """How many cells are missing by the voxels of space: number, low, high.

        Parameters
        ----------
        unlabelled : int
            Voxels without a label.
        usual : float
            Voxels of the usual cell.
        """
        found = self.estimate("space")
        rate, low, high = (x * unlabelled / usual for x in (found.rate, found.low, found.high))
        return rate, low, high

    @property
    def looks(self) -> list[int]:
        """After how many answers it may say stop: planned before the first answer."""
        _, population = self._sample("object")
        first = int(np.ceil(np.log((1 - self.confidence) / 2) / np.log1p(-self.accepted)))
        looks = [first]
        while looks[-1] < (population or 0):
            looks.append(2 * looks[-1])
        return [min(look, population or 0) for look in looks]

    def stop(self) -> bool:
        """Whether at most the accepted share of the objects is wrong, with the confidence.

        Objects found wrong count as right once they are corrected.
        """
        answers, population = self._sample("object")
        if not population:
            return False
        given = list(answers.items())
        for number, look in enumerate(self.looks):
            if look > len(given):
                return False
            sample = given[:look]
            wrong = sum(answer for _, answer in sample)
            fixed = sum(key in self._corrected for key, _ in sample)
            tail = (1 - self.confidence) / 2 ** (number + 1)
            _, many = count_bounds(wrong, look, population, tail)
            if (many - fixed) / population <= self.accepted:
                return True
        return False

    def advice(self) -> str:
        """One sentence for the user: stop, or how far to go on."""
        found = self.estimate("object")
        share = f"{self.accepted:.0%}"
        if self.stop():
            return (
                f"Stop: at most {share} of the objects are wrong, with {self.confidence:.0%} "
                f"confidence ({found.checked} checked)."
            )
        if not found.checked:
            return f"Check {self.looks[0]} objects to know whether at most {share} are wrong."
        span = f"{found.low:.1%} to {found.high:.1%}"
        ahead = [look for look in self.looks if look > found.checked]
        if not ahead:
            return f"All objects are checked: {found.rate:.1%} are wrong."
        return (
            f"{found.checked} checked, {span} are wrong with {self.confidence:.0%} confidence; "
            f"go on to {ahead[0]}."
        )

    def state(self) -> dict[str, Any]:
        """What `restored` needs, ready for JSON."""
        return {
            "version": _VERSION,
            "seed": self.seed,
            "accepted": self.accepted,
            "confidence": self.confidence,
            "items": [list(key) for order in self._order.values() for key in order],
            "answers": [[list(key), wrong] for key, wrong in self._answers.items()],
            "corrected": [list(key) for key in sorted(self._corrected)],
            "gone": [list(key) for key in sorted(self._gone)],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Audit:
        """An audit from its state.

        Raises
        ------
        InputError
            If the state is not one of an audit.
        """
        try:
            items: Sequence[Sequence[Any]] = state["items"]
            audit = cls(
                [tuple(key) for key in items], state["seed"], state["accepted"], state["confidence"]
            )
            for key, wrong in state["answers"]:
                audit.answer(tuple(key), wrong)
            audit._corrected = {tuple(key) for key in state["corrected"]}
            audit._gone = {tuple(key) for key in state["gone"]}
        except (KeyError, TypeError) as error:
            raise InputError(f"The stored audit cannot be read: {error!r} is not known.") from error
        return audit

    def _sample(self, stratum: Stratum) -> tuple[dict[ItemKey, bool], int | None]:
        answers = {key: wrong for key, wrong in self._answers.items() if key[0] == stratum}
        if stratum == "space":
            return answers, None
        left = sum(key in answers or key not in self._gone for key in self._order[stratum])
        return answers, left
