"""The package as a whole: what importing it costs and loads, its public names, its layers."""

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_cellseg as nc

ROOT = Path(nc.__file__).parent
HEAVY = ("torch", "numba", "napari", "qtpy", "PyQt6", "pandas", "skimage", "scipy", "dask", "zarr")
WINDOW = ("napari", "qtpy", "PyQt6", "PySide6", "vispy", "magicgui")

#: What may import what: only from a lower number. `widgets`, `cli` and `contributions` see all.
RANK = {
    "errors": 0,
    "volume": 1,
    "networks": 2,
    "flows": 3,
    "sample": 3,
    "prompts": 4,
    "labels": 4,
    "evaluation": 5,
    "worker": 6,
    "training": 7,
    "session": 7,
    "contributions": 8,
    "cli": 9,
    "widgets": 9,
}
#: The first-use imports of the package's own face do not count as a dependency.
FACE = {"__init__"}


def fresh_python(code: str) -> str:
    """Output of a new interpreter that ran the code."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def part_of(file: Path) -> str:
    """Part of the package that a file belongs to."""
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def sources() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, but not what it imports only for types."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == "napari_cellseg":
                yield from (f"napari_cellseg.{alias.name}" for alias in node.names)


def test_import_is_quick():
    code = (
        "import time; begun = time.process_time(); import napari_cellseg; "
        "print(time.process_time() - begun)"
    )
    # processor time, and the best of three: the machine may be busy with something else
    assert min(float(fresh_python(code)) for _ in range(3)) < 0.3


def test_import_loads_nothing_heavy():
    code = "import json, sys, napari_cellseg; print(json.dumps(sorted(sys.modules)))"
    loaded = {name.partition(".")[0] for name in json.loads(fresh_python(code))}
    assert loaded.isdisjoint(HEAVY)


def test_importing_the_whole_engine_loads_no_window():
    names = [
        ".".join((*file.relative_to(ROOT.parent).parts[:-1], file.stem)).removesuffix(".__init__")
        for file in sources()
        if part_of(file) != "widgets" and file.stem != "__main__"
    ]
    assert len(names) > 30
    code = f"""
import importlib, json, sys
for name in {names}:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""
    loaded = {name.partition(".")[0] for name in json.loads(fresh_python(code))}
    assert loaded.isdisjoint(WINDOW)


@pytest.mark.parametrize("file", sources(), ids=lambda f: str(f.relative_to(ROOT)))
def test_layers(file: Path):
    part = part_of(file)
    if part in FACE:
        return
    for module in imported(file):
        top, _, rest = module.partition(".")
        if part != "widgets":
            assert top not in WINDOW, f"{file.name} imports {module}: only widgets may"
        if top == "napari_cellseg" and rest:
            other = rest.partition(".")[0]
            if other in RANK and other != part:
                assert RANK[other] < RANK[part], f"{part} may not import {other} ({file.name})"


def test_every_part_has_a_rank():
    parts = {part_of(file) for file in sources()} - FACE
    assert parts <= RANK.keys(), "say in RANK where the new part stands"


@pytest.mark.parametrize("name", nc.__all__)
def test_public_name(name: str):
    value = getattr(nc, name)
    assert inspect.isclass(value) or inspect.isfunction(value)
    assert inspect.getdoc(value)
    assert name in dir(nc)


def test_public_name_survives_the_import_of_modules_named_alike():
    code = (
        "import napari_cellseg.flows.mediar3d, napari_cellseg.session, napari_cellseg as nc; "
        "print(callable(nc.segment), callable(nc.Session), callable(nc.evaluate))"
    )
    assert fresh_python(code).split() == ["True", "True", "True"]


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'segmentation'"):
        nc.segmentation  # noqa: B018 - the access is the test


def test_errors_have_one_root():
    assert issubclass(nc.InputError, ValueError)
    for name in ("InputError", "ModelError", "StorageError", "Cancelled"):
        assert issubclass(getattr(nc, name), nc.CellsegError)


def test_version_is_the_installed_one():
    from importlib.metadata import version

    assert nc.__version__ == version("napari-cellseg")


def test_package_is_typed():
    assert (ROOT / "py.typed").is_file()


@pytest.mark.parametrize("file", sources(), ids=lambda f: str(f.relative_to(ROOT)))
def test_nothing_is_loaded_that_could_run_code(file: Path):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert given.get("weights_only", "True") == "True", f"line {node.lineno}"
            assert given.get("allow_pickle", "False") == "False", f"line {node.lineno}"
            if ast.unparse(node.func) == "torch.load":
                assert "weights_only" in given, f"line {node.lineno}"
    assert not {"pickle", "dill", "joblib", "cloudpickle"} & set(imported(file))
