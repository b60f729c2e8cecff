import numpy as np
from scipy import ndimage as ndi

from napari_cellseg.training.rendered import render_image, render_labels, rendered_samples


def test_rendered_cells_have_the_asked_size_and_do_not_fill_everything() -> None:
    labels = render_labels(np.random.default_rng(0), (40, 80, 80), 8.0, 0.6)
    sizes = np.bincount(labels.ravel())[1:]
    sizes = sizes[sizes > 0]
    assert len(sizes) >= 8
    assert 4 < np.median((6 / np.pi * sizes) ** (1 / 3)) / 2 < 11
    assert 0.05 < (labels > 0).mean() < 0.95


def test_rendered_cells_are_brighter_than_their_surroundings() -> None:
    rng = np.random.default_rng(1)
    labels = render_labels(rng, (30, 60, 60), 8.0, 0.4)
    image = render_image(rng, labels)
    assert np.isfinite(image).all()
    outside = ~ndi.binary_dilation(labels > 0, iterations=4)
    assert image[labels > 0].mean() > image[outside].mean()


def test_planes_of_all_orientations_are_yielded() -> None:
    samples = list(rendered_samples(1))
    assert len(samples) == 18
    assert {s.levels[0].planes.shape[1:] for s in samples} == {(144, 144), (72, 144)}
    assert len({s.name for s in samples}) == 18
