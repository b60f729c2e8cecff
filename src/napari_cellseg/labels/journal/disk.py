"""What a disk has really taken, and what kind of disk it is."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: File systems that other machines see, too: shared memory and locks do not reach across them.
NETWORK = {
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "orangefs", "panfs", "prl_fs", "pvfs2", "smb", "smb2", "smb3", "smbfs",
    "sshfs", "vboxsf", "virtiofs", "webdav",
}  # fmt: skip


def sync_file(file: IO[bytes]) -> None:
    """Return once the disk itself has what was written to the file."""
    file.flush()
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:  # macOS: fsync stops at the disk's own cache
        with contextlib.suppress(OSError):
            fcntl.fcntl(file.fileno(), full)
            return
    os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """Return once the disk has the content of a closed file."""
    with path.open("rb+") as file:
        sync_file(file)


def sync_folder(folder: Path) -> None:
    """Return once the disk has the names in a folder: what was created, renamed, removed."""
    if os.name == "nt":  # a folder cannot be opened there; NTFS journals its names
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def forget_cached(file: IO[bytes]) -> None:
    """Ask that the next reading comes from the disk and not from memory."""
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def free_bytes(folder: Path) -> int | None:
    """Room that is left where the folder lies; None where it cannot be asked."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def file_system(path: Path) -> str:
    """Return the kind of file system that a folder lies on, in lower case.

    Parameters
    ----------
    path : Path
        A folder or file; it need not exist.

    Returns
    -------
    str
        ``"ext4"``, ``"nfs4"``, ``"fuse.sshfs"``, ...; empty where the system does not say.
    """
    import psutil

    place = str(path.resolve())
    if place.startswith(("\\\\", "//")):
        return "smb"
    best, kind = -1, ""
    try:
        partitions = psutil.disk_partitions(all=True)
    except (OSError, RuntimeError):
        return ""
    for partition in partitions:
        mount = partition.mountpoint
        inside = place == mount or place.startswith(mount.rstrip("/\\") + os.sep)
        # of two mounts on one folder the later one is seen
        if inside and len(mount) >= best:
            remote = "remote" in partition.opts.split(",")
            best, kind = len(mount), "smb" if remote else partition.fstype
    return kind.lower()


def is_network(kind: str) -> bool:
    """Whether a file system may be shared with other machines, so that WAL is unsafe on it."""
    kind = kind.lower()
    # what FUSE mounts is as good as always somewhere else; `fuseblk` is a local NTFS or exFAT
    return kind in NETWORK or kind == "fuse" or kind.startswith(("fuse.", "nfs", "smb", "macfuse"))
