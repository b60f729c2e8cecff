"""From MEDIAR's flows to labels: its authors' labels of a fixture."""

from typing import Any

import numpy as np
import pytest

import napari_cellseg as nc
from networks.conftest import parity_arrays

SPACING = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def fixture() -> tuple[dict[str, Any], dict[str, Any]]:
    return parity_arrays("mediar_post")


@pytest.fixture(scope="module")
def field(fixture: tuple[dict[str, Any], dict[str, Any]]) -> nc.FlowField:
    return nc.FlowField(fixture[0]["flow"] / 5, fixture[0]["logit"], SPACING)


def overlaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """IoU of each of their labels with the best of ours."""
    found = []
    for number in np.unique(theirs)[1:]:
        mask = theirs == number
        best = np.bincount(ours[mask]).argmax()
        both = (mask & (ours == best)).sum() if best else 0
        found.append(both / (mask | (ours == best)).sum())
    return np.array(found)


def test_every_other_label_is_the_authors(
    fixture: tuple[dict[str, Any], ...], field: nc.FlowField
) -> None:
    expected = fixture[1]["mask"]
    labels = nc.instances(field, probability=0.5, flow_error=0.4)
    # 23 lies beside the cell whose flow is wrong on purpose
    others = np.where(expected == 23, 0, expected)
    assert overlaps(labels, others).min() > 0.97
    assert (labels[others > 0] > 0).mean() >= 0.995
    wrong = (expected == 0) & (fixture[1]["mask_noflowcheck"] > 0)
    assert (labels[wrong] > 0).mean() < 0.1


def test_labels_are_the_authors(fixture: tuple[dict[str, Any], ...], field: nc.FlowField) -> None:
    expected = fixture[1]["mask"]
    labels = nc.instances(field, probability=0.5, flow_error=0.4)
    assert labels.max() == 25
    assert ((labels > 0) == (expected > 0)).mean() >= 0.995
    assert np.sort(overlaps(labels, expected))[1:].min() > 0.97


def test_without_the_check(fixture: tuple[dict[str, Any], ...], field: nc.FlowField) -> None:
    expected = fixture[1]["mask_noflowcheck"]
    labels = nc.instances(field, probability=0.5)
    assert ((labels > 0) == (expected > 0)).mean() >= 0.995
    # the cell whose flow is wrong is in pieces: theirs are not ours
    right = [n for n in np.unique(expected)[1:] if not np.isin(n, (23, 25, 26, 28))]
    assert overlaps(labels, np.where(np.isin(expected, right), expected, 0)).min() > 0.97
    assert 26 <= labels.max() <= 28


def test_flow_length_and_threshold_matter(fixture: tuple[dict[str, Any], ...]) -> None:
    flow, logit = fixture[0]["flow"], fixture[0]["logit"]
    wrong = nc.FlowField(flow, logit, SPACING)  # not divided by 5: beyond the length of any flow
    assert nc.instances(wrong, flow_error=0.4).max() == 0
    swapped = nc.FlowField(flow[::-1] / 5, logit, SPACING)
    assert nc.instances(swapped, flow_error=0.4).max() <= 1
    # a threshold on the logit, not on the probability, loses every fifth cell
    above = 1 / (1 + np.exp(-0.5))
    few = nc.instances(nc.FlowField(flow / 5, logit, SPACING), above, flow_error=0.4)
    assert few.max() < 21


def test_where_upstream_stumbles(fixture: tuple[dict[str, Any], ...], field: nc.FlowField) -> None:
    empty = nc.FlowField(fixture[0]["flow"] / 5, np.full((200, 260), -5.0), SPACING)
    assert not nc.instances(empty, flow_error=0.4).any()
    # nothing is without any error; an error that cannot be exceeded drops nothing
    assert not nc.instances(field, flow_error=0.0).any()
    np.testing.assert_array_equal(nc.instances(field, flow_error=4.0), nc.instances(field))
