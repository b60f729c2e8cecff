"""`napari-cellseg models`: which networks there are, and whether their files are sound."""

from __future__ import annotations

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.networks import available_networks


def listing() -> str:
    """Describe every network: name, title, what for, licence, checksum."""
    blocks = []
    for info in available_networks():
        rows = [("title", info.title), ("for", info.note), ("licence", info.licence)]
        if info.packaged:
            rows.append(("SHA-256", _stated_checksum() or "its file is missing"))
        blocks.append("\n".join([info.name, *(f"  {name:<9}{text}" for name, text in rows)]))
    return "\n\n".join(blocks)


def fetch(name: str) -> str:
    """Make sure that a network's files are on this machine.

    Raises
    ------
    InputError
        There is no network of that name.
    """
    known = {info.name: info for info in available_networks()}
    if name not in known:
        raise InputError(f"There is no model {name!r}: choose one of {', '.join(known)}.")
    return f"{name} comes with the package; there is nothing to download."


def check() -> str:
    """Compare the files of the networks with their checksums.

    Raises
    ------
    ModelError
        A file is not the one that was published.
    """
    from napari_cellseg.networks import verify_packaged_weights

    lines = []
    for info in available_networks():
        if not info.packaged:
            continue
        checksum = _stated_checksum()
        if checksum is None:
            raise ModelError(
                f"The weights of {info.name!r} are missing from the package: install it again."
            )
        if not verify_packaged_weights():
            raise ModelError(
                f"The weights of {info.name!r} are not the published ones "
                f"(SHA-256 {checksum}): install the package again."
            )
        lines.append(f"{info.name}: sound (SHA-256 {checksum})")
    return "\n".join(lines)


def _stated_checksum() -> str | None:
    from napari_cellseg.networks import packaged_card

    try:
        return str(packaged_card()["sha256"])
    except FileNotFoundError:
        return None
