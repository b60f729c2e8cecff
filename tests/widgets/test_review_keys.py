"""The keys of reviewing: none of napari's on Labels layers, each once, named in the manifest."""

from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.events import EmitterGroup
from napari.utils.key_bindings import coerce_keybinding
from npe2 import PluginManifest

from napari_cellseg.widgets.edit_keys import EDIT_KEYS
from napari_cellseg.widgets.prompt_keys import usable_keys
from napari_cellseg.widgets.review_keys import REVIEW_ACTIONS, REVIEW_KEYS, shown_key
from napari_cellseg.widgets.review_panel import BUTTONS


def test_no_default_key_is_one_of_naparis(make_napari_viewer):
    make_napari_viewer()  # napari lists its keys once there is a window
    maps = (Labels.class_keymap, ViewerModel.class_keymap)
    taken = {str(coerce_keybinding(key)) for keys in maps for key in keys}
    ours = {str(coerce_keybinding(key)) for key in REVIEW_KEYS.values() if key}
    assert len(ours) >= 10
    assert not taken & ours


def test_the_default_keys_are_usable():
    assert usable_keys({}, REVIEW_ACTIONS, REVIEW_KEYS) == (REVIEW_KEYS, ())


def test_letters_mean_what_they_mean_in_the_edit_dock():
    both = {key for key in REVIEW_KEYS.values() if key} & set(EDIT_KEYS.values())
    of_edit = {key: action for action, key in EDIT_KEYS.items()}
    assert both == {"D", "S", "J"}
    assert all(REVIEW_KEYS[of_edit[key]] == key for key in both)


def test_every_action_has_a_preference_that_napari_can_name_an_event_after():
    manifest = PluginManifest.from_file(Path(__file__).resolve().parents[2] / "napari.yaml")
    keys = manifest.contributions.configurations["review_keys"]
    assert list(keys.properties) == list(REVIEW_ACTIONS)
    assert {name: value.default for name, value in keys.properties.items()} == REVIEW_KEYS
    assert not [name for name in REVIEW_ACTIONS if hasattr(EmitterGroup, name)]


def test_every_button_has_an_action():
    assert set(BUTTONS) <= set(REVIEW_ACTIONS)
    assert shown_key("Shift-N") == "⇧N"
