import numpy as np
import pytest
import tifffile
from benchmarks.synthetic import field_of, touching_ellipsoids

from napari_cellseg.errors import InputError
from napari_cellseg.evaluation.click_study import (
    MISSED,
    study_basin,
    study_field,
    study_predictor,
)
from napari_cellseg.evaluation.clicks import summarise_clicks
from napari_cellseg.flows import instances


class Recorder:
    """A predictor that knows the truth of the planes it is shown: bright cells on black."""

    def __init__(self):
        self.planes, self.limits = [], []

    def encode(self, plane, limits=None, *, cancel=None):
        self.planes.append(np.asarray(plane))
        self.limits.append(limits)
        return self.planes[-1]

    def decode(self, embedding, prompt, multimask=None):
        from skimage.measure import label

        grey = embedding if embedding.ndim == 2 else embedding[..., 0]
        pieces = label(grey > 0, connectivity=1)
        row, col = prompt.points[0].astype(int)
        return _Proposal(pieces == pieces[row, col])


class _Proposal:
    def __init__(self, mask):
        self.mask = mask

    def region(self, index=0):
        assert index == 0
        rows, cols = (slice(0, n) for n in self.mask.shape)
        return (rows, cols), self.mask


@pytest.fixture
def balls():
    grid = np.indices((12, 24, 40))
    truth = np.zeros((12, 24, 40), np.uint16)
    for number, centre in ((4, (4, 10, 10)), (9, (7, 12, 28))):
        inside = ((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(0) <= 16
        truth[inside] = number
    return truth


def test_a_predictor_is_clicked_where_each_object_is_largest(balls, tmp_path):
    image, labels = tmp_path / "image.tif", tmp_path / "label.tif"
    tifffile.imwrite(image, (balls > 0).astype(np.uint8) * 200, metadata={"axes": "ZYX"})
    tifffile.imwrite(labels, balls, metadata={"axes": "ZYX"})
    predictor = Recorder()
    table = study_predictor(image, labels, predictor, spacing=(2, 1, 1), limits=(0, 200))
    assert table["id"].tolist() == [4, 9]
    assert table["z"].tolist() == [4, 7]
    assert (table["iou_1"] == 1).all()
    assert [plane.shape for plane in predictor.planes] == [(24, 40)] * 2
    assert predictor.limits == [(0, 200)] * 2


def test_a_colour_plane_reaches_the_predictor_as_rgb(balls):
    from napari_cellseg.volume import as_volume

    plane = np.repeat((balls[4] > 0).astype(np.uint8)[..., None] * 255, 3, axis=-1)
    predictor = Recorder()
    table = study_predictor(as_volume(plane, axes="yxs"), balls[4], predictor)
    assert predictor.planes[0].shape == (24, 40, 3)
    assert table["id"].tolist() == [4, 9]
    assert table["z"].tolist() == [0, 0]
    assert (table["iou_1"] == 1).all()


def test_basins_are_clicked_and_compared_with_the_automatic_run():
    truth = touching_ellipsoids((24, 48, 48), seed=1)
    field = field_of(truth, (1, 1, 1), "fused", smooth=1.0)
    automatic = instances(field)
    lost = automatic[tuple(np.argwhere(truth == 2).mean(0).round().astype(int))]
    table = study_field(field, truth, np.where(automatic == lost, 0, automatic), most=2)
    assert table["id"].tolist() == list(range(1, truth.max() + 1))
    assert table.set_index("id").loc[2, "auto"] < MISSED
    found = table[table["auto"] >= MISSED]
    assert len(found) > 0.8 * truth.max()
    # the first click in a found cell repeats what the automatic run found
    assert (found["iou_1"] - found["auto"]).abs().median() == 0
    assert summarise_clicks(table)["iou_1"] > 0.75


def test_planes_are_studied_too():
    truth = touching_ellipsoids((72, 72), seed=1)
    field = field_of(truth, (1, 1, 1))
    table = study_field(field, truth, instances(field), most=1)
    assert (table["iou_1"] > 0.9).mean() > 0.9


def test_an_image_is_segmented_with_the_bundled_network(shared_data):
    folder = shared_data / "qcanet_mouse_embryo_3d"
    crop = (slice(0, 24), slice(0, 64), slice(0, 64))
    image = tifffile.imread(next(folder.glob("*_image.tif")))[crop]
    truth = tifffile.imread(next(folder.glob("*_label.tif")))[crop]
    told = []
    table = study_basin(
        image, truth, spacing=(1.744, 0.8, 0.8), diameter=12, device="cpu", most=2,
        progress=lambda fraction, message: told.append(fraction),
    )  # fmt: skip
    assert set(table["id"]) == set(np.unique(truth)) - {0}
    assert table["auto"].max() > 0.7
    assert table["iou_1"].max() > 0.7
    assert told == sorted(told)
    assert told[-1] < 1


def test_a_truth_that_does_not_fit_is_named(balls):
    with pytest.raises(InputError, match="The truth has shape"):
        study_predictor(balls, balls[1:], Recorder())
    with pytest.raises(InputError, match="is needed for clicks"):
        study_predictor(balls, balls[None], Recorder())
    with pytest.raises(InputError, match="no object"):
        study_predictor(balls, balls * 0, Recorder())
