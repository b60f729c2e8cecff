"""The file dialogs: the only modal windows there are. Each returns a path, or None."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

_IMAGES = "Images (*.tif *.tiff *.ome.tif *.ome.tiff);;All files (*)"
_LABELS = "Labels (*.tif *.tiff *.npy);;All files (*)"
_MODELS = "Models (*.pth *.pt *.safetensors *.ckpt);;All files (*)"
_SAVE = {
    "OME-Zarr (*.ome.zarr *.zarr)": ".ome.zarr",
    "OME-TIFF (*.ome.tif *.tif *.tiff)": ".ome.tif",
}
_SAVED_SUFFIXES = (".zarr", ".tif", ".tiff")


def ask_image_file(parent: QWidget) -> Path | None:
    """Ask for an image file to open."""
    chosen, _ = QFileDialog.getOpenFileName(parent, "Open an image", "", _IMAGES)
    return Path(chosen) if chosen else None


def ask_image_folder(parent: QWidget) -> Path | None:
    """Ask for an OME-Zarr or zarr folder to open."""
    chosen = QFileDialog.getExistingDirectory(parent, "Open an OME-Zarr or zarr folder")
    return Path(chosen) if chosen else None


def ask_label_file(parent: QWidget) -> Path | None:
    """Ask for a file of labels to start from."""
    chosen, _ = QFileDialog.getOpenFileName(parent, "Start from a label file", "", _LABELS)
    return Path(chosen) if chosen else None


def ask_label_folder(parent: QWidget) -> Path | None:
    """Ask for an OME-Zarr folder of labels to start from."""
    chosen = QFileDialog.getExistingDirectory(parent, "Start from the labels of an OME-Zarr folder")
    return Path(chosen) if chosen else None


def ask_model_files(parent: QWidget, several: bool) -> tuple[Path, ...]:
    """Ask for the file of a network's weights, or for several; none where it was cancelled."""
    if several:
        files, _ = QFileDialog.getOpenFileNames(parent, "Choose the model's files", "", _MODELS)
        return tuple(map(Path, files))
    chosen, _ = QFileDialog.getOpenFileName(parent, "Choose the model's file", "", _MODELS)
    return (Path(chosen),) if chosen else ()


def ask_store_path(parent: QWidget, suggestion: Path) -> Path | None:
    """Ask for the OME-Zarr store to segment into; one that exists only if it may be replaced."""
    kind = "OME-Zarr (*.ome.zarr *.zarr)"
    chosen, _ = QFileDialog.getSaveFileName(parent, "Segment into a store", str(suggestion), kind)
    if not chosen:
        return None
    path = Path(chosen if chosen.lower().endswith(".zarr") else f"{chosen}.ome.zarr")
    return path if not path.exists() or agrees_to_replace(parent, path) else None


def ask_label_store(parent: QWidget) -> Path | None:
    """Ask for the store with the labels of the whole image."""
    chosen = QFileDialog.getExistingDirectory(parent, "Choose the label store of this image")
    return Path(chosen) if chosen else None


def ask_save_field(parent: QWidget, suggestion: Path) -> Path | None:
    """Ask where to save a flow field; one that exists only if it may be replaced."""
    chosen, _ = QFileDialog.getSaveFileName(
        parent, "Save the flow field", str(suggestion), "Flow field (*.field.zarr)"
    )
    if not chosen:
        return None
    path = Path(chosen if chosen.lower().endswith(".zarr") else f"{chosen}.field.zarr")
    return path if not path.exists() or agrees_to_replace(parent, path) else None


def ask_open_field(parent: QWidget) -> Path | None:
    """Ask for the folder of a flow field."""
    chosen = QFileDialog.getExistingDirectory(parent, "Open a flow field (a .zarr folder)")
    return Path(chosen) if chosen else None


def ask_save_path(parent: QWidget, suggestion: Path) -> Path | None:
    """Ask where to save labels; a name without a known suffix gets that of the chosen kind.

    Something that exists is only returned if the user agreed to replace it.
    """
    chosen, kind = QFileDialog.getSaveFileName(
        parent, "Save the cells", str(suggestion), ";;".join(_SAVE)
    )
    if not chosen:
        return None
    known = chosen.lower().endswith(_SAVED_SUFFIXES)
    path = Path(chosen if known else chosen + _SAVE.get(kind, ".ome.zarr"))
    # The dialog asks about a file of the very name that was typed, but not about a folder.
    asked = known and not path.is_dir()
    return path if asked or not path.exists() or agrees_to_replace(parent, path) else None


def agrees_to_replace(parent: QWidget, path: Path) -> bool:
    """Ask whether what was saved before may be replaced."""
    answer = QMessageBox.question(
        parent, "Replace it?", f"{path.name} exists already. Replace what is in it?"
    )
    return answer == QMessageBox.StandardButton.Yes
