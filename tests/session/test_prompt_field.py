"""3D clicks through a session: answered by the field of the last segmentation."""

import numpy as np
import pytest

from fakes import BlobNetwork, blob_volume
from napari_cellseg.errors import InputError
from napari_cellseg.prompts.plane_view import Plane
from napari_cellseg.session import Session
from prompt_engine import quiet


@pytest.fixture
def segmented(prompt_worker):
    """A session whose stack of balls was segmented, with the truth."""
    network = BlobNetwork()
    for device in ("auto", "cpu"):
        prompt_worker.models.get("flow", "builtin", None, device, lambda: network)
    image, truth = blob_volume((24, 44, 44), radius=6.0)
    session = Session(worker=prompt_worker)
    session.use_volume(image.astype(np.float32), axes="zyx", spacing=(1.0, 1.0, 1.0))
    session.parameters.device = "cpu"
    session.parameters.diameter = 12.0
    yield session, truth
    session.close()


def middle(truth, label):
    return tuple(int(at) for at in np.argwhere(truth == label).mean(axis=0).round())


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_click_in_3d_gives_the_whole_cell(segmented):
    session, truth = segmented
    session.segment().wait(60)
    gone = session.labels[middle(truth, 1)]
    session.labels[session.labels == gone] = 0  # as if it had been missed
    session.note_edit()
    others = session.labels.copy()
    prompts = session.prompts
    prompts.settings.in_3d = True
    prompts.start()
    one = prompts.click(middle(truth, 1))
    assert quiet(session, 60)
    assert prompts.field.ready
    assert iou(prompts.preview.labels == one.number, truth == 1) > 0.8
    (new,) = prompts.accept()
    assert new > others.max()
    assert iou(session.labels == new, truth == 1) > 0.8
    assert np.array_equal(session.labels[others > 0], others[others > 0])


def test_a_field_of_a_region_is_asked_in_the_image_s_voxels(segmented):
    session, truth = segmented
    region = (slice(2, 24), slice(0, 44), slice(22, 44))
    session.try_region(region).wait(60)
    prompts = session.prompts
    prompts.settings.in_3d = True
    inside = next(i for i in range(1, truth.max() + 1) if middle(truth, i)[2] > 26)
    one = prompts.click(middle(truth, inside))
    assert quiet(session, 60)
    found = prompts.preview.labels == one.number
    assert iou(found, truth == inside) > 0.8
    prompts.next_object()
    other = prompts.click((10, 10, 4))
    assert quiet(session, 60)
    assert "outside the part" in other.problem


def test_without_a_field_it_says_what_to_do(segmented):
    session, _ = segmented
    prompts = session.prompts
    prompts.settings.in_3d = True
    prompts.start()
    one = prompts.click((5, 5, 5))
    assert quiet(session, 20)
    assert "Segment all" in one.problem
    assert "Segment all" in str(session.last_error)
    assert isinstance(session.last_error, InputError)


def test_a_click_while_the_field_is_prepared_is_answered_afterwards(segmented):
    session, truth = segmented
    session.try_region((slice(0, 24), slice(0, 44), slice(0, 44))).wait(60)
    prompts = session.prompts
    prompts.settings.in_3d = True
    prompts.start()
    assert prompts.field.busy
    one = prompts.click(middle(truth, 2))
    assert quiet(session, 60)
    assert iou(prompts.preview.labels == one.number, truth == 2) > 0.8


def test_a_plane_corrects_a_cell_of_the_field(segmented):
    session, truth = segmented
    session.try_region((slice(0, 24), slice(0, 44), slice(0, 44))).wait(60)
    prompts = session.prompts
    prompts.settings.in_3d = True
    z, y, x = middle(truth, 1)
    one = prompts.click((z, y, x))
    assert quiet(session, 60)
    whole = np.count_nonzero(prompts.preview.labels)
    prompts.settings.in_3d = False
    prompts.box(Plane("xy", z), (y - 2, x - 2, y + 2, x + 2))
    assert quiet(session, 60)
    assert len(one.parts) == 2
    now = prompts.preview.labels
    assert np.count_nonzero(now[z]) < np.count_nonzero(truth[z] == 1)
    assert np.count_nonzero(now) < whole
    assert np.count_nonzero(now[z + 2]) > 0


def test_planes_that_are_joined_by_overlap_have_no_field_to_click_in(segmented):
    session, _ = segmented
    session.parameters.fusion = "xy"
    session.segment().wait(60)
    assert session.segmentation.field.stitched
    prompts = session.prompts
    prompts.settings.in_3d = True
    assert "no 3D flow" in prompts.field.reason
    prompts.start()
    one = prompts.click((0, 0, 0))
    assert quiet(session, 20)
    assert not prompts.field.ready
    assert "no 3D flow" in one.problem
