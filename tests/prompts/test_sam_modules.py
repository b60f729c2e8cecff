"""Loading a model must not load torch's compiler: it ends windows drawn by software OpenGL."""

import subprocess
import sys

import pytest

from napari_cellseg.errors import ModelError


def test_models_load_without_torchvision_and_triton(small_file):
    code = (
        "import sys; from napari_cellseg.prompts import Prompt, load_predictor; import numpy as np;"
        f"p = load_predictor('sam', {str(small_file)!r}, 'cpu');"
        "e = p.encode(np.eye(64, dtype=np.uint8) * 200); p.decode(e, Prompt([(9, 9)])).masks;"
        "import napari_cellseg.prompts.everything_decode, napari_cellseg.prompts.pa_sam;"
        "print({'torchvision', 'triton', 'torch._dynamo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_beside_the_package_itself():
    import segment_anything.modeling as theirs

    from napari_cellseg.prompts import sam_modules as ours

    assert ours.MaskDecoder.__module__.startswith("napari_cellseg")
    assert set(theirs.MaskDecoder.__dict__) == set(ours.MaskDecoder.__dict__)


def test_without_the_package(monkeypatch):
    from napari_cellseg.networks import lone_module
    from napari_cellseg.prompts import sam_modules

    monkeypatch.setattr(lone_module, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, sam_modules.MaskDecoder.__module__.rpartition(".")[0])
    with pytest.raises(ModelError, match="pip install segment-anything"):
        sam_modules._load("modeling")
