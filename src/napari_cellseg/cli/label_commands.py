"""The commands that work on label files and documents; `app` registers them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def relabel(
    field: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    probability: float = 0.5,
    min_size: int | None = None,
    flow_error: float | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    block: Annotated[tuple[int, int, int] | None, Parameter(negative="")] = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Label a flow field that "segment --field" kept, with other thresholds; no network runs.

    Parameters
    ----------
    field
        Folder of the field.
    output
        Labels to write, ending in .ome.zarr.
    probability
        Cell probability from which a voxel belongs to a cell.
    min_size
        Drop cells of fewer voxels; by default as for the cells of the field.
    flow_error
        Drop cells whose flow differs more than this from that of their mask.
    workers
        Processes that share the blocks; by default one does all.
    scheduler
        Address of a dask scheduler whose workers share the blocks, such as tcp://10.0.0.1:8786.
    block
        Voxels along z, y and x of a block; smaller blocks take less memory.
    overwrite
        Replace labels that are there.
    quiet
        No progress bar and no notes.
    """
    from napari_cellseg.cli.blockwise import Blocks
    from napari_cellseg.cli.blockwise import relabel as run

    options = {"probability": probability, "min_size": min_size, "flow_error": flow_error}
    blocks = Blocks(workers, scheduler, block)
    return run(field, output, options, blocks, overwrite=overwrite, quiet=quiet)


def measure(
    labels: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    image: Path | None = None,
    spacing: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None,
    axes: str | None = None,
    dataset: str | None = None,
    gap: float = 0.0,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> None:
    """Measure every object of a label file: size, surface, shape, neighbours, intensities.

    Parameters
    ----------
    labels
        Label file: TIFF, OME-Zarr, zarr, .npy, _seg.npy of Cellpose, ROIs of ImageJ (.zip, .roi)
        or HDF5.
    output
        CSV to write, with one row per object.
    image
        Its image, to measure intensities in; ROIs take their shape from it.
    spacing
        Size of a voxel in µm, along z, y and x; by default what the files say.
    axes
        Axes of the labels, for example tzyx; by default what the file says.
    dataset
        Name of the dataset in an HDF5 file, where it holds several.
    gap
        Objects are neighbours that are at most this far apart, in µm; 0: they touch.
    overwrite
        Replace the CSV if it is there.
    quiet
        No notes.
    """
    from napari_cellseg.cli.convert import Source
    from napari_cellseg.cli.measure import measure_file

    source = Source(labels, image, dataset, axes, spacing)
    print(measure_file(source, output, gap=gap, overwrite=overwrite, quiet=quiet))


def convert(
    source: Annotated[Path, Parameter(name="IN")],
    output: Annotated[Path, Parameter(name="OUT")],
    *,
    shape_of: Path | None = None,
    dataset: str | None = None,
    axes: str | None = None,
    spacing: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None,
    bits: int | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> None:
    """Convert labels between TIFF, OME-Zarr, Cellpose, ImageJ ROIs and HDF5.

    Parameters
    ----------
    source
        Label file: TIFF, OME-Zarr, zarr, .npy, _seg.npy of Cellpose, ROIs of ImageJ (.zip, .roi)
        or HDF5.
    output
        File to write: .tif, .ome.zarr, _seg.npy, .zip (ROIs) or .h5.
    shape_of
        The image of the labels: gives ROIs their shape, and the spacing where the labels have none.
    dataset
        Name of the dataset in an HDF5 file, where it holds several.
    axes
        Axes of the labels, for example tzyx; by default what the file says.
    spacing
        Size of a voxel in µm, along z, y and x; by default what the files say.
    bits
        8, 16 or 32 per voxel, in _seg.npy and HDF5.
    overwrite
        Replace the output if it is there.
    quiet
        No notes.
    """
    from napari_cellseg.cli.convert import Source
    from napari_cellseg.cli.convert import convert as write

    given = Source(source, shape_of, dataset, axes, spacing)
    print(write(given, output, bits=bits, overwrite=overwrite, quiet=quiet))


def recover(
    folder: Path | None = None,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    provenance: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> None:
    """List the label documents in a folder, or write the labels of one to a file.

    A document holds every edit since its labels were opened, also after a crash.

    Parameters
    ----------
    folder
        Of a document, or one that holds documents; by default where the window keeps them.
    output
        Label file to write: .tif, .ome.zarr, _seg.npy, .zip (ROIs of ImageJ) or .h5.
    provenance
        Write a CSV beside it that says of every object how it came to be.
    overwrite
        Replace what is there.
    quiet
        No notes.
    """
    from napari_cellseg.cli.recover import recover as run

    print(run(folder, output, provenance=provenance, overwrite=overwrite, quiet=quiet))


def clean(
    labels: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    min_size: int | None = None,
    max_size: int | None = None,
    no_border: Annotated[bool, Parameter(negative="")] = False,
    fill_holes: Annotated[bool, Parameter(negative="")] = False,
    largest_piece: Annotated[bool, Parameter(negative="")] = False,
    into_pieces: Annotated[bool, Parameter(negative="")] = False,
    smooth: float = 0.0,
    relabel: Annotated[bool, Parameter(negative="")] = False,
    image: Path | None = None,
    spacing: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None,
    axes: str | None = None,
    dataset: str | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> None:
    """Clean a label file up: fill holes, drop small objects, number anew, and the like.

    Parameters
    ----------
    labels
        Label file: TIFF, OME-Zarr, zarr, .npy, _seg.npy of Cellpose, ROIs of ImageJ (.zip, .roi)
        or HDF5.
    output
        File to write: .tif, .ome.zarr, _seg.npy, .zip (ROIs) or .h5.
    min_size
        Delete objects of fewer voxels.
    max_size
        Delete objects of more voxels.
    no_border
        Delete objects at the border.
    fill_holes
        Fill holes.
    largest_piece
        Keep the largest piece of each object.
    into_pieces
        Make an object of each piece.
    smooth
        Round objects off, by that width in µm (in voxels, where the spacing is unknown).
    relabel
        Number the objects 1, 2, 3, …
    image
        Their image; ROIs take their shape from it.
    spacing
        Size of a voxel in µm, along z, y and x; by default what the files say.
    axes
        Axes of the labels, for example tzyx; by default what the file says.
    dataset
        Name of the dataset in an HDF5 file, where it holds several.
    overwrite
        Replace the output if it is there.
    quiet
        No notes.
    """
    from napari_cellseg.cli.clean import Cleaning
    from napari_cellseg.cli.clean import clean as run
    from napari_cellseg.cli.convert import Source

    wanted = Cleaning(
        largest_piece, into_pieces, fill_holes, smooth, min_size, max_size, no_border, relabel
    )
    given = Source(labels, image, dataset, axes, spacing)
    print(run(given, output, wanted, overwrite=overwrite, quiet=quiet))
