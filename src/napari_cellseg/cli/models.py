"""`napari-cellseg models`: which models there are, and whether their files are here and sound."""

from __future__ import annotations

from pathlib import Path

from napari_cellseg.cli.bar import report_bar
from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.networks import NetworkInfo, available_networks
from napari_cellseg.networks.cellpose_file import kept_file
from napari_cellseg.prompts import PredictorInfo, available_predictors, download

_MIB = 1 << 20


def listing() -> str:
    """Describe every model: what for, licence, citation, and where its file is or belongs."""
    blocks = [_block(info.name, _about_network(info)) for info in available_networks()]
    blocks.extend(_block(info.name, _about(info)) for info in available_predictors())
    return "\n\n".join(blocks)


def fetch(name: str, quiet: bool = False) -> str:
    """Make sure that a model's files are on this machine.

    Raises
    ------
    InputError
        There is no model of that name.
    ModelError
        Its file cannot be downloaded; the sentence says where to get it.
    """
    packaged = {info.name for info in available_networks() if info.packaged}
    if name in packaged:
        return f"{name} comes with the package; there is nothing to download."
    brought = {info.name: info for info in available_networks() if not info.packaged}
    if name in brought:
        raise ModelError(
            f"The weights of {name} cannot be downloaded by napari-cellseg: get them from "
            f"{brought[name].source}, and pass the file to --checkpoint."
        )
    known = {info.name: info for info in available_predictors()}
    if name not in known:
        names = ", ".join([*sorted(packaged), *brought, *known])
        raise InputError(f"There is no model {name!r}: choose one of {names}.")
    info = known[name]
    target = download.model_folder() / info.file
    if info.url is None and not target.is_file():
        raise ModelError(
            f"The weights of {info.title} cannot be downloaded by napari-cellseg: {_by_hand(info)}."
        )
    with report_bar(name, quiet) as report:
        file = download.model_file(info, report)
    return f"{name}: {file}"


def check() -> None:
    """Compare the models' files with their checksums, and print what is found.

    Raises
    ------
    ModelError
        A file is not the one that was published.
    """
    faults = []
    for network in available_networks():
        if network.packaged:
            faults += _check_packaged(network.name)
    for info in available_predictors():
        faults += _check_file(info)
    if faults:
        raise ModelError("; ".join(faults) + ".")


def _check_packaged(name: str) -> list[str]:
    from napari_cellseg.networks import verify_packaged_weights

    checksum = _stated_checksum()
    if checksum is None:
        return [f"The weights of {name!r} are missing from the package: install it again"]
    if not verify_packaged_weights():
        return [
            f"The weights of {name!r} are not the published ones "
            f"(SHA-256 {checksum}): install the package again"
        ]
    print(f"{name}: sound (SHA-256 {checksum})")
    return []


def _check_file(info: PredictorInfo) -> list[str]:
    from napari_cellseg.prompts.checkpoints import sha256

    file = download.model_folder() / info.file
    if not file.is_file():
        print(f"{info.name}: not on this machine")
        return []
    found = sha256(file)
    if info.sha256 is None:
        print(f"{info.name}: its authors publish no checksum to compare with (SHA-256 {found})")
    elif found == info.sha256:
        print(f"{info.name}: sound (SHA-256 {found})")
    else:
        return [
            f"{str(file)!r} is not the published file of {info.title} (SHA-256 {found}, but "
            f"{info.sha256} was expected): delete it and get it again"
        ]
    return []


def _about_network(info: NetworkInfo) -> list[tuple[str, str]]:
    rows = [("title", info.title), ("for", info.note), ("scale", info.scale)]
    rows += [("licence", info.licence), ("cite", info.citation)]
    if info.packaged:
        rows += [("weights", "part of the package")]
        rows += [("SHA-256", _stated_checksum() or "its file is missing")]
        return [row for row in rows if row[1]]
    file = kept_file() if info.name == "cellpose-sam" else None
    rows.append(("weights", "yours, given as --checkpoint" if file is None else str(file)))
    rows += [("get it", f"from {info.source}")] if file is None else []
    rows.append(("needs", f"pip install napari-cellseg[{info.extra}]"))
    return rows


def _about(info: PredictorInfo) -> list[tuple[str, str]]:
    file = download.model_folder() / info.file
    here, whole = _state(info, file)
    rows = [
        ("title", info.title),
        ("for", info.note),
        ("licence", info.licence),
        ("cite", info.citation),
        ("weights", here),
    ]
    if not whole:
        if info.url is not None:
            rows += [
                ("get it", f"napari-cellseg models download {info.name}"),
                ("or from", info.url),
            ]
        elif info.family == "pa-sam":
            rows.append(("get it", f"its decoder from {info.page}; pass it after SAM's file"))
        else:
            rows.append(("get it", f"from {info.page}"))
    rows.append(("file" if whole else "put at", str(file)))
    if info.sha256:
        rows.append(("SHA-256", info.sha256))
    return rows


def _state(info: PredictorInfo, file: Path) -> tuple[str, bool]:
    """Whether the weights are here, by their size alone: hashing them all takes a while."""
    if not file.is_file():
        size = f" ({info.size / _MIB:,.0f} MiB)" if info.size else ""
        return f"not on this machine{size}", False
    if info.size is not None and file.stat().st_size != info.size:
        return "not the published file: its size differs", False
    return "on this machine", True


def _by_hand(info: PredictorInfo) -> str:
    folder = download.model_folder()
    if info.family == "pa-sam":
        return (
            f"get its decoder from {info.page} and SAM base's file, and pass both to --checkpoint, "
            f"or put a merged file at {str(folder / info.file)!r}"
        )
    return download.by_hand(info, folder)


def _block(name: str, rows: list[tuple[str, str]]) -> str:
    return "\n".join([name, *(f"  {title:<9}{text}" for title, text in rows)])


def _stated_checksum() -> str | None:
    from napari_cellseg.networks import packaged_card

    try:
        return str(packaged_card()["sha256"])
    except FileNotFoundError:
        return None
