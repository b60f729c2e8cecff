"""The weights that come with the package, and their card; read without torch."""

import hashlib
import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any


def packaged_weights() -> Traversable:
    """Traversable resource of the weights that come with the package."""
    return files("napari_cellseg.networks") / "weights" / "builtin.safetensors"


@cache
def packaged_card() -> dict[str, Any]:
    """Facts about the packaged weights: SHA-256, scores, data."""
    text = (files("napari_cellseg.networks") / "weights" / "builtin.json").read_text("utf-8")
    card: dict[str, Any] = json.loads(text)
    return card


def verify_packaged_weights() -> bool:
    """Whether the packaged weights have the SHA-256 that the package says they have."""
    digest = hashlib.sha256(packaged_weights().read_bytes()).hexdigest()
    return bool(digest == packaged_card()["sha256"])
