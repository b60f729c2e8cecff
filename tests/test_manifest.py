"""The manifest: valid, shipped as it lies at the top level, and what napari makes of it."""

import inspect
from importlib.resources import files
from pathlib import Path

import pytest
from napari._app_model.constants import MenuId
from npe2 import PluginManager, PluginManifest

MANIFEST = Path(__file__).resolve().parents[1] / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(MANIFEST)


def test_the_packaged_copy_is_the_top_level_file():
    packaged = Path(str(files("napari_cellseg") / "napari.yaml"))
    assert packaged.read_bytes() == MANIFEST.read_bytes(), "install the package again"


def test_npe2_finds_the_plugin_and_its_imports(manifest):
    manager = PluginManager.instance()
    manager.discover()
    assert "napari-cellseg" in manager
    manifest.validate_imports()


def test_the_dock_has_one_name_however_it_is_opened(manifest):
    # add_plugin_dock_widget names a dock after the plugin, the menu after its display name
    assert manifest.display_name == manifest.name


def test_every_menu_takes_contributions(manifest):
    assert manifest.contributions.menus
    assert set(manifest.contributions.menus) <= {str(menu) for menu in MenuId.contributables()}


def test_every_command_has_words_and_does_something(manifest):
    for command in manifest.contributions.commands:
        assert command.title[0].isupper()
        function = command.python_name
        module, name = function.split(":")
        found = getattr(__import__(module, fromlist=[name]), name)
        assert inspect.getdoc(found), f"{function} says nothing about itself"


@pytest.mark.parametrize(
    "name", ["a.tif", "a.tiff", "a.ome.tif", "a.ome.tiff", "a.zarr", "a.ome.zarr"]
)
def test_the_reader_claims_images(manifest, name, tmp_path):
    manager = PluginManager()
    manager.register(manifest)
    path = tmp_path / name
    path.mkdir() if name.endswith("zarr") else path.touch()
    readers = [reader.command for reader in manager.iter_compatible_readers([str(path)])]
    assert readers == ["napari-cellseg.read"]


@pytest.mark.parametrize("extension", [".tif", ".ome.tif", ".zarr", ".ome.zarr"])
def test_the_writer_takes_one_labels_layer(manifest, extension):
    manager = PluginManager()
    manager.register(manifest)
    writers = [
        writer
        for writer in manager.iter_compatible_writers(["labels"])
        if extension in writer.filename_extensions
    ]
    assert writers
    assert not list(manager.iter_compatible_writers(["image"]))


def test_preferences_have_defaults_and_can_be_set(plugin_settings, npe2pm, tmp_path):
    from napari.settings import get_plugin_settings

    from napari_cellseg.widgets.preferences import Preferences, preferences

    assert preferences() == Preferences()  # not registered here: the defaults
    npe2pm.register(PluginManifest.from_file(MANIFEST))
    assert preferences() == Preferences(), "the manifest's defaults are the code's"
    settings = get_plugin_settings("napari-cellseg")
    settings.computing.device = "cpu"
    settings.cache.folder = str(tmp_path)
    settings.cache.size = 2.5
    assert preferences() == Preferences("cpu", tmp_path, 2.5)
    with pytest.raises(ValueError, match="allowed"):
        settings.computing.device = "abacus"
