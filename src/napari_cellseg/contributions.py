"""Reader, writer and sample data for napari: plain functions that return layer data tuples.

Neither napari nor Qt is imported here, so that opening a file stays fast and testable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellseg.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cellseg.volume import Volume

LayerData = tuple[Any, dict[str, Any], str]
PathOrPaths = str | Sequence[str]

KEY = "napari-cellseg"
"""Key of our entry in a layer's metadata."""

_COLORMAPS = ("cyan", "magenta", "yellow", "green", "red", "blue")
_SUFFIXES = (".tif", ".tiff", ".btf", ".zarr")
_SAMPLE_SIDE = 512  # rows and cols of a plane that are looked at for contrast limits


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Reader hook of napari.

    Parameters
    ----------
    path : str or list of str
        What the user opened; a list is a stack of images.

    Returns
    -------
    callable or None
        :func:`read_layers`, or None if this is not for us.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    return read_layers if paths and all(_is_ours(Path(one)) for one in paths) else None


def read_layers(path: PathOrPaths) -> list[LayerData]:
    """Open images lazily, with scale, units and axis labels.

    Labels that an OME-Zarr image holds, and files that :func:`napari_cellseg.write_labels` wrote,
    become Labels layers, in memory so that they can be edited. Several images of one shape become
    one stack along z (2D images) or t (3D images); others are opened side by side.

    Returns
    -------
    list of (data, attributes, layer type)

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    if isinstance(path, str | Path):
        return _layers_of_one(Path(path))
    paths = [Path(one) for one in path]
    stacked = _stacked(paths) if len(paths) > 1 else None
    if stacked is not None:
        return _image_layers(stacked)
    return [layer for one in paths for layer in _layers_of_one(one)]


def write_labels_layer(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Writer hook of napari for one Labels layer.

    Parameters
    ----------
    path : str
        ``.tif``, ``.tiff`` or ``.zarr``; napari has asked before replacing a file.
    data : array of int
        The labels; of a multiscale layer the finest level is saved.
    attributes : mapping
        The layer's attributes: scale, units, axis_labels, metadata.

    Returns
    -------
    list of str
        What was written.

    Raises
    ------
    InputError, StorageError
        See :func:`napari_cellseg.write_labels`.
    """
    from napari_cellseg.volume import write_labels

    if isinstance(data, Sequence) or attributes.get("multiscale"):
        data = data[0]
    axes = _layer_axes(attributes, len(data.shape))
    recipe = attributes.get("metadata", {}).get(KEY, {})
    written = write_labels(
        path,
        data,
        axes=axes,
        spacing=_layer_spacing(attributes, axes),
        overwrite=True,
        metadata=recipe if isinstance(recipe, Mapping) else {},
    )
    return [str(written)]


def sample_embryo() -> list[LayerData]:
    """Sample data: nuclei of a mouse embryo of 16 cells, and their true labels (hidden)."""
    from napari_cellseg.sample import sample_path
    from napari_cellseg.volume import read_label_file, read_volume

    files = sample_path("embryo")
    volume = replace(read_volume(files.image), name="embryo")
    truth = read_label_file(files.truth)
    attributes = {
        "name": "embryo truth",
        "visible": False,
        **layer_space(truth.axes, truth.spacing, truth.spacing_known),
    }
    return [*_image_layers(volume), (truth.labels, attributes, "labels")]


def layer_space(
    axes: str, spacing: tuple[float, float, float], spacing_known: bool
) -> dict[str, Any]:
    """Attributes ``scale``, ``units`` and ``axis_labels`` of a layer.

    Parameters
    ----------
    axes : str
        Axes of the layer, without c.
    spacing : tuple of float
        (z, y, x) in µm.
    spacing_known : bool
        Otherwise the units are pixels.
    """
    size = dict(zip("zyx", spacing, strict=True))
    unit = "micrometer" if spacing_known else "pixel"
    return {
        "scale": tuple(size.get(axis, 1.0) for axis in axes),
        "units": tuple(unit if axis in size else "pixel" for axis in axes),
        "axis_labels": tuple(axes),
    }


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        from napari_cellseg.volume.zarr_store import is_zarr

        return is_zarr(path)
    return path.name.lower().endswith(_SUFFIXES[:-1])


