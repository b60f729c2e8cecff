import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellseg import InputError
from napari_cellseg.volume.axes import ORDER, arrange, parse_axes, settle_axes

AXES = st.sets(st.sampled_from("tcz")).flatmap(
    lambda extra: st.permutations([*sorted(extra), "y", "x"])
)


@given(AXES, st.data())
def test_arranging_puts_every_voxel_where_its_axes_say(letters, data):
    shape = [data.draw(st.integers(1, 4)) for _ in letters]
    array = np.arange(np.prod(shape)).reshape(shape)
    out, axes, rgb, _ = arrange(array, "".join(letters))
    assert not rgb
    assert axes == "".join(a for a in ORDER if a in axes)
    assert axes.endswith("yx")
    size = dict(zip(letters, shape, strict=True))
    assert set(axes) == {a for a in letters if a in "yx" or size[a] > 1}
    for index in itertools.product(*map(range, out.shape)):
        at = dict(zip(axes, index, strict=True))
        assert out[index] == array[tuple(at.get(a, 0) for a in letters)]
    assert np.shares_memory(out, array)


def test_rgb_samples_become_channels_and_lose_their_transparency():
    image = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    data, axes, rgb, notices = arrange(image, "yxs")
    assert (axes, rgb, data.shape) == ("cyx", True, (3, 2, 3))
    assert np.array_equal(np.moveaxis(data, 0, -1), image[..., :3])
    assert "transparency" in notices[0]


@pytest.mark.parametrize(
    ("axes", "ndim"), [("zyz", 3), ("zy", 2), ("zyx", 4), ("qyx", 3), ("", 2), ("csyx", 4), (3, 2)]
)
def test_axes_that_cannot_be_used_are_named(axes, ndim):
    with pytest.raises(InputError, match="axes"):
        parse_axes(axes, ndim, "the array")


def test_unknown_axes_are_z_then_t_with_a_notice():
    axes, notices = settle_axes("?yx", (3, 8, 8), None, "file")
    assert axes == "zyx"
    assert "zyx is assumed" in notices[0]
    assert settle_axes("??yx", (2, 3, 8, 8), None, "file")[0] == "tzyx"
    assert settle_axes("z?yx", (2, 3, 8, 8), None, "file")[0] == "ztyx"


def test_given_axes_win_without_a_notice():
    assert settle_axes("?yx", (3, 8, 8), "TYX", "file") == ("tyx", ())
    assert settle_axes("yxs", (8, 8, 3), "yx", "file") == ("yxs", ())


@pytest.mark.parametrize("found", ["???yx", "zzyx", "zxq", "csyx"])
def test_axes_that_cannot_be_told_ask_for_axes(found):
    with pytest.raises(InputError, match="axes"):
        settle_axes(found, (2,) * len(found), None, "file")
