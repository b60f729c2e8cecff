"""Put the top-level ``napari.yaml`` where npe2 looks for it: inside the package.

Wheels get it by force-include; an editable install gets a git-ignored copy in the source tree,
because an editable install reads the package from there.
"""

import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):
    """Ship the manifest with the package in wheels and in editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Include or copy the manifest, depending on the kind of build."""
        manifest = Path(self.root) / "napari.yaml"
        inside = Path(self.root) / "src" / "napari_cellseg" / "napari.yaml"
        if self.target_name != "wheel":
            return
        if version == "editable":
            shutil.copyfile(manifest, inside)
        else:
            build_data["force_include"][str(manifest)] = "napari_cellseg/napari.yaml"
