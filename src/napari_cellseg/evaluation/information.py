"""Scores of the whole partition: variation of information and the adapted Rand error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.evaluation.contingency import Contingency


def variation_of_information(table: Contingency) -> dict[str, float]:
    """Conditional entropies of the two partitions, in bits; background is one more segment.

    Returns
    -------
    dict
        ``split``: H(predicted | truth), what over-segmentation costs; ``merge``:
        H(truth | predicted), what under-segmentation costs; ``total``: their sum.

    References
    ----------
    M. Meilă, "Comparing clusterings: an information based distance", Journal of Multivariate
    Analysis 98 (2007).
    """
    overlap = table.overlap
    total = float(overlap.sum())
    truth = _marginal(table.truth, overlap)
    predicted = _marginal(table.predicted, overlap)
    split = -float((overlap * np.log2(overlap / truth)).sum()) / total
    merge = -float((overlap * np.log2(overlap / predicted)).sum()) / total
    # Rounding may leave -0.0 where the partitions agree.
    return {"split": abs(split), "merge": abs(merge), "total": abs(split) + abs(merge)}


def adapted_rand(table: Contingency) -> dict[str, float]:
    """Adapted Rand error, precision and recall over the voxels that truth labels.

    Where one side has no pair of voxels to judge, its precision or recall is 1 if the other
    has none either, else 0.

    References
    ----------
    I. Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for
    connectomics", Frontiers in Neuroanatomy 9 (2015).
    """
    cell = table.truth >= 0
    overlap = table.overlap[cell]
    together = _pairs(overlap)
    true_pairs = _pairs(_sums(table.truth[cell], overlap))
    predicted_pairs = _pairs(_sums(table.predicted[cell] + 1, overlap))

    def ratio(of: float, among: float) -> float:
        return of / among if among else float(true_pairs == predicted_pairs == 0)

    # The names follow scikit-image, whose precision divides by the pairs of truth.
    return {
        "error": 1.0 - ratio(2 * together, true_pairs + predicted_pairs),
        "precision": ratio(together, true_pairs),
        "recall": ratio(together, predicted_pairs),
    }


def _marginal(rows: NDArray[np.int64], overlap: NDArray[np.int64]) -> NDArray[np.float64]:
    """Size of the segment that each pair lies in."""
    return _sums(rows + 1, overlap)[rows + 1]


def _sums(rows: NDArray[np.int64], overlap: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.bincount(rows, weights=overlap).astype(np.float64)


def _pairs(sizes: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """Number of ordered voxel pairs within segments of these sizes."""
    exact = sizes.astype(np.float64)
    return float((exact * exact).sum() - exact.sum())
