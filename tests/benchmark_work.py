"""Work for processes of their own, which import it by name."""

import os
from typing import Any

import numpy as np


def fill(arrays: dict[str, Any], step: Any, mebibytes: int = 1) -> dict[str, Any]:
    """Fill memory in a step, and twice as much in one that does not count."""
    first = arrays["a"].shape
    step("fill", lambda: np.ones(mebibytes << 17))
    step("more", lambda: np.ones(mebibytes << 18), counts=False)
    return {"pid": np.array(os.getpid()), "shape": np.array(first)}


def needs_what_is_not_there(arrays: dict[str, Any], step: Any) -> dict[str, Any]:
    """Import what is not installed."""
    import a_package_that_nobody_has

    return {"never": a_package_that_nobody_has.values}


def breaks(arrays: dict[str, Any], step: Any) -> dict[str, Any]:
    """Fail."""
    raise ValueError("out of luck")
