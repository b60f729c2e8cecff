"""A region of a label store beyond memory as a document, and back into the store as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.labels.document import LabelDocument
from napari_cellseg.volume.patch_store import open_label_store
from napari_cellseg.volume.patch_zarr import (
    check_box,
    largest_id,
    read_region,
    region_digest,
    write_region,
)

if TYPE_CHECKING:
    from napari_cellseg.volume.patch_store import LabelStore

META = "region"
"""Name in a document's `meta` under which it knows where it is from."""
_SCAN = 0.8
"""Share of the work that looking through the store for its largest id is."""

Check = Callable[[float], None]


@dataclass(frozen=True)
class RegionOrigin:
    """Where a document's labels are from.

    Attributes
    ----------
    store : Path
    box : tuple of slice
        Over the store's axes, in voxels of its finest level.
    """

    store: Path
    box: tuple[slice, ...]


@dataclass(frozen=True)
class WrittenBack:
    """Outcome of `write_back`.

    Attributes
    ----------
    store : Path
    renamed : dict of int to int
        Objects that are new to the store: their ids in the document, and in the store.
    """

    store: Path
    renamed: dict[int, int]


def open_region(
    store: str | os.PathLike[str],
    region: Sequence[slice],
    *,
    meta: Mapping[str, Any] | None = None,
) -> LabelDocument:
    """Open a box of a label store as a document, which `write_back` puts back.

    Parameters
    ----------
    store : path-like
        See `open_label_store`.
    region : sequence of slice
        One per axis of the labels.
    meta : mapping, optional
        What else the document should know.

    Returns
    -------
    LabelDocument
        Without a journal; `attach` begins one. Its ids are those of the store, except where these
        need more than 32 bits.

    Raises
    ------
    InputError
        A region outside, or one that memory does not hold.
    StorageError
        A store that cannot be read.
    """
    path = Path(store).absolute()
    opened = open_label_store(path)
    box = check_box(region, opened.shape)
    values = read_region(opened, box)
    known = {
        "store": str(path),
        "box": [[part.start, part.stop] for part in box],
        "digest": region_digest(values),
    }
    spacing = opened.spacing if opened.spacing_known else None
    document = LabelDocument(values, spacing, opened.axes, copy=False, meta=meta)
    ids = _ids_of(document.labels)
    original = document.original_ids
    document.meta[META] = {
        **known,
        "ids": ids.tolist(),
        "names": (ids if original is None else original[ids]).tolist(),
    }
    return document


def region_of(document: LabelDocument) -> RegionOrigin | None:
    """Return where a document's labels are from; None where it is no region of a store."""
    found = document.meta.get(META)
    if not isinstance(found, dict):
        return None
    return RegionOrigin(Path(found["store"]), tuple(slice(a, b) for a, b in found["box"]))


def write_back(document: LabelDocument, check: Check = lambda fraction: None) -> WrittenBack:
    """Put a region's labels back into their store: all of them, or nothing.

    Objects that were in the region when it was opened keep their ids, also where they continue
    outside; new ones get ids above the largest of the store. The document goes on being the
    region's.

    Parameters
    ----------
    document : LabelDocument
        Of `open_region`, or opened again from its journal. Edits that are made meanwhile are not
        written.
    check : callable, optional
        Told how far the work is; may raise to stop it, and nothing is changed then.

    Raises
    ------
    InputError
        The document is no region of a store, or the store has no ids left.
    StorageError
        The region was changed in the store since it was opened, or cannot be written.
    """
    origin = region_of(document)
    if origin is None:
        raise InputError("These labels are no region of a store: save them as a file of their own.")
    if any(step.kind == "relabel" for step in document.history):
        raise InputError(
            "The cells were numbered anew, so that nobody knows which of the store's they are: "
            "undo that step to write the region back."
        )
    labels, number = document.copy_of_labels()
    known = _caught_up(document, origin)
    plan: dict[str, Any] = {}
    given: dict[int, int] = {}

    def made(store: LabelStore) -> NDArray[Any]:
        ids, names = np.array(known["ids"], np.int64), np.array(known["names"], np.uint64)
        new = np.setdiff1d(_ids_of(labels), ids)
        if len(new):
            highest = largest_id(store, lambda fraction: check(_SCAN * fraction))
            fresh = highest + 1 + np.arange(len(new), dtype=np.uint64)
            given.update(zip(new.tolist(), fresh.tolist(), strict=True))
            ids, names = np.append(ids, new), np.append(names, fresh.astype(np.uint64))
        values = _named(labels, ids, names)
        plan.update(digest=region_digest(values), ids=ids.tolist(), names=names.tolist())
        # told before it is so: after a crash in between, the store says whether it came true
        document.set_meta(META, {**known, "next": dict(plan)})
        return values

    try:
        write_region(
            origin.store,
            origin.box,
            made,
            expected=known["digest"],
            check=lambda fraction: check(_SCAN + (1 - _SCAN) * fraction),
        )
    except BaseException:
        if not document.read_only:
            document.set_meta(META, known)
        raise
    document.set_meta(META, {**known, **plan})
    document.note_exported(origin.store, number)
    return WrittenBack(origin.store, given)


def _caught_up(document: LabelDocument, origin: RegionOrigin) -> dict[str, Any]:
    """What is known of the region, with a write that a crash has kept from being noted."""
    known = dict(document.meta[META])
    told = known.pop("next", None)
    if told is not None and region_digest(read_region(origin.store, origin.box)) == told["digest"]:
        known.update(told)
    return known


def _ids_of(labels: NDArray[Any]) -> NDArray[np.int64]:
    planes = labels.reshape(-1, *labels.shape[-2:])
    found = np.unique(np.concatenate([np.unique(plane) for plane in planes])).astype(np.int64)
    kept: NDArray[np.int64] = found[found != 0]
    return kept


def _named(
    labels: NDArray[np.uint32], ids: NDArray[np.int64], names: NDArray[np.uint64]
) -> NDArray[Any]:
    """Labels under the names that their ids have in the store."""
    if np.array_equal(ids.astype(np.uint64), names):
        return labels
    order = np.argsort(ids)
    table = np.append(np.zeros(1, np.uint64), names[order])
    rows = np.append(np.zeros(1, np.int64), ids[order])
    values = np.empty(labels.shape, np.uint64)
    for target, part in zip(values, labels, strict=True):
        target[...] = table[np.searchsorted(rows, part)]
    return values
