"""Load one module of a package, without what the package's front door brings along.

``import segment_anything``, ``segmentation_models_pytorch`` or ``cellpose.vit`` import torchvision,
that torch's compiler, and that Triton, whose native code ends the process where a software OpenGL
(Mesa, on servers and remote desktops) has its own copy of LLVM loaded. Their networks need torch
only; they are loaded here by themselves, under names of ours.
"""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Mapping
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from napari_cellseg.errors import ModelError

_lock = threading.RLock()


def load_alone(
    package: str, module: str, advice: str, instead: Mapping[str, Any] | None = None
) -> Any:
    """Load a module of an installed package; no ``__init__`` above it is run.

    Parameters
    ----------
    package : str
        As it is imported.
    module : str
        Dotted path within the package, of a module or a folder of modules.
    advice : str
        What to tell a user who lacks the package, or has another version of it.
    instead : mapping, optional
        What ``import name`` and ``from name import ...`` at the module's top find, by name,
        in place of what is installed.

    Returns
    -------
    module
        The same one at each call.

    Raises
    ------
    ModelError
        If the package is not installed, or has no such module.
    """
    root = f"{__package__}._{package}"
    name = f"{root}.{module}"
    with _lock:
        if name in sys.modules:
            return sys.modules[name]
        file = _place(package, module, advice)
        above = name.split(".")[:-1]
        for depth in range(len(root.split(".")), len(above) + 1):
            folder = file.parents[len(above) - depth + (file.name == "__init__.py")]
            _bare(".".join(above[:depth]), folder)
        return _run(name, file, instead or {}, advice)


def _place(package: str, module: str, advice: str) -> Path:
    try:
        spec = find_spec(package)  # finds it, and runs nothing of it
    except ValueError:  # a stand-in without a spec, in sys.modules
        spec = None
    for place in [] if spec is None else spec.submodule_search_locations or ():
        path = Path(place, *module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    raise ModelError(advice)


def _bare(name: str, folder: Path) -> None:
    """Put a package that runs nothing where relative imports look for it."""
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def _run(name: str, file: Path, instead: Mapping[str, Any], advice: str) -> ModuleType:
    folder = [str(file.parent)] if file.name == "__init__.py" else None
    spec = spec_from_file_location(name, file, submodule_search_locations=folder)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    if instead:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importing(instead)}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, AttributeError) as error:
        del sys.modules[name]
        raise ModelError(advice) from error
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _importing(instead: Mapping[str, Any]) -> Any:
    """What an import statement calls, for one module alone: nobody else sees the stand-ins."""

    def find(name: str, *where: Any, **named: Any) -> Any:
        if name in instead:
            return instead[name]
        return builtins.__import__(name, *where, **named)

    return find
