"""The command line: the same engine as the window, without a screen."""

from napari_cellseg.cli.main import main

__all__ = ["main"]
