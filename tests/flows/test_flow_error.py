import numpy as np
import pytest
from benchmarks.synthetic import field_of, touching_ellipsoids
from scipy import ndimage

from napari_cellseg.flows import FlowField
from napari_cellseg.flows import flow_error as module
from napari_cellseg.flows.flow_error import flow_errors


@pytest.fixture(scope="module")
def labels():
    return touching_ellipsoids((40, 60, 60), anisotropy=2, seed=1)


def test_true_masks_of_a_fused_field_have_no_error(labels):
    errors = flow_errors(field_of(labels, (2, 1, 1), "fused"), labels)
    assert errors.shape == (labels.max() + 1,)
    np.testing.assert_allclose(errors, 0, atol=1e-5)


def test_a_wrong_mask_has_a_large_error(labels):
    field = field_of(labels, (2, 1, 1), "fused")
    sizes = np.bincount(labels.ravel())
    number = int(sizes[1:].argmax()) + 1
    wrong = labels.copy()
    x = np.nonzero(labels == number)[2]
    half = (labels == number) & (np.arange(labels.shape[2]) > np.median(x))
    wrong[half] = labels.max() + 1
    errors = flow_errors(field, wrong)
    assert errors[number] > 0.1
    assert errors[-1] > 0.1


def test_blocks_do_not_change_the_error(labels, monkeypatch):
    field = field_of(labels, (2, 1, 1), "diffusion", noise=0.3)
    whole = flow_errors(field, labels)
    monkeypatch.setattr(module, "_BLOCK_BYTES", labels[0].size * 40 * 3)
    np.testing.assert_allclose(flow_errors(field, labels), whole, rtol=1e-5)


def test_planes():
    plane = touching_ellipsoids((60, 60), radius=7)
    errors = flow_errors(field_of(plane, (1, 1)), plane[None])
    np.testing.assert_allclose(errors, 0, atol=1e-5)


@pytest.mark.parametrize(("spacing", "dtype"), [((1, 1, 1), np.float32), ((2, 1, 1.5), np.float16)])
def test_an_instance_has_the_same_error_in_its_own_crop(labels, spacing, dtype):
    """To the bit, so that blocks of a volume that does not fit may be checked one by one."""
    field = field_of(labels, spacing, "fused", noise=0.3)
    field = FlowField(field.flow.astype(dtype), field.logits, spacing)
    whole = flow_errors(field, labels, threads=3)
    for number, box in list(enumerate(ndimage.find_objects(labels), 1))[::3]:
        near = tuple(slice(max(0, s.start - number % 3), s.stop + number % 2) for s in box)
        crop = FlowField(field.flow[(slice(None), *near)], field.logits[near], spacing)
        assert flow_errors(crop, labels[near].copy(), threads=1)[number] == whole[number]
        alone = (labels[box] == number).astype(np.int32)
        crop = FlowField(field.flow[(slice(None), *box)], field.logits[box], spacing)
        assert flow_errors(crop, alone)[1] == whole[number]


def test_an_instance_of_a_plane_has_the_same_error_in_its_own_crop():
    labels = touching_ellipsoids((80, 80), radius=7)
    field = field_of(labels, (1, 1), noise=0.3)
    whole = flow_errors(field, labels[None])
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        crop = FlowField(field.flow[(slice(None), *box)], field.logits[box], (1, 1))
        alone = (labels[box] == number).astype(np.int32)
        assert flow_errors(crop, alone[None])[1] == whole[number]
