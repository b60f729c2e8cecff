"""The plugin's preferences, as napari keeps them (File › Preferences)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_cellseg.widgets.edit_keys import EDIT_KEYS
from napari_cellseg.widgets.prompt_keys import DEFAULT_KEYS
from napari_cellseg.widgets.review_keys import REVIEW_KEYS

PLUGIN = "napari-cellseg"


@dataclass(frozen=True)
class Preferences:
    """What the user chose in the preferences.

    Attributes
    ----------
    device : str
        "auto" (CUDA, then MPS, then CPU), "cuda", "mps" or "cpu".
    cache_folder : Path or None
        Where models, fields and embeddings are cached; None for the platform's own place.
    cache_size : float
        How much that folder may hold, in GB.
    documents_folder : Path or None
        Where the journals of labels are kept; None for the user's data folder.
    keys : dict of str to str
        Of prompting, by action, in napari's writing ("Control-Z"); empty for none.
    edit_keys : dict of str to str
        Of editing, likewise.
    review_keys : dict of str to str
        Of reviewing, likewise.
    """

    device: str = "auto"
    cache_folder: Path | None = None
    cache_size: float = 10.0
    documents_folder: Path | None = None
    keys: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_KEYS))
    edit_keys: Mapping[str, str] = field(default_factory=lambda: dict(EDIT_KEYS))
    review_keys: Mapping[str, str] = field(default_factory=lambda: dict(REVIEW_KEYS))


def preferences() -> Preferences:
    """Return the current preferences; the defaults where the manifest is not installed."""
    from napari.settings import get_plugin_settings

    try:
        settings = get_plugin_settings(PLUGIN)
    except KeyError:  # the plugin is disabled, or runs from a tree that was never installed
        return Preferences()
    folder, documents = settings.cache.folder.strip(), settings.documents.folder.strip()
    return Preferences(
        device=settings.computing.device,
        cache_folder=Path(folder).expanduser() if folder else None,
        cache_size=float(settings.cache.size),
        documents_folder=Path(documents).expanduser() if documents else None,
        keys=settings.keys.model_dump(),
        edit_keys=settings.edit_keys.model_dump(),
        review_keys=settings.review_keys.model_dump(),
    )
