"""Messages of the engine in the words of the command line."""

import pytest

from napari_cellseg.cli.wording import in_options


@pytest.mark.parametrize(
    ("python", "options"),
    [
        (
            "taken as cubes: pass spacing=(y, x) in µm.",
            "taken as cubes: pass --spacing Z Y X in µm.",
        ),
        ("pass axes='cyx' to keep them.", "pass --axes cyx to keep them."),
        (
            "not stated: pass axes, for instance 'tczyx'.",
            "not stated: pass --axes, for instance 'tczyx'.",
        ),
        ("spacing=(1.0, 0.0, 1.0) is not usable", "--spacing 1.0 0.0 1.0 is not usable"),
        ("diameter=0.5 µm is less", "--diameter 0.5 µm is less"),
        ("min_size=-1 is negative", "--min-size -1 is negative"),
        ("The model is loaded.", "The model is loaded."),
    ],
)
def test_arguments_become_options(python: str, options: str) -> None:
    assert in_options(python) == options