def _layers_of_one(path: Path) -> list[LayerData]:
    from napari_cellseg.volume import read_volume
    from napari_cellseg.volume.ome_xml import NAMESPACE
    from napari_cellseg.volume.ome_zarr import find_image, label_names
    from napari_cellseg.volume.read import title, zarr_where
    from napari_cellseg.volume.tiff import recipe_of_tiff
    from napari_cellseg.volume.zarr_store import attributes, is_array

    if not path.is_dir():
        if recipe_of_tiff(path) is not None:
            return [_labels_layer(path)]
        return _image_layers(read_volume(path))
    image = None if is_array(path) else find_image(path, zarr_where(path))
    if image is None:
        return _image_layers(read_volume(path))
    if image.is_labels or NAMESPACE in attributes(image.group):
        return [_labels_layer(path)]
    layers = _image_layers(read_volume(path), _coarser(image, path))
    for name in label_names(image.group):
        try:
            labels = _labels_layer(image.group / "labels" / name, f"{title(path)} {name}")
        except InputError as error:  # the image is worth opening all the same
            layers[0][1]["metadata"][KEY]["notices"].append(
                f"Labels {name!r} are left out: {error}"
            )
        else:
            layers.append(labels)
    return layers


def _coarser(image: Any, path: Path) -> list[Volume]:
    """The coarser levels of a pyramid, as volumes."""
    from napari_cellseg.volume.read import volume_of, zarr_where

    arrays = image.arrays(zarr_where(path))
    levels = [volume_of(image, array, path, None, None) for array in arrays]
    # napari wants levels that shrink; a level that lost an axis cannot be shown with the others.
    kept = levels[:1]
    for level in levels[1:]:
        if level.axes == kept[0].axes and math.prod(level.shape) < math.prod(kept[-1].shape):
            kept.append(level)
    return kept[1:]


def image_layers(volume: Volume) -> list[LayerData]:
    """Image layers of a volume, as opening its file gives them.

    Parameters
    ----------
    volume : Volume
        As read; coarser levels of an OME-Zarr pyramid are found where it was read from.

    Returns
    -------
    list of (data, attributes, layer type)
        One image layer per channel.
    """
    from napari_cellseg.volume.ome_zarr import find_image
    from napari_cellseg.volume.read import zarr_where
    from napari_cellseg.volume.zarr_store import is_array

    source = volume.source
    coarser: list[Volume] = []
    if source is not None and source.is_dir() and not is_array(source):
        image = find_image(source, zarr_where(source))
        coarser = [] if image is None else _coarser(image, source)
    return _image_layers(volume, [level for level in coarser if level.axes == volume.axes])


def _image_layers(volume: Volume, coarser: Sequence[Volume] = ()) -> list[LayerData]:
    layers: list[LayerData] = []
    for channel in range(volume.n_channels):
        levels = [_channel(level, channel) for level in (volume, *coarser)]
        single = volume.n_channels == 1
        attributes: dict[str, Any] = {
            "name": volume.name if single else f"{volume.name} {volume.channels[channel]}",
            "rgb": volume.rgb,
            "multiscale": len(levels) > 1,
            "metadata": {KEY: _record(volume, channel)},
            **layer_space(volume.label_axes, volume.spacing, volume.spacing_known),
        }
        if not volume.rgb:
            attributes["contrast_limits"] = _contrast_limits(levels[-1])
            attributes["colormap"] = "gray" if single else _COLORMAPS[channel % len(_COLORMAPS)]
            attributes["blending"] = "translucent" if channel == 0 else "additive"
        layers.append((levels if len(levels) > 1 else levels[0], attributes, "image"))
    return layers


def _labels_layer(path: Path, name: str | None = None) -> LayerData:
    from napari_cellseg.volume import read_label_file
    from napari_cellseg.volume.read import title

    file = read_label_file(path)
    record = {**file.metadata, "source": str(path), "notices": list(file.notices)}
    attributes = {
        "name": name or title(path),
        "metadata": {KEY: record},
        **layer_space(file.axes, file.spacing, file.spacing_known),
    }
    return file.labels, attributes, "labels"


