"""The compiled measures, against the same ones put plainly with scipy and numpy."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage as ndi
from scipy.spatial import ConvexHull

from napari_cellseg.flows import fused_label_flows, label_flows
from napari_cellseg.labels.review.contact import mean, surface_of
from napari_cellseg.labels.review.doubt import NAMES
from napari_cellseg.labels.review.evidence import Frame
from napari_cellseg.labels.review.flow_numbers import flow_numbers
from napari_cellseg.labels.review.score import WORDS, whys
from napari_cellseg.labels.review.shape import (
    deepest,
    elongation,
    hull,
    neck,
    plane_numbers,
    stray_share,
)
from review_scene import cells, evidence_of

LEVELS = np.linspace(0.3, 0.9, 7)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
SPACINGS = st.sampled_from([(1.0, 1.0, 1.0), (2.0, 0.5, 0.5), (0.29, 0.26, 0.26), (1.3, 0.7, 0.9)])


@st.composite
def masks(draw) -> np.ndarray:
    """Noise, or blobs of it, with one voxel at least; 2D or 3D."""
    ndim = draw(st.sampled_from([2, 3]))
    shape = draw(st.tuples(*[st.integers(1, 9)] * ndim))
    if draw(st.booleans()):
        mask = draw(arrays(np.bool_, shape, fill=st.just(False)))
    else:
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        noise = ndi.gaussian_filter(rng.normal(size=[n + 6 for n in shape]), 1.2)
        mask = noise > np.quantile(noise, draw(st.sampled_from([0.3, 0.6, 0.8])))
    mask[tuple(draw(st.integers(0, n - 1)) for n in mask.shape)] = True
    return mask


@QUICK
@given(mask=masks(), spacing=SPACINGS)
def test_the_hull_is_that_of_all_corners(mask: np.ndarray, spacing):
    steps = np.array(spacing[3 - mask.ndim :])
    places = np.argwhere(mask)
    corners = np.stack(np.meshgrid(*[[0, 1]] * mask.ndim), -1).reshape(-1, mask.ndim)
    points = np.unique((places[:, None] + corners).reshape(-1, mask.ndim), axis=0)
    wanted = ConvexHull(points * steps)
    assert hull(mask, steps) == pytest.approx((wanted.volume, wanted.area), rel=1e-9)


@QUICK
@given(mask=masks(), spacing=SPACINGS)
def test_lobes_pieces_and_moments_are_those_of_scipy(mask: np.ndarray, spacing):
    steps = np.array(spacing[3 - mask.ndim :])
    distance = ndi.distance_transform_edt(np.pad(mask, 1), sampling=steps)
    top = distance.max()
    assert deepest(mask, steps) == pytest.approx(top, rel=1e-12)
    best = 0.0
    for level in LEVELS * top:
        pieces, count = ndi.label(distance > level)
        if count > 1:
            peaks = np.sort(ndi.maximum(distance, pieces, np.arange(1, count + 1)))
            best = max(best, (peaks[-2] - level - 0.5 * steps.min()) / top)
    assert neck(mask, steps) == pytest.approx(best, abs=1e-12)
    pieces, _ = ndi.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(pieces.ravel())[1:]
    assert stray_share(mask) == pytest.approx(1 - sizes.max() / sizes.sum(), abs=1e-12)
    points = np.argwhere(mask) * steps
    if len(points) >= 2 * mask.ndim:
        spread = np.cov(points.T) + np.diag(steps**2 / 12)
        values = np.sort(np.linalg.eigvalsh(spread))
        wanted = 0.5 * np.log(values[-1] / values[-2])
        assert elongation(mask, steps) == pytest.approx(wanted, abs=1e-9)


@QUICK
@given(mask=masks(), spacing=SPACINGS)
def test_planes_are_those_of_numpy(mask: np.ndarray, spacing):
    if mask.ndim == 2 or len(mask) < 2:
        return
    found = plane_numbers(mask, np.array(spacing))
    areas = mask.sum((1, 2)).astype(float)
    solid = areas > areas.max() / 3
    steps = [(0.0, 0.0)]
    for z in range(len(mask) - 1):
        if solid[z] and solid[z + 1]:
            middles = [np.argwhere(mask[k]).mean(0) * spacing[1:] for k in (z, z + 1)]
            jump = abs(np.log(areas[z + 1] / areas[z]))
            steps.append((jump, float(np.linalg.norm(middles[1] - middles[0]))))
    radius = np.sqrt(areas.max() * spacing[1] * spacing[2] / np.pi)
    jumps, drifts = zip(*steps, strict=True)
    assert found["area_jump"] == pytest.approx(max(jumps), abs=1e-9)
    assert found["drift"] == pytest.approx(max(drifts) / radius, abs=1e-9)
    assert found["gaps"] == pytest.approx((areas == 0).mean(), abs=1e-12)


@QUICK
@given(
    labels=arrays(np.uint32, st.sampled_from([(6, 7), (4, 5, 6)]), elements=st.integers(0, 20)),
    spacing=SPACINGS,
    seed=st.integers(0, 99),
)
def test_the_surface_face_by_face(labels: np.ndarray, spacing, seed: int):
    labels.flat[seed % labels.size] = 5
    steps = np.array(spacing[3 - labels.ndim :])
    values = np.random.default_rng(seed).normal(size=labels.shape).astype(np.float32)
    areas: dict[int, float] = {}
    sides: dict[int, list] = {}
    for place in np.argwhere(labels == 5):
        for axis in range(labels.ndim):
            for way in (-1, 1):
                near = place.copy()
                near[axis] += way
                if not 0 <= near[axis] < labels.shape[axis] or labels[tuple(near)] == 5:
                    continue
                other = int(labels[tuple(near)])
                areas[other] = areas.get(other, 0.0) + np.prod(steps) / steps[axis]
                sides.setdefault(other, []).append((values[tuple(place)], values[tuple(near)]))
    found = surface_of(labels, 5, steps, (values,))
    assert found.area == pytest.approx(sum(areas.values()))
    touched = {other: area for other, area in areas.items() if other}
    if touched:
        most = max(touched.values())
        assert touched[found.neighbour] == pytest.approx(most)
        assert found.share == pytest.approx(most / found.area)
        assert found.between == (pytest.approx(np.mean(sides[found.neighbour]), abs=1e-5),)
    else:
        assert (found.neighbour, found.share) == (0, 0.0)
    if 0 in sides:
        inside, outside = np.mean(sides[0], 0)
        assert found.inside == (pytest.approx(inside, abs=1e-5),)
        assert found.outside == (pytest.approx(outside, abs=1e-5),)


@pytest.mark.parametrize("shape", [(64, 64), (24, 40, 40)])
def test_the_numbers_of_a_flow(shape):
    truth = cells(shape, 12 if len(shape) == 3 else 16, 5.0)
    truth[truth == 2] = 1  # two sinks
    evidence = evidence_of(truth)
    frame = Frame(truth, evidence, 0)
    field, held = frame.field, frame.integration
    for number in np.unique(truth)[1:6].tolist():
        box = ndi.find_objects((truth == number).astype(np.int8))[0]
        own = truth[box] == number
        found = flow_numbers(frame, number, box, own)
        make = label_flows if own.ndim == 2 else fused_label_flows
        wanted = make(own.astype(np.int32), frame.spacing.tolist(), threads=1)
        error = ((field.flow[(slice(None), *box)] - wanted)[:, own] ** 2).sum(0).mean()
        assert found["flow_error"] == pytest.approx(float(error), rel=1e-6)
        flat = np.flatnonzero(truth == number)
        at = np.flatnonzero(np.isin(held.voxels, flat))
        ends = held.voxels[held.terminal[at]]
        assert found["leaves"] == pytest.approx((truth.flat[ends] != number).mean())
        place = np.stack(np.unravel_index(ends[truth.flat[ends] == number], shape), -1)
        size = own.sum()
        radius = np.sqrt(size / np.pi) if own.ndim == 2 else np.cbrt(size * 0.75 / np.pi)
        left, shares = place, []
        for _ in range(2):
            if len(left):
                spots, count = np.unique(left, axis=0, return_counts=True)
                near = ((left - spots[count.argmax()]) ** 2).sum(1) <= max(0.35 * radius, 2) ** 2
                shares.append(near.sum() / len(place))
                left = left[~near]
        assert found["sinks"] == pytest.approx(shares[1] if len(shares) > 1 else 0.0)
        assert (found["sinks"] > 0.2) == (number == 1)


def test_means_are_those_of_numpy():
    values = np.random.default_rng(0).normal(3, 1, 12345).astype(np.float32)
    assert [mean(values[:n]) for n in (1, 7, 200, 12345)] == [
        float(values[:n].mean()) for n in (1, 7, 200, 12345)
    ]
    assert np.isnan(mean(values[:0]))


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_strongest_reasons_are_named(seed: int):
    rng = np.random.default_rng(seed)
    added = rng.exponential(0.3, (6, len(NAMES) + 1)) * (rng.random((6, len(NAMES) + 1)) < 0.2)
    added[:, -1] = 0
    for row, words in zip(added, whys(added, planar=False), strict=True):
        order = np.argsort(-row, kind="stable")[:3]
        told = [WORDS[NAMES[k]] for k in order if row[k] >= max(0.3, 0.25 * row.max())]
        assert list(words) == told
