"""Kernel: seeds grow through a mask along the cheapest way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.flows._jit import kernel

_NEVER = 2**31 - 1


@kernel
def grow(
    owner: NDArray[np.int32],
    field: NDArray[np.float32],
    offsets: NDArray[np.int64],
    directions: NDArray[np.float32],
    lengths: NDArray[np.int32],
    wall: float,
) -> None:
    """Give each free voxel to the seed from which the way is cheapest, in place.

    `owner` (n,) is -1 outside (at the border of the array, too), 0 where it is free and k > 0 in
    a seed. `field` (n, 3) are directions; a step, one of `offsets` with its unit vector and its
    length, costs the length plus `wall` × how far the field parts along it. That is summed axis by
    axis: on a ridge the field closes in across while it parts along, and a slanting step over it
    must not go free. Costs are small whole
    numbers, so that a ring of buckets serves as the queue (Dial, Communications of the ACM 12,
    1969); each voxel is in at most one bucket, as a doubly linked list.
    """
    size = int(lengths.max()) + int(2.0 * wall) + 2
    head = np.full(size, -1, np.int32)
    after = np.full(owner.size, -1, np.int32)
    before = np.full(owner.size, -1, np.int32)
    cost = np.full(owner.size, _NEVER, np.int32)
    waiting = 0
    for p in range(owner.size):
        if owner[p] > 0:
            cost[p] = 0
            after[p] = head[0]
            if head[0] >= 0:
                before[head[0]] = p
            head[0] = p
            waiting += 1
    now = 0
    while waiting > 0:
        p = head[now % size]
        if p < 0:
            now += 1
            continue
        head[now % size] = after[p]
        if after[p] >= 0:
            before[after[p]] = -1
        waiting -= 1
        for k in range(len(offsets)):
            q = p + offsets[k]
            if owner[q] < 0 or cost[q] <= now + lengths[k]:
                continue
            apart = (
                max(0.0, (field[q, 0] - field[p, 0]) * directions[k, 0])
                + max(0.0, (field[q, 1] - field[p, 1]) * directions[k, 1])
                + max(0.0, (field[q, 2] - field[p, 2]) * directions[k, 2])
            )
            spent = now + lengths[k]
            if apart > 0.0:
                spent += int(wall * min(apart, 2.0))
            if spent >= cost[q]:
                continue
            if cost[q] == _NEVER:
                waiting += 1
            else:  # leave the former bucket
                if before[q] >= 0:
                    after[before[q]] = after[q]
                else:
                    head[cost[q] % size] = after[q]
                if after[q] >= 0:
                    before[after[q]] = before[q]
            cost[q] = spent
            owner[q] = owner[p]
            bucket = spent % size
            before[q] = -1
            after[q] = head[bucket]
            if head[bucket] >= 0:
                before[head[bucket]] = q
            head[bucket] = q
