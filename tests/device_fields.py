"""Fields on which a device must agree with numba: any shape, spacing and precision."""

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage

from napari_cellseg.flows import FlowField


@st.composite
def device_fields(draw) -> FlowField:
    """Noise, or flows that vary smoothly, so that basins of several voxels form."""
    ndim = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, 14)) for _ in range(ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spacing = (
        draw(st.sampled_from([0.4, 1.0, 2.0, 3.0, 7.0])),
        1.0,
        draw(st.sampled_from([1.0, 1.6])),
    )
    flow = rng.normal(0, 0.7, (ndim, *shape))
    logits = rng.normal(0, 3, shape)
    smooth = draw(st.sampled_from([0.0, 1.0, 2.5]))
    if smooth:
        flow = np.stack([ndimage.gaussian_filter(part, smooth) for part in flow])
        logits = ndimage.gaussian_filter(logits, smooth)
        flow /= max(flow.std(), 0.1)
        logits *= 3 / max(logits.std(), 0.1)
    logits += draw(st.sampled_from([-4.0, 0.0, 4.0]))
    if draw(st.booleans()):  # long chains, and cycles
        flow = np.round(flow)
    precision = draw(st.sampled_from([np.float16, np.float32]))
    return FlowField(flow.astype(precision), logits.astype(precision), spacing)