def _record(volume: Volume, channel: int) -> dict[str, Any]:
    return {
        "source": str(volume.source) if volume.source is not None else None,
        "axes": volume.axes,
        "spacing": volume.spacing,
        "spacing_known": volume.spacing_known,
        "channel": channel,
        "channels": list(volume.channels),
        "rgb": volume.rgb,
        "notices": list(volume.notices),
    }


def _channel(volume: Volume, channel: int) -> Any:
    """One channel at all times, lazily; RGB samples come last."""
    if "c" not in volume.axes:
        return volume.data
    place = volume.axes.index("c")
    if volume.rgb:
        rest = [axis for axis in range(volume.ndim) if axis != place]
        return volume.data.transpose([*rest, place])
    return volume.data[(slice(None),) * place + (channel,)]


def _contrast_limits(data: Any) -> tuple[float, float]:
    """Contrast limits from the middle of the middle plane, so that little is read."""
    if data.dtype.kind == "b":
        return 0.0, 1.0
    middle = tuple(n // 2 for n in data.shape[:-2])
    window = tuple(
        slice(max(0, (n - _SAMPLE_SIDE) // 2), (n + _SAMPLE_SIDE) // 2) for n in data.shape[-2:]
    )
    values: NDArray[Any] = np.asarray(data[middle + window])
    values = values[np.isfinite(values)].astype(np.float64)
    low, high = (
        (float(v) for v in np.percentile(values, (0.1, 99.9))) if values.size else (0.0, 1.0)
    )
    return (low, high) if high > low else (low, low + 1.0)


def _stacked(paths: Sequence[Path]) -> Volume | None:
    """Images of one shape and type as one volume, or None if they differ."""
    import dask.array as da

    from napari_cellseg.volume import Volume, read_volume

    volumes = [read_volume(path) for path in paths]
    first = volumes[0]
    if "t" in first.axes or any(
        (v.axes, v.shape, v.dtype, v.rgb) != (first.axes, first.shape, first.dtype, first.rgb)
        for v in volumes
    ):
        return None
    axis = "t" if first.is_3d else "z"
    axes = "".join(letter for letter in "tczyx" if letter in first.axes + axis)
    stack: Any = da.stack([v.data for v in volumes], axis=axes.index(axis))  # type: ignore[no-untyped-call]
    text = f"Axes: {len(paths)} images are taken as one stack along {axis}, in the order given."
    known = first.spacing_known and axis == "t"
    return Volume(
        data=stack,
        axes=axes,
        spacing=first.spacing if known else (1.0, 1.0, 1.0),
        spacing_known=known,
        channels=first.channels,
        rgb=first.rgb,
        name=paths[0].parent.name or first.name,
        notices=(*first.notices, text),
    )


def _layer_axes(attributes: Mapping[str, Any], ndim: int) -> str | None:
    """Axes of a layer from its axis labels; None where these are napari's defaults."""
    labels = "".join(str(label).strip().lower()[:1] for label in attributes.get("axis_labels", ()))
    return labels if labels in ("yx", "zyx", "tyx", "tzyx") and len(labels) == ndim else None


def _layer_spacing(
    attributes: Mapping[str, Any], axes: str | None
) -> tuple[float, float, float] | None:
    """Spacing in µm from a layer's scale and units; None where it has neither."""
    from napari_cellseg.volume import micrometres

    scale = tuple(float(value) for value in attributes.get("scale", ()))
    axes = axes or "tzyx"[-len(scale) :] if scale else ""
    if len(axes) != len(scale):
        return None
    units = [str(unit) for unit in attributes.get("units") or ("pixel",) * len(scale)]
    spacing = {"z": 1.0, "y": 1.0, "x": 1.0}
    lengths = []
    for axis, value, unit in zip(axes, scale, units, strict=True):
        if axis in spacing:
            factor = micrometres(unit)
            lengths.append(factor is not None)
            spacing[axis] = abs(value) * (factor or 1.0)
    # Few readers set units: a scale other than 1 without a unit is taken as µm.
    known = all(lengths) or any(value != 1.0 for value in spacing.values())
    if not known:
        return None
    if not all(math.isfinite(value) and value > 0 for value in spacing.values()):
        raise InputError(f"the layer's scale {scale} is no voxel size: set it before saving.")
    return spacing["z"], spacing["y"], spacing["x"]
