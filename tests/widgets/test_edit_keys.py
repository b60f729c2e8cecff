"""The keys of editing: none of napari's on Labels layers, each once, named in the manifest."""

from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.key_bindings import coerce_keybinding
from npe2 import PluginManifest

from napari_cellseg.widgets.edit_keys import EDIT_ACTIONS, EDIT_KEYS
from napari_cellseg.widgets.edit_tools import ORDER, TOOLS
from napari_cellseg.widgets.prompt_keys import usable_keys
from widgets.test_prompt_keys import ENDS_A_SHAPE


def test_no_default_key_is_one_of_naparis(make_napari_viewer):
    make_napari_viewer()  # napari lists its keys once there is a window
    maps = (Labels.class_keymap, ViewerModel.class_keymap)
    taken = {str(coerce_keybinding(key)) for keys in maps for key in keys}
    assert {str(coerce_keybinding(key)) for key in ("P", "V", "Space", "Ctrl-R")} <= taken
    ours = {key for key in EDIT_KEYS.values() if key and key not in ENDS_A_SHAPE}
    assert len(ours) >= 6
    assert not taken & {str(coerce_keybinding(key)) for key in ours}


def test_the_default_keys_are_usable():
    assert usable_keys({}, EDIT_ACTIONS, EDIT_KEYS) == (EDIT_KEYS, ())


def test_every_action_has_a_preference():
    manifest = PluginManifest.from_file(Path(__file__).resolve().parents[2] / "napari.yaml")
    keys = manifest.contributions.configurations["edit_keys"]
    assert list(keys.properties) == list(EDIT_ACTIONS)
    assert {name: value.default for name, value in keys.properties.items()} == EDIT_KEYS


def test_every_tool_has_a_place_and_an_icon():
    from napari_cellseg.widgets import icons

    assert sorted(name for row in ORDER for name in row) == sorted(TOOLS)
    folder = Path(icons.__file__).parent
    assert all((folder / f"{name}.svg").is_file() for name in [*TOOLS, "undo", "redo", "unlock"])
