"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real labelled images that lies beside the checkout."""
    folder = _SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the shared labelled images are not beside this checkout")
    return folder
