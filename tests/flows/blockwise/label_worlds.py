"""Fields for tests of blockwise labels, and the comparison with labels in memory."""

from pathlib import Path

import numpy as np
import zarr
from benchmarks.synthetic import field_of, touching_ellipsoids
from scipy import ndimage

from napari_cellseg.flows import label_field
from napari_cellseg.flows.blockwise.label_store import label_store
from napari_cellseg.flows.field_store import FieldStore


def stored(folder, flow, logits, spacing, time=False, chunks=None, precision="float16"):
    """A finished store of arrays."""
    store = FieldStore.create(
        Path(folder), logits.shape, spacing, time=time, chunks=chunks, precision=precision
    )
    whole = tuple(slice(0, n) for n in store.spatial_shape)
    for t in range(store.n_times):
        index = (t,) if time else ()
        store.write(whole, flow[index], logits[index], t=t)
    return store


def wrong_cells(rng, shape, spacing=(1.0, 1.0, 1.0), radius=6.0):
    """Flow and logits of touching cells; that of some leads into a neighbour, or nowhere."""
    labels = touching_ellipsoids(
        shape, radius=radius, anisotropy=spacing[0], seed=int(rng.integers(1 << 30))
    )
    flow = field_of(labels, spacing, "fused").flow + rng.normal(0, 0.2, (len(shape), *labels.shape))
    for number in range(1, int(labels.max()) + 1):
        of_cell = labels == number
        kind = rng.random()
        if kind < 0.2:
            flow[:, of_cell] = rng.normal(size=(len(shape), 1))
        elif kind < 0.4:
            flow[:, of_cell] *= rng.choice([-1, 0])
    logits = np.where((labels > 0) & (rng.random(labels.shape) > 0.02), 5, -5)  # with gaps
    return flow.astype(np.float32), logits.astype(np.float32)


def limit_among(store, share, **thresholds):
    """A flow error that this share of the instances is not above."""
    found = label_field(store.load(), threads=1, measure_flow_error=True, **thresholds)
    if not len(found):
        return 0.5
    return max(1e-6, float(np.quantile(found.flow_error, share, method="lower")))


def noise(rng, shape, sigma, lead=0):
    values = rng.normal(size=shape).astype(np.float32)
    if sigma:
        values = ndimage.gaussian_filter(values, [0] * lead + [sigma] * (len(shape) - lead))
    return values / max(1e-6, float(values.std()))


def random_arrays(rng, ndim, side, time):
    """Flow and logits without any sense: long chains, cycles, sheets, holes, nothing at all."""
    shape = tuple(int(n) for n in rng.integers(1, side + 1, ndim))
    frames = (int(rng.integers(1, 4)),) if time else ()
    lead = len(frames)
    flow = noise(rng, (*frames, ndim, *shape), rng.choice([0, 1, 2, 4]), lead + 1)
    flow *= np.float32(rng.choice([0.2, 0.5, 1, 2]))
    if rng.random() < 0.2:  # a drift: chains through the whole volume
        flow += rng.normal(0, 1.5, (ndim,) + (1,) * ndim).astype(np.float32)
    logits = 3 * noise(rng, (*frames, *shape), rng.choice([0, 0, 1, 2]), lead)
    logits += np.float32(rng.choice([-12, -3, 0, 3, 6]))
    if rng.random() < 0.2:  # shells within shells
        middle = [n / 2 for n in shape]
        away = [at - m for at, m in zip(np.indices(shape), middle, strict=True)]
        radius = np.sqrt(sum(a**2 for a in away))
        logits += np.where(radius % 6 < 3, 8, -8).astype(np.float32)
        flow *= np.float32(0.3)
    return flow, logits


def assert_as_in_memory(store, output, found, **thresholds):
    """Compare labels, and all that is said about them, with `label_field`."""
    expected = label_field(store.load(), threads=1, **thresholds)
    labels = zarr.open_array(output, mode="r")
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels[...], expected.labels)
    for name in ("t", "id", "voxels", "logit", "agreement", "flow_error"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
    for name in ("t", "position", "voxels", "reason"):
        ours, theirs = getattr(found.rejected, name), getattr(expected.rejected, name)
        np.testing.assert_array_equal(ours, theirs, name)
    frames = expected.labels if store.has_time else expected.labels[None]
    for row in range(len(found)):
        where = np.argwhere(frames[found.t[row]] == found.id[row])
        if store.ndim == 2:
            where = np.insert(where, 0, 0, 1)
        np.testing.assert_array_equal(found.box[row, :3], where.min(0))
        np.testing.assert_array_equal(found.box[row, 3:], where.max(0) + 1)
        np.testing.assert_allclose(found.centroid[row], where.mean(0))
    return expected


def check(store, folder, *, probability=0.5, min_size=15, flow_error=None, **options):
    """Label a store block by block, and compare."""
    thresholds = {"probability": probability, "min_size": min_size, "flow_error": flow_error}
    output = Path(folder) / "labels"
    found = label_store(store, output, **thresholds, **options)
    return assert_as_in_memory(store, output, found, **thresholds)
