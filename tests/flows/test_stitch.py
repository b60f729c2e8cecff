import numpy as np
import pytest
from benchmarks.synthetic import recovered, touching_ellipsoids
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.flows import FlowField, instances, label_field, label_flows
from napari_cellseg.flows.stitch import linked_sections
from napari_cellseg.flows.table import instance_table

COARSE = (5.0, 1.0, 1.0)


def planar_field(labels: np.ndarray, spacing: tuple[float, float, float] = COARSE) -> FlowField:
    """The field of xy planes that a perfect network gives of (z, y, x), or (t, z, y, x)."""
    movie = labels if labels.ndim == 4 else labels[None]
    flow = np.zeros((len(movie), 3, *movie.shape[1:]), np.float32)
    for into, volume in zip(flow, movie, strict=True):
        for z, plane in enumerate(volume):
            into[1:, z] = label_flows(plane, (1.0, 1.0))
    flow = flow if labels.ndim == 4 else flow[0]
    return FlowField(
        flow, np.where(labels > 0, 5.0, -5.0).astype(np.float32), spacing, stitched=True
    )


def cylinder(
    shape: tuple[int, ...], planes: slice, centre: tuple[int, int], radius: float
) -> np.ndarray:
    y, x = np.ogrid[: shape[1], : shape[2]]
    out = np.zeros(shape, bool)
    out[planes] = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
    return out


@pytest.fixture
def three() -> np.ndarray:
    """A cell that drifts, one beside it, one that begins later."""
    labels = np.zeros((6, 40, 60), np.int32)
    for z in range(4):
        labels[z][cylinder((1, 40, 60), slice(None), (12, 12 + 2 * z), 8)[0]] = 1
    labels[cylinder(labels.shape, slice(1, 6), (12, 42), 8)] = 2
    labels[cylinder(labels.shape, slice(3, 6), (31, 20), 6)] = 3
    return labels


def test_sections_that_overlap_are_one_instance(three: np.ndarray) -> None:
    found = label_field(planar_field(three))
    np.testing.assert_array_equal(found.labels, three)
    assert found.labels.dtype == np.uint32
    np.testing.assert_array_equal(found.voxels, np.bincount(three.ravel())[1:])
    np.testing.assert_allclose(found.logit, 5.0)
    assert (found.agreement > 0.8).all()


def test_cells_on_top_of_each_other_are_kept_apart_where_they_overlap_by_less_than_half() -> None:
    truth = touching_ellipsoids((72, 96, 96), radius=9.0, anisotropy=9.0, seed=2)
    assert recovered(truth, instances(planar_field(truth, (9.0, 1.0, 1.0))), 0.5)[1] > 0.45


def test_the_smallest_size_is_of_the_whole_instance(three: np.ndarray) -> None:
    sizes = np.bincount(three.ravel())[1:]
    assert sizes[2] < sizes.min(where=sizes > sizes[2], initial=10**6)
    found = label_field(planar_field(three), min_size=int(sizes[2]) + 1)
    assert len(found) == 2
    rejected = found.rejected
    assert [(int(v), int(r)) for v, r in zip(rejected.voxels, rejected.reason, strict=True)] == [
        (int(sizes[2]), 0)
    ]
    z, y, x = rejected.position[0]
    assert three[z, y, x] == 3


def test_a_lost_plane_ends_an_instance(three: np.ndarray) -> None:
    lost = three.copy()
    lost[2] = 0
    found = label_field(planar_field(lost)).labels
    assert found[1, 12, 12] != found[3, 12, 18]
    assert len(np.unique(found)) == 1 + 5


def test_no_instance_takes_two_sections_of_a_plane() -> None:
    labels = np.zeros((2, 30, 50), np.int32)
    labels[0, 5:25, 5:45] = 1
    labels[1, 5:25, 5:24] = 2
    labels[1, 5:25, 26:45] = 3
    found = label_field(planar_field(labels)).labels
    assert len(np.unique(found[1][labels[1] > 0])) == 2
    labels[1, 5:25, 5:34] = 2
    found = label_field(planar_field(labels)).labels
    assert found[0, 15, 15] == found[1, 15, 15] != found[1, 15, 40]


def test_every_frame_is_labelled_by_itself(three: np.ndarray) -> None:
    movie = np.stack([three, three[:, ::-1]])
    field = planar_field(movie)
    found = label_field(field)
    np.testing.assert_array_equal(found.labels[0], three)
    np.testing.assert_array_equal(found.labels[1] > 0, movie[1] > 0)
    assert found.t.tolist() == [0, 0, 0, 1, 1, 1]
    table = instance_table(found, field, spacing_known=True)
    assert table.loc[(0, 1), "voxels"] == (three == 1).sum()
    np.testing.assert_array_equal(label_field(field.frame(1)).labels, found.labels[1])


def test_flow_errors_are_means_of_sections(three: np.ndarray) -> None:
    field = planar_field(three)
    right = label_field(field, measure_flow_error=True)
    assert right.flow_error is not None
    assert (right.flow_error < 0.05).all()
    flow = field.flow.copy()
    flow[1:, three == 2] = flow[2:0:-1, three == 2]  # turned about the diagonal
    wrong = FlowField(flow, field.logits, COARSE, stitched=True)
    kept = label_field(wrong, flow_error=0.4)
    assert len(kept) == 2
    assert 2 in kept.rejected.reason.tolist()


def test_preparing_keeps_the_planes(three: np.ndarray) -> None:
    field = planar_field(three).prepare()
    assert set(field.planes()._integrations) == set(range(6))
    assert np.shares_memory(field.planes().flow, field.flow)


def test_clicks_and_3d_trajectories_are_refused_in_a_sentence(three: np.ndarray) -> None:
    field = planar_field(three)
    with pytest.raises(InputError, match="xy planes only"):
        field.basin([(1, 12, 12)])
    with pytest.raises(InputError, match="xy planes only"):
        field.integration()
    with pytest.raises(InputError, match="single planes"):
        FlowField(
            np.zeros((2, 8, 8), np.float32), np.zeros((8, 8), np.float32), (1, 1), stitched=True
        )


def test_nothing_is_nothing() -> None:
    field = planar_field(np.zeros((3, 12, 12), np.int32))
    assert len(label_field(field)) == 0
    assert len(label_field(field, measure_flow_error=True)) == 0


@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 5), cells=st.integers(1, 4))
def test_links_are_symmetric_and_one_to_one(seed: int, depth: int, cells: int) -> None:
    rng = np.random.default_rng(seed)
    canvas = np.zeros((depth, 6, 7), np.uint32)
    total = 0
    for plane in canvas:
        values = rng.integers(0, cells + 1, plane.shape)
        present = np.unique(values[values > 0])
        plane[:] = np.where(values > 0, np.searchsorted(present, values) + 1 + total, 0)
        total += present.size
    voxels = np.bincount(canvas.ravel(), minlength=total + 1)
    voxels[0] = 0
    head = linked_sections(canvas, voxels)
    assert (head <= np.arange(head.size)).all()
    np.testing.assert_array_equal(head[head], head)
    for plane in canvas:
        ids = np.unique(plane[plane > 0])
        assert np.unique(head[ids]).size == ids.size
    turned = canvas[:, ::-1, ::-1].copy()
    np.testing.assert_array_equal(head, linked_sections(turned, voxels))
