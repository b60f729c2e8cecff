"""The keys of prompting: none of napari's, each once, and only on the layers that take prompts."""

import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts

from napari_cellseg.widgets.prompt_keys import ACTIONS, DEFAULT_KEYS, PromptKeys, usable_keys

ENDS_A_SHAPE = {"Enter", "Escape"}


def napari_keys(make_napari_viewer):
    """Keys that napari has on a viewer and on Points, Shapes and Labels layers."""
    make_napari_viewer()
    maps = [
        Points.class_keymap,
        Shapes.class_keymap,
        Labels.class_keymap,
        ViewerModel.class_keymap,  # the viewer of a window has a keymap of its own, which is empty
    ]
    return {str(coerce_keybinding(key)) for keys in maps for key in keys}


def test_no_default_key_is_one_of_naparis(make_napari_viewer):
    taken = napari_keys(make_napari_viewer)
    assert {str(coerce_keybinding(key)) for key in ("P", "V", "Space", "Ctrl-R")} <= taken
    ours = {key for key in DEFAULT_KEYS.values() if key and key not in ENDS_A_SHAPE}
    undo = {"Control-Z", "Control-Shift-Z"}  # the standing exception of Labels layers
    assert not taken & {str(coerce_keybinding(key)) for key in ours - undo}
    on_points = default_shortcuts["napari:delete_selected_points"]
    assert not {str(key) for key in on_points} & {str(coerce_keybinding(key)) for key in ours}


def test_every_action_has_a_name_and_a_preference():
    from pathlib import Path

    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(Path(__file__).resolve().parents[2] / "napari.yaml")
    keys = manifest.contributions.configurations["keys"]
    assert list(keys.properties) == list(ACTIONS) == list(DEFAULT_KEYS)
    assert {name: value.default for name, value in keys.properties.items()} == DEFAULT_KEYS


def test_unusable_and_double_keys_are_said_and_left_out():
    keys, problems = usable_keys({"accept": "no key", "next": "K", "cycle": "k", "discard": ""})
    assert (keys["accept"], keys["cycle"], keys["next"], keys["discard"]) == ("", "k", "", "")
    assert keys["undo"] == DEFAULT_KEYS["undo"]
    assert len(problems) == 2
    assert usable_keys({}) == (DEFAULT_KEYS, ())


@pytest.mark.parametrize("kind", [Points, Shapes])
def test_keys_are_bound_to_a_layer_and_taken_back(kind):
    pressed = []
    layer = kind(ndim=3)
    keys = PromptKeys(usable_keys({})[0], pressed.append)
    keys.bind(layer)
    bound = {str(key): call for key, call in layer.keymap.items()}
    bound[str(coerce_keybinding("C"))](layer)
    assert pressed == ["cycle"]
    keys.unbind(layer)
    assert not layer.keymap


def test_enter_first_ends_a_shape_that_is_being_drawn():
    pressed = []
    layer = Shapes(ndim=2)
    PromptKeys({"accept": "Enter"}, pressed.append).bind(layer)
    (enter,) = layer.keymap.values()
    layer._is_creating = True
    enter(layer)
    assert not pressed
    assert not layer._is_creating
    enter(layer)
    assert pressed == ["accept"]
