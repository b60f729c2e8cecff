import numpy as np
import pytest
import torch

from fakes import BlobNetwork, blob_volume
from napari_cellseg.errors import Cancelled
from napari_cellseg.flows import FlowField, instances
from napari_cellseg.flows.limits import luminance
from napari_cellseg.flows.predict_region import predict_on_device, predict_region
from napari_cellseg.flows.progress import Progress

LIMITS = (20.0, 220.0)


@pytest.mark.parametrize("diameter", [14.0, 28.0, None])
def test_arrays_are_on_the_grid_of_the_region(diameter: float | None) -> None:
    image, truth = blob_volume((20, 60, 50), (2.0, 1.0, 1.0))
    flow, logits, apart = predict_region(BlobNetwork(), image, (2.0, 1.0, 1.0), LIMITS, diameter)
    assert (flow.shape, flow.dtype) == ((3, *image.shape), np.float16)
    assert (logits.shape, logits.dtype) == (image.shape, np.float16)
    assert apart is not None
    assert (apart.shape, apart.dtype) == (image.shape, np.uint8)
    labels = instances(FlowField(flow, logits, (2.0, 1.0, 1.0), disagreement=apart))
    assert np.unique(labels).size == np.unique(truth).size
    assert ((labels > 0) == (truth > 0)).mean() > 0.97


def test_one_plane_and_xy_planes_have_no_disagreement() -> None:
    image, _ = blob_volume((20, 60, 50))
    flow, _, apart = predict_region(BlobNetwork(), image[10:11], (1.0, 1.0, 1.0), LIMITS, 14.0)
    assert apart is None
    assert not flow[0].any()
    flow, logits, apart = predict_region(
        BlobNetwork(), image, (1.0, 1.0, 1.0), LIMITS, 14.0, fusion="xy"
    )
    assert apart is None
    assert not flow[0].any()
    assert instances(FlowField(flow, logits, (1.0, 1.0, 1.0), stitched=True)).any()


def test_colour_is_made_grey() -> None:
    image, _ = blob_volume((8, 60, 50))
    colour = np.repeat(image[..., None], 3, -1)
    grey = predict_region(BlobNetwork(), image, (1.0, 1.0, 1.0), LIMITS, 14.0)
    same = predict_region(BlobNetwork(), colour, (1.0, 1.0, 1.0), LIMITS, 14.0, to_grey=luminance)
    np.testing.assert_allclose(same[1].astype(float), grey[1].astype(float), atol=0.1)


def test_a_core_is_what_the_whole_gives_there() -> None:
    image, _ = blob_volume((24, 60, 60))
    whole = predict_region(BlobNetwork(), image, (1.0, 1.0, 1.0), LIMITS, 16.0)
    core = (slice(4, 20), slice(10, 50), slice(0, 30))
    part = predict_region(BlobNetwork(), image, (1.0, 1.0, 1.0), LIMITS, 16.0, core=core)
    np.testing.assert_array_equal(part[0], whole[0][(slice(None), *core)])
    np.testing.assert_array_equal(part[1], whole[1][core])


def test_tensors_stay_on_the_device_and_stages_are_told() -> None:
    from contextlib import contextmanager

    stages: list[str] = []

    @contextmanager
    def clock(stage: str):  # type: ignore[no-untyped-def]
        stages.append(stage)
        yield

    image, _ = blob_volume((12, 40, 40))
    fused = predict_on_device(BlobNetwork(), image, (1.0, 1.0, 1.0), LIMITS, 14.0, clock=clock)
    assert all(isinstance(part, torch.Tensor) for part in fused)
    assert stages == ["load image", "predict", "fuse"]


def test_it_can_be_cancelled() -> None:
    from threading import Event

    cancel = Event()
    cancel.set()
    image, _ = blob_volume((8, 40, 40))
    with pytest.raises(Cancelled):
        predict_region(
            BlobNetwork(), image, (1.0, 1.0, 1.0), LIMITS, 14.0, progress=Progress(None, cancel)
        )
