"""What an embedding is filed under: everything that it depends on, and nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from napari_cellseg.prompts.predictor import Predictor

FORMAT = 1
"""Version of entries and of what a predictor does to a plane before it encodes it. A change of
either must raise it: older entries are then ignored and leave by the size limit."""

Precision = Literal["float16", "float32"]


@dataclass(frozen=True)
class EmbeddingKey:
    """Name of a plane's embedding by one model.

    Two keys are equal only if the embeddings are. A key stays right for as long as the plane's
    values do.

    Attributes
    ----------
    digest : str
        SHA-256 over all that the embedding depends on, 64 hexadecimal digits.
    family, fingerprint, framing : str
        As in `Embedding`.
    shape : tuple of int
        Rows and columns of the plane.
    precision : str
        ``"float16"`` or ``"float32"``: how floating-point features are kept.
    """

    digest: str
    family: str
    fingerprint: str
    framing: str
    shape: tuple[int, int]
    precision: Precision


def content_digest(plane: ArrayLike) -> str:
    """Hash a plane's shape, number format and values (SHA-256, hexadecimal).

    SHA-256 because processors have instructions for it: about 1.5 GB/s, 5 ms for 2048² uint16.

    Raises
    ------
    InputError
        If it is no plane of numbers, (rows, cols) or (rows, cols, channels).
    """
    array = np.asarray(plane)
    if array.dtype.kind not in "buif":
        raise InputError(f"A plane of {array.dtype} values has no embedding: numbers are needed.")
    if array.ndim not in (2, 3):
        raise InputError(
            f"A plane of shape {array.shape} has no embedding: (rows, cols) or (rows, cols, 3) "
            "is needed."
        )
    facts = json.dumps([array.dtype.str, array.shape]).encode()
    # the facts' hash has a fixed length, so that no value can pass for a part of them
    content = hashlib.sha256(hashlib.sha256(facts).digest())
    content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def embedding_key(
    predictor: Predictor,
    plane: ArrayLike,
    limits: tuple[float, float] | None = None,
    *,
    orientation: str = "xy",
    precision: Precision = "float16",
) -> EmbeddingKey:
    """Name the embedding of a plane, or of a tile of one.

    Parameters
    ----------
    predictor : Predictor
        Its name, fingerprint and framing count.
    plane : array, (rows, cols) or (rows, cols, 3)
        Its values, shape and number format count; only the plane is read, never its volume.
    limits : two floats, optional
        As given to `Predictor.encode`. They do not count for uint8, which ignores them: moving
        the contrast of an 8-bit image costs no encoding.
    orientation : str
        ``"xy"``, ``"xz"`` or ``"yz"``, or any other text that keeps embeddings apart.
    precision : str
        How floating-point features are kept.

    Raises
    ------
    InputError
        If it is no plane of numbers, or `limits` are not two numbers.
    """
    array = np.asarray(plane)
    content = content_digest(array)
    used = None if array.dtype == np.uint8 else _exact(limits)
    ingredients = json.dumps(
        [
            "napari-cellseg embedding",
            FORMAT,
            content,
            used,
            predictor.name,
            predictor.fingerprint,
            predictor.framing,
            orientation,
            precision,
        ]
    )
    return EmbeddingKey(
        digest=hashlib.sha256(ingredients.encode()).hexdigest(),
        family=predictor.name,
        fingerprint=predictor.fingerprint,
        framing=predictor.framing,
        shape=(int(array.shape[0]), int(array.shape[1])),
        precision=precision,
    )


def _exact(limits: tuple[float, float] | None) -> list[str] | None:
    if limits is None:
        return None
    try:
        low, high = limits
        return [float(low).hex(), float(high).hex()]  # decimal digits could round two into one
    except (TypeError, ValueError) as error:
        raise InputError(f"The limits {limits!r} are not two numbers (black, white).") from error
