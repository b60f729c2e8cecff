"""How a session describes itself: recipes, and regions of its image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_cellseg.errors import InputError
from napari_cellseg.session import recipe as recipes
from napari_cellseg.session.jobs import SessionJobs
from napari_cellseg.session.parameters import Parameters
from napari_cellseg.session.records import Proposal, Region


class SessionRecipes(SessionJobs):
    """The part of a session that writes and takes recipes."""

    def layer_metadata(self, proposal: Proposal | None = None) -> dict[str, Any]:
        """Describe where the labels come from, in JSON types, for a layer's metadata.

        Parameters
        ----------
        proposal : Proposal, optional
            Describe it instead of the labels.

        Returns
        -------
        dict
            A recipe with the parameters that made the labels, whatever they are now; with none
            where the labels were adopted.
        """
        shown = proposal if proposal is not None else self._applied
        if shown is None:
            return {**self.recipe(), "parameters": {}, "result": {}, "adopted": True}
        return {
            **self._recipe_of(Parameters(**shown.settings)),
            "result": dict(shown.segmentation.parameters),
            "adopted": False,
        }

    def recipe(self) -> dict[str, Any]:
        """Return the parameters as a JSON-able dict that reruns headless."""
        return self._recipe_of(self.parameters)

    def _recipe_of(self, parameters: Parameters) -> dict[str, Any]:
        from napari_cellseg import __version__

        source = None if self.volume is None else self.volume.source
        return recipes.to_recipe(parameters, source, __version__)

    def _restore(self, settings: dict[str, Any]) -> None:
        """Take up the parameters of a former run; the machine and the image stay as they are."""
        names = ["channel", "second_channel", "model", "checkpoint", "fusion"]
        names += ["probability", "min_size", "flow_error"]
        if settings["spacing"] == self.parameters.spacing:  # else in another unit, maybe
            names.append("diameter")
        self.parameters.update({name: settings[name] for name in names})

    def use_recipe(self, recipe: dict[str, Any]) -> None:
        """Take the parameters of a recipe, all or (InputError) none."""
        with self._lock:
            self.parameters.update(recipes.from_recipe(recipe))
            self._refresh()

    def save_recipe(self, path: str | Path) -> Path:
        """Write the recipe as JSON."""
        return recipes.write_recipe(path, self.recipe())

    def load_recipe(self, path: str | Path) -> None:
        """Take the parameters of a recipe file."""
        self.use_recipe(recipes.read_recipe(path))

    def _checked(self, region: Sequence[slice]) -> Region:
        """Return the region with plain bounds, cut to the image.

        Raises
        ------
        InputError
            It does not fit the label axes or is empty.
        """
        shape, axes = self.label_shape, self.label_axes
        if len(region) != len(shape):
            raise InputError(
                f"The region has {len(region)} slices and the image {len(shape)} axes ({axes})."
            )
        bounds = [part.indices(length) for part, length in zip(region, shape, strict=True)]
        for axis, (start, stop, step) in zip(axes, bounds, strict=True):
            if stop <= start or step != 1:
                raise InputError(f"The region is empty or uneven along {axis}: choose another.")
        return tuple(slice(start, stop) for start, stop, _ in bounds)
