"""A session's parameters as a JSON document that reruns headless."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.session.parameters import Parameters

SCHEMA = 1


def to_recipe(parameters: Parameters, source: Path | None, version: str) -> dict[str, Any]:
    """Describe a run in plain JSON types.

    Parameters
    ----------
    parameters : Parameters
    source : Path or None
        The image's file, for the reader; rerunning takes any image.
    version : str
        Of napari-cellseg.
    """
    values = parameters.as_dict()
    files = [str(file) for file in parameters.files]
    values["checkpoint"] = files if len(files) > 1 else files[0] if files else None
    values["spacing"] = None if parameters.spacing is None else list(parameters.spacing)
    if parameters.region is not None:
        values["region"] = [[part.start, part.stop] for part in parameters.region]
    return {
        "schema": SCHEMA,
        "version": version,
        "source": None if source is None else str(source),
        "parameters": values,
    }


def from_recipe(recipe: Any) -> dict[str, Any]:
    """Return the parameters of a recipe, for `Parameters.update`.

    Raises
    ------
    InputError
        It is not a recipe, or of a newer schema.
    """
    if not isinstance(recipe, dict) or not isinstance(recipe.get("parameters"), dict):
        raise InputError("This is not a recipe: it has no 'parameters'.")
    schema = recipe.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise InputError(
            f"The recipe has schema {schema!r} and this version reads up to {SCHEMA}; "
            "update napari-cellseg."
        )
    values = dict(recipe["parameters"])
    region = values.get("region")
    if region is not None:
        try:
            values["region"] = tuple(slice(start, stop) for start, stop in region)
        except (TypeError, ValueError):
            raise InputError(
                f"The recipe's region must be [start, stop] per axis, not {region!r}."
            ) from None
    return values


def write_recipe(path: str | Path, recipe: dict[str, Any]) -> Path:
    """Write a recipe whole or not at all.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(f"{target} could not be written: {error.strerror}.") from error
    return target


def read_recipe(path: str | Path) -> Any:
    """Read a recipe's JSON.

    Raises
    ------
    InputError
        There is no such file, or it is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} could not be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not a recipe: it is not valid JSON.") from error
