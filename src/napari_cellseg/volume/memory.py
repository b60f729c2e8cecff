"""Refuse what cannot fit into memory before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path

from napari_cellseg.errors import InputError

#: Bytes per voxel that segmenting in memory takes, measured: the field (flow and logit in 16 bits),
#: trajectories, labels, scratch.
SEGMENTING = 50

_CGROUPS = ("memory.max", "memory/memory.limit_in_bytes")


def available_memory() -> int | None:
    """Bytes that this process may still allocate, or None where the system does not tell."""
    limits: list[int] = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError):
        limits.extend(_physical())
    limits.extend(_container())
    return min(limits) if limits else None


def _physical() -> list[int]:
    try:
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return []


def _container() -> list[int]:
    limits = []
    for name in _CGROUPS:
        try:
            text = Path("/sys/fs/cgroup", name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return limits


def check_memory(nbytes: int, what: str) -> None:
    """Raise before an allocation that cannot succeed.

    Parameters
    ----------
    nbytes : int
        Bytes about to be allocated.
    what : str
        What they are for; the subject of the sentence.

    Raises
    ------
    InputError
        If the machine has less memory than that available.
    """
    available = available_memory()
    if available is not None and nbytes > available:
        raise InputError(
            f"{what} needs {_gigabytes(nbytes)} of memory but {_gigabytes(available)} are "
            "available: choose a smaller region."
        )


def _gigabytes(nbytes: int) -> str:
    return f"{nbytes / 1e9:,.1f} GB"
