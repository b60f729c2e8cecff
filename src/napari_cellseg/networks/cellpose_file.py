"""Where the package cellpose keeps the weights of Cellpose-SAM; looked up without torch."""

import os
from pathlib import Path

#: What the package calls its files, newest first.
NAMES = ("cpsam_v2", "cpsam")


def kept_folder() -> Path:
    """Where the package looks for its files."""
    given = os.environ.get("CELLPOSE_LOCAL_MODELS_PATH")
    return Path(given) if given else Path.home() / ".cellpose" / "models"


def kept_file() -> Path | None:
    """The package's file of weights; None where there is none."""
    files = (kept_folder() / name for name in NAMES)
    return next((file for file in files if file.is_file()), None)
