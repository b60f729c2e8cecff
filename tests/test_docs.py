"""What README and documentation say is so."""

import re
from pathlib import Path

import pytest

import napari_cellseg as nc
from fakes import BlobNetwork, blob_volume

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_every_public_name_is_documented():
    documented = re.findall(r"^::: napari_cellseg\.(\w+)$", page("docs/api.md"), re.MULTILINE)
    assert sorted(documented) == sorted(nc.__all__)


@pytest.mark.parametrize("file", PAGES, ids=lambda f: f.name)
def test_python_examples_use_public_names(file: Path):
    for block in python_blocks(file.read_text("utf-8")):
        compile(block, file.name, "exec")
        for name in re.findall(r"\bnc\.(\w+)", block):
            assert name in nc.__all__


@pytest.mark.parametrize("name", ["README.md", "docs/api.md"])
def test_the_first_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    array, truth = blob_volume((24, 48, 48))
    nc.write_labels(tmp_path / "stack.tif", array.astype("uint16"), spacing=(1.0, 1.0, 1.0))
    monkeypatch.chdir(tmp_path)
    segment = nc.segment
    monkeypatch.setattr(
        nc, "segment", lambda volume, **given: segment(volume, BlobNetwork(), **given)
    )
    names: dict[str, object] = {}
    exec(python_blocks(page(name))[0], names)
    result = names["result"]
    assert isinstance(result, nc.Segmentation)
    assert len(result.table) == truth.max()
    assert nc.read_volume("cells.ome.zarr/labels/cells").shape == truth.shape


@pytest.mark.parametrize("file", PAGES, ids=lambda f: f.name)
def test_links_lead_somewhere(file: Path):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", file.read_text("utf-8")):
        if not target.startswith("http"):
            assert (file.parent / target).exists(), f"{file.name} links to {target}"


@pytest.mark.parametrize("verb", ["segment", "clicks"])
def test_command_line_options(verb: str, capsys: pytest.CaptureFixture[str]):
    from napari_cellseg.cli import main

    main([verb, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--debug"}
    text = page("docs/command-line.md")
    text = text[re.search(rf"^## .*{verb}", text, re.MULTILINE | re.IGNORECASE).start() :]
    text = text[: text.find("\n## ", 1)]
    rows = re.findall(r"^\| `(?:-o`, `)?(--[a-z-]+)", text, re.MULTILINE)
    assert rows, "the page has a table of options"
    if verb == "segment":
        assert set(rows) == known
    else:  # those that segment has too are explained there
        assert set(rows) <= known


def test_command_lines_name_options_that_exist(capsys: pytest.CaptureFixture[str]):
    from napari_cellseg.cli import main

    for file in PAGES:
        text = file.read_text("utf-8")
        for verb, rest in re.findall(r"^napari-cellseg (\w+)(.*)$", text, re.MULTILINE):
            main([verb, "--help"])
            helped = capsys.readouterr().out
            for option in re.findall(r"(--[a-z-]+)", rest):
                assert option in helped, f"{file.name}: napari-cellseg {verb}{rest}"


def test_every_column_of_the_table_is_explained():
    text = page("docs/concepts.md")
    text = text[text.index("## The table") :]
    for array, spacing in ((blob_volume()[0], (2.0, 1.0, 1.0)), (blob_volume()[0][16], None)):
        result = nc.segment(array, BlobNetwork(), diameter=12, spacing=spacing, flow_error=3)
        for column in (*result.table.index.names, *result.table.columns):
            group = re.sub(r"^bbox_.*", "bbox_z0", column)
            assert f"`{group}`" in text, column


def test_menu_entries_are_named_as_in_the_manifest():
    manifest, text = page("napari.yaml"), page("docs/first-stack.md")
    (widget,) = re.findall(r"\*\*Plugins ▸ (.*?) \(napari-cellseg\)\*\*", text)
    assert f"display_name: {widget}\n" in manifest
    (sample,) = re.findall(r"\*\*File ▸ Open Sample ▸ (.*?)\*\*", text)
    assert f"display_name: {sample}\n" in manifest


def test_versions_agree():
    project = re.search(r'^version = "(.*)"', page("pyproject.toml"), re.MULTILINE)
    citation = re.search(r"^version: (.*)$", page("CITATION.cff"), re.MULTILINE)
    assert project is not None
    assert citation is not None
    assert project[1] == citation[1]
