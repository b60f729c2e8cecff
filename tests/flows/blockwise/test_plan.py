"""Blocks cover every voxel once, and never share a chunk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg.errors import InputError
from napari_cellseg.flows.blockwise.plan import check_block, default_block, plan_blocks

triples = st.tuples(*[st.integers(1, 40)] * 3)


@given(shape=triples, chunks=st.tuples(*[st.integers(1, 12)] * 3), times=triples)
def test_blocks_cover_every_voxel_once_and_share_no_chunk(shape, chunks, times):
    block = tuple(c * min(n, 4) for c, n in zip(chunks, times, strict=True))
    painted = np.zeros(shape, int)
    writers = np.full([-(-n // c) for n, c in zip(shape, chunks, strict=True)], -1)
    blocks = plan_blocks(shape, chunks, block)
    for number, one in enumerate(blocks):
        painted[one.core] += 1
        mine = tuple(
            slice(part.start // c, -(-part.stop // c))
            for part, c in zip(one.core, chunks, strict=True)
        )
        assert (writers[mine] == -1).all()
        writers[mine] = number
    assert (painted == 1).all()
    assert len({one.key for one in blocks}) == len(blocks)
    assert [one.index for one in blocks] == sorted(one.index for one in blocks)


@given(shape=triples, halo=st.tuples(*[st.integers(0, 9)] * 3))
def test_a_halo_stays_inside(shape, halo):
    for one in plan_blocks(shape, (8, 8, 8), (8, 8, 8)):
        for wide, core, more, n in zip(one.with_halo(halo, shape), one.core, halo, shape,
                                       strict=True):  # fmt: skip
            assert wide.start == max(0, core.start - more)
            assert wide.stop == min(n, core.stop + more)


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((1000, 2000, 2000), (64, 64, 64)), ((1, 9000, 9000), (1, 512, 512)),
     ((20, 99, 99), (8, 8, 8)), ((40, 5000, 5000), (40, 64, 64)), ((600, 600, 600), (1, 600, 600))],
)  # fmt: skip
def test_the_default_is_some_million_voxels_of_whole_chunks(shape, chunks):
    block = default_block(shape, chunks)
    assert check_block(block, shape, chunks) == block
    inside = np.prod(np.minimum(block, shape))
    assert inside <= 16e6 or inside < 1.5 * np.prod(chunks) or chunks[2] > 256
    assert inside >= min(4e6, np.prod(shape))


@pytest.mark.parametrize(
    ("block", "message"),
    [((48, 64, 64), "along z .* choose 64"), ((64, 64, 100), "along x .* choose 64 or 128"),
     ((64, 64), "three"), ((0, 64, 64), "three"), ((1.5, 64, 64), "three")],
)  # fmt: skip
def test_blocks_that_would_share_a_file_are_refused(block, message):
    with pytest.raises(InputError, match=message):
        plan_blocks((200, 200, 200), (64, 64, 64), block)


def test_a_block_may_be_larger_than_the_volume():
    assert len(plan_blocks((100, 100, 100), (64, 64, 64), (100, 999, 128))) == 1
