import pytest

from napari_cellseg import InputError
from napari_cellseg.volume import available_memory, check_memory


def test_what_fits_passes_and_what_cannot_is_refused_before_allocation():
    available = available_memory()
    assert available is None or available > 1 << 20
    check_memory(1024, "A small array")
    if available is not None:
        with pytest.raises(
            InputError, match=r"^Everything needs .* GB of memory but .* smaller region"
        ):
            check_memory(10**18, "Everything")


def test_without_knowledge_nothing_is_refused(monkeypatch):
    monkeypatch.setattr("napari_cellseg.volume.memory.available_memory", lambda: None)
    check_memory(10**18, "Everything")
