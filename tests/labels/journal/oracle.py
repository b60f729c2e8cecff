"""A small history of labels that both a test and the process that it kills can compute."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint32]


def base_labels(seed: int, shape: tuple[int, ...]) -> Labels:
    """The labels before the first record."""
    rows = np.arange(int(np.prod(shape)), dtype=np.uint32).reshape(shape)
    return (rows * np.uint32(2 * seed + 1)) >> np.uint32(20)


def payload(seed: int, number: int, shape: tuple[int, ...]) -> bytes:
    """The record with a number: writes a box, or writes another record's box anew."""
    random_ = random.Random(f"{seed}/{number}")
    if number > 3 and random_.random() < 0.2:
        record: dict[str, Any] = {"of": random_.randrange(max(1, number - 20), number)}
    else:
        ends = [sorted(random_.sample(range(size + 1), 2)) for size in shape]
        record = {"box": ends, "part": random_.randrange(2, 5)}
    record["id"] = random_.randrange(1, 2**32)
    # of uneven length, so that records end anywhere in a page
    record["note"] = random_.randbytes(random_.randrange(600)).hex()
    return json.dumps(record).encode()


def writes(
    payload: bytes, read: Callable[[int], bytes]
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.bool_], Any]]:
    """What a record writes, for the journal."""
    record = json.loads(payload)
    box, part = _box(record, read)
    region = tuple(slice(*ends) for ends in box)
    mask = np.zeros([stop - start for start, stop in box], bool)
    mask.reshape(-1)[::part] = True
    if record["id"] % 3 == 0:  # all three ways to give ids
        yield region, mask, record["id"]
    elif record["id"] % 3 == 1:
        yield region, mask, np.full(int(mask.sum()), record["id"], np.uint32)
    else:
        yield region, mask, np.full(mask.shape, record["id"], np.uint32)


def state(seed: int, last: int, shape: tuple[int, ...]) -> Labels:
    """The labels after a record, computed without the journal."""
    labels = base_labels(seed, shape)
    for number in range(1, last + 1):
        record = json.loads(payload(seed, number, shape))
        box, part = _box(record, lambda of: payload(seed, of, shape))
        view = labels[tuple(slice(*ends) for ends in box)]
        every = np.arange(view.size).reshape(view.shape) % part == 0
        view[every] = record["id"]
    return labels


def replay(labels: Labels, record: bytes, read: Callable[[int], bytes]) -> None:
    """Write a record onto labels."""
    for region, mask, values in writes(record, read):
        ids = np.asarray(values)
        labels[region][mask] = ids[mask] if ids.shape == mask.shape else ids


def _box(record: dict[str, Any], read: Callable[[int], bytes]) -> tuple[list[list[int]], int]:
    while "of" in record:
        record = json.loads(read(record["of"]))
    return record["box"], record["part"]
