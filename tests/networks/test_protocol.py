from typing import Any

from napari_cellseg.networks import (
    Intensities,
    Tiling,
    batch_pixels_of,
    channels_of,
    diameters_of,
    intensities_of,
    load_network,
    tiling_of,
)


class Bare:
    diameter, percentiles, tile = 17.0, (2.0, 98.0), 320


def test_what_a_network_leaves_out_has_a_default() -> None:
    bare: Any = Bare()
    assert channels_of(bare) == 1
    assert tiling_of(bare) == Tiling(size=320, overlap=48, weights="taper", margin=32)
    assert intensities_of(bare) == Intensities((2.0, 98.0), nonzero=False, together=True)
    assert diameters_of(bare) == (17.0, 17.0)
    assert batch_pixels_of(bare) is None


def test_the_built_in_network_is_as_it_was() -> None:
    network = load_network(device="cpu")
    assert tiling_of(network) == Tiling()
    assert intensities_of(network).percentiles == network.percentiles
    assert diameters_of(network) == (network.diameter, network.diameter)
