"""The networks of the package segment-anything, without what its front door brings along.

``import segment_anything`` imports torchvision, that torch's compiler, and that Triton, whose
native code ends the process where a software OpenGL (Mesa, on servers and remote desktops) has its
own copy of LLVM loaded. The package's folder of networks needs torch only; it is loaded here by
itself, under a name of ours.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from napari_cellseg.errors import ModelError

_NAME = f"{__package__}._segment_anything"


def _load() -> ModuleType:
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    package = find_spec("segment_anything")  # finds it, and runs nothing of it
    places = [] if package is None else list(package.submodule_search_locations or ())
    folder = next((Path(p) / "modeling" for p in places if (Path(p) / "modeling").is_dir()), None)
    spec = folder and spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if not spec or spec.loader is None:
        raise ModelError(
            'Models of the SAM family need the package "segment-anything": '
            "pip install segment-anything."
        )
    module = module_from_spec(spec)
    sys.modules[_NAME] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_NAME]
        raise
    return module


_modeling: Any = _load()

ImageEncoderViT = _modeling.ImageEncoderViT
MaskDecoder = _modeling.MaskDecoder
PromptEncoder = _modeling.PromptEncoder
TwoWayTransformer = _modeling.TwoWayTransformer
Attention = import_module(f"{_NAME}.transformer").Attention
