"""Exact intervals of a share, from a random sample without replacement or from endless space."""

from __future__ import annotations

import numpy as np

from napari_cellseg.errors import InputError


def count_bounds(wrong: int, checked: int, population: int, tail: float) -> tuple[int, int]:
    """How many of a finite population are wrong, by a sample without replacement.

    Parameters
    ----------
    wrong, checked : int
        Of the sample.
    population : int
    tail : float
        Chance of missing the true number, on each side.

    Returns
    -------
    low, high : int
        The smallest and the largest number with which the sample is not too unlikely. Equal when
        everything was checked.

    Raises
    ------
    InputError
        If the numbers do not fit each other.

    References
    ----------
    The test of Clopper & Pearson, Biometrika 26, 404-413, 1934, with the hypergeometric
    distribution: Buonaccorsi, The American Statistician 41, 215-218, 1987.
    """
    if not 0 <= wrong <= checked <= population:
        raise InputError(f"{wrong} wrong of {checked} checked of {population} cannot be.")
    from scipy.stats import hypergeom

    possible = np.arange(wrong, population - (checked - wrong) + 1)
    at_least = hypergeom.sf(wrong - 1, population, possible, checked)
    at_most = hypergeom.cdf(wrong, population, possible, checked)
    kept = possible[(at_least > tail) & (at_most > tail)]
    return int(kept.min()), int(kept.max())


def share_bounds(wrong: int, checked: int, tail: float) -> tuple[float, float]:
    """Share that is wrong where there is no end to what can be drawn (Clopper & Pearson).

    Parameters
    ----------
    wrong, checked : int
    tail : float
        Chance of missing the true share, on each side.

    Returns
    -------
    low, high : float

    Raises
    ------
    InputError
        If the numbers do not fit each other.
    """
    if not 0 <= wrong <= checked:
        raise InputError(f"{wrong} wrong of {checked} checked cannot be.")
    if checked == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    found = binomtest(wrong, checked).proportion_ci(1 - 2 * tail, "exact")
    return float(found.low), float(found.high)
