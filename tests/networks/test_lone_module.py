import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_cellseg.errors import ModelError
from napari_cellseg.networks.lone_module import load_alone


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package whose front doors must stay shut."""
    name = "cellseg_lone_package"
    folder = tmp_path / name / "parts"
    (folder / "whole").mkdir(parents=True)
    shut = "raise RuntimeError('the front door was opened')\n"
    (tmp_path / name / "__init__.py").write_text(shut)
    (folder / "__init__.py").write_text(shut)
    (folder / "beside.py").write_text("value = 3\n")
    (folder / "wanted.py").write_text(
        "from heavy.library import tool\nfrom .beside import value\nfrom . import beside\n"
    )
    (folder / "whole" / "__init__.py").write_text("from .inner import value\n")
    (folder / "whole" / "inner.py").write_text("from ..beside import value\n")
    (folder / "broken.py").write_text("from .beside import nothing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_only_what_is_wanted_is_run(package: str) -> None:
    stand_in = SimpleNamespace(tool="a stand-in")
    wanted = load_alone(package, "parts.wanted", "", {"heavy.library": stand_in})
    assert (wanted.tool, wanted.value, wanted.beside.value) == ("a stand-in", 3, 3)
    assert load_alone(package, "parts.wanted", "") is wanted
    assert load_alone(package, "parts.whole", "").value == 3
    assert package not in sys.modules
    assert "heavy" not in sys.modules


@pytest.mark.parametrize("module", ["parts.none", "parts.broken", "parts.wanted"])
def test_another_version_is_told(package: str, module: str) -> None:
    for name in [n for n in sys.modules if n.startswith(f"napari_cellseg.networks._{package}")]:
        del sys.modules[name]
    with pytest.raises(ModelError, match="install it"):
        load_alone(package, module, "install it")
    with pytest.raises(ModelError, match="install it"):
        load_alone(f"no_{package}", module, "install it")
