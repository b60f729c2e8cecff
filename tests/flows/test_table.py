import numpy as np
import pytest

from napari_cellseg.flows import FlowField, label_field, label_flows
from napari_cellseg.flows.table import instance_table


def field_of(labels: np.ndarray, spacing: tuple[float, float, float]) -> FlowField:
    logits = np.where(labels > 0, 4.0, -4.0).astype(np.float32)
    return FlowField(label_flows(labels, spacing), logits, spacing)


@pytest.fixture
def boxes() -> np.ndarray:
    labels = np.zeros((10, 20, 30), np.int32)
    labels[0:4, 2:8, 3:11] = 1
    labels[5:9, 10:18, 20:26] = 2
    return labels


def test_measures_are_in_micrometres(boxes: np.ndarray) -> None:
    field = field_of(boxes, (2.0, 0.5, 0.5))
    table = instance_table(label_field(field), field, spacing_known=True)
    assert list(table["voxels"]) == [192, 192]
    np.testing.assert_allclose(table["volume_um3"], 96.0)
    centroids = table[["centroid_z", "centroid_y", "centroid_x"]].to_numpy()
    np.testing.assert_allclose(centroids, [[3, 2.25, 3.25], [13, 6.75, 11.25]])
    edges = [f"bbox_{axis}{end}" for axis in "zyx" for end in (0, 1)]
    assert table[edges].to_numpy().tolist() == [[0, 4, 2, 8, 3, 11], [5, 9, 10, 18, 20, 26]]
    assert list(table["touches_border"]) == [True, False]
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp(-4)), rtol=1e-5)
    assert table["agreement"].between(0.8, 1.001).all()


def test_measures_are_in_voxels_without_spacing(boxes: np.ndarray) -> None:
    field = field_of(boxes, (1.0, 1.0, 1.0))
    table = instance_table(label_field(field), field, spacing_known=False)
    assert "volume_um3" not in table
    assert "diameter_um" not in table
    np.testing.assert_allclose(table["centroid_z"], [1.5, 6.5])


def test_planes_have_areas(boxes: np.ndarray) -> None:
    field = field_of(boxes[2], (1.0, 0.5, 0.5))
    table = instance_table(label_field(field), field, spacing_known=True)
    assert list(table["area_um2"]) == [12.0]
    assert "centroid_z" not in table


def test_time_is_part_of_the_index(boxes: np.ndarray) -> None:
    one = field_of(boxes, (1.0, 1.0, 1.0))
    flipped = field_of(boxes[::-1].copy(), (1.0, 1.0, 1.0))
    movie = FlowField(
        np.stack([one.flow, flipped.flow]), np.stack([one.logits, flipped.logits]), (1, 1, 1)
    )
    table = instance_table(label_field(movie), movie, spacing_known=False)
    assert list(table.index) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert table.loc[(0, 1), "voxels"] == 192


def test_no_instances_is_an_empty_table_with_columns() -> None:
    field = FlowField(np.zeros((2, 8, 8), np.float32), np.full((8, 8), -5, np.float32), (1, 1, 1))
    table = instance_table(label_field(field), field, spacing_known=True)
    assert table.empty
    assert {"voxels", "centroid_y", "probability"} <= set(table.columns)


def test_disagreement_is_averaged_over_each_instance(boxes: np.ndarray) -> None:
    plain = field_of(boxes, (1.0, 1.0, 1.0))
    apart = np.zeros(boxes.shape, np.uint8)
    apart[boxes == 1] = 51
    apart[boxes == 2] = np.arange((boxes == 2).sum()) % 2 * 255
    field = FlowField(plain.flow, plain.logits, plain.spacing, disagreement=apart)
    table = instance_table(label_field(field), field, spacing_known=False)
    np.testing.assert_allclose(table["disagreement"], [0.2, 0.5], atol=1e-3)
    assert "disagreement" not in instance_table(label_field(plain), plain, spacing_known=False)
    movie = FlowField(
        np.stack([plain.flow] * 2),
        np.stack([plain.logits] * 2),
        plain.spacing,
        disagreement=np.stack([apart, np.zeros_like(apart)]),
    )
    table = instance_table(label_field(movie), movie, spacing_known=False)
    np.testing.assert_allclose(table["disagreement"], [0.2, 0.5, 0, 0], atol=1e-3)
