"""Check an installed wheel: napari finds the plugin and every command of it can be resolved.

Run it away from the checkout, with the Python of the environment that holds the wheel.
"""

import argparse
import sys

import napari_cellseg


def discovered() -> dict[str, list[str]]:
    """Return the titles of what napari finds of the plugin, by kind of contribution.

    Raises
    ------
    SystemExit
        If a kind is missing.
    """
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    manifest = manager.get_manifest("napari-cellseg")
    found = manifest.contributions
    kinds = {
        "readers": [c.command for c in found.readers or []],
        "writers": [c.command for c in found.writers or []],
        "widgets": [c.display_name for c in found.widgets or []],
        "sample data": [c.display_name for c in found.sample_data or []],
    }
    for kind, titles in kinds.items():
        if not titles:
            raise SystemExit(f"napari finds no {kind} of napari-cellseg in this environment")
    return kinds


def check_widgets() -> None:
    """Resolve every command of the manifest, and open each widget in a real viewer."""
    import napari
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manifest = manager.get_manifest("napari-cellseg")
    for command in manifest.contributions.commands or []:
        manager.commands.get(command.id)
    viewer = napari.Viewer(show=False)
    for widget in manifest.contributions.widgets or []:
        viewer.window.add_plugin_dock_widget("napari-cellseg", widget.display_name)
    viewer.close()


def main() -> None:
    """Run the checks and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", action="store_true", help="open the widgets too; needs Qt")
    options = parser.parse_args()
    for kind, titles in discovered().items():
        print(f"{kind}: {', '.join(titles)}")
    if "qtpy" in sys.modules:
        raise SystemExit("discovering the plugin imported Qt")
    if options.window:
        check_widgets()
        print("every command resolves and every widget opens")
    print(f"napari-cellseg {napari_cellseg.__version__} is installed as a wheel should be")


if __name__ == "__main__":
    main()
