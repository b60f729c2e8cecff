from pathlib import Path

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel

from napari_cellseg.volume import Volume, read_volume
from napari_cellseg.widgets.image_layers import layer_volume
from napari_cellseg.widgets.volume_layers import add_volume


@pytest.fixture
def pyramid(tmp_path: Path) -> Path:
    """OME-Zarr 0.5 with two levels."""
    path = tmp_path / "cells.ome.zarr"
    group = zarr.create_group(path, zarr_format=3)
    fine = np.random.default_rng(0).integers(0, 200, (6, 64, 80)).astype(np.uint16)
    datasets = []
    for level, data in enumerate((fine, fine[:, ::2, ::2])):
        group.create_array(str(level), data=data)
        scale = [2.0, 0.5 * 2**level, 0.5 * 2**level]
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
        )
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    multiscales = [{"axes": axes, "datasets": datasets}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    return path


def test_an_opened_pyramid_is_shown_whole(pyramid: Path) -> None:
    viewer = ViewerModel()
    layer = add_volume(viewer, read_volume(pyramid))
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(6, 64, 80), (6, 32, 40)]
    np.testing.assert_allclose(layer.scale, (2.0, 0.5, 0.5))
    assert layer_volume(layer).shape == (6, 64, 80)


def test_channels_become_layers_that_know_their_volume() -> None:
    viewer = ViewerModel()
    data = np.zeros((2, 4, 16, 16), np.uint8)
    data[1, 2, 3, 3] = 9
    volume = Volume(data, "czyx", (1.0, 0.5, 0.5), True, ("nuclei", "membrane"), name="embryo")
    first = add_volume(viewer, volume)
    assert [layer.name for layer in viewer.layers] == ["embryo nuclei", "embryo membrane"]
    assert first is viewer.layers[0]
    assert not first.multiscale
    assert [str(unit) for unit in first.units] == ["micrometer"] * 3
    assert layer_volume(viewer.layers[1]) is volume
