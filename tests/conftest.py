"""Fixtures shared by all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True, scope="session")
def _own_documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the journals that tests make out of the user's own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_CELLSEG_DOCUMENTS", str(tmp_path_factory.mktemp("documents")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real labelled images that lies beside the checkout."""
    folder = _SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the shared labelled images are not beside this checkout")
    return folder
