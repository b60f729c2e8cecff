"""Commands and their options; what they do is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from napari_cellseg.cli.label_commands import clean, convert, measure, recover, relabel

app = App(
    name="napari-cellseg",
    help="Find cells in 2D, 3D and 3D+t images; the same engine as the napari plugin.",
    help_epilogue="Exit status: 0 done, 2 bad input, 130 stopped by Ctrl-C. "
    "--debug prints a traceback.",
    version=lambda: _version(),
    help_format="markdown",
    # Ctrl-C is for `main`, which stops the work in an orderly way first.
    suppress_keyboard_interrupt=False,
)
models = App(
    name="models", help="Which models there are, fetching their files, and whether these are sound."
)
app.command(models)


def _version() -> str:
    from napari_cellseg import __version__

    return __version__


@app.command
def segment(
    *inputs: Annotated[Path, Parameter(name="IN", required=True)],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    model: str = "builtin",
    checkpoint: Path | None = None,
    spacing: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None,
    axes: str | None = None,
    channel: int = 0,
    diameter: float | None = None,
    probability: float = 0.5,
    min_size: int | None = None,
    flow_error: float | None = None,
    fusion: str = "mean",
    device: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    block: Annotated[tuple[int, int, int] | None, Parameter(negative="")] = None,
    field: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Segment images: files, OME-Zarr stores or folders of them.

    One image can go to a file (.tif or .ome.zarr). Otherwise the output is a folder, with labels
    as IMAGE_cells.tif and one table.csv for all; the model is loaded once, images that are
    done are skipped, and those that fail are listed at the end.

    A volume larger than memory is segmented block by block into an .ome.zarr output; --workers,
    --scheduler, --block and --field ask for that too. Such a run can be stopped (Ctrl-C) and goes
    on when the same command is run again.

    Parameters
    ----------
    inputs
        Images, or folders of images.
    output
        File or folder to write to.
    model
        Name of a network; "napari-cellseg models" lists them.
    checkpoint
        Weights of your own for the network.
    spacing
        Size of a voxel in µm, along z, y and x; by default what the file says.
    axes
        Axes of the file, for example tzyx; by default what the file says.
    channel
        Channel to segment, counted from 0.
    diameter
        Of a typical cell, in µm where the spacing is known, else in voxels; by default
        estimated.
    probability
        Cell probability from which a voxel belongs to a cell.
    min_size
        Drop cells of fewer voxels; by default (0.2 × diameter)³, in 2D squared.
    flow_error
        Drop cells whose flow differs more than this from that of their mask.
    fusion
        How the orientations of a stack become one: mean, weighted, or xy (each plane by itself,
        joined where cells overlap).
    device
        auto, cuda, mps or cpu.
    workers
        For an .ome.zarr output: processes that share the blocks of the volume. Else: number of
        processor threads; all by default.
    scheduler
        Address of a dask scheduler whose workers share the blocks, such as tcp://10.0.0.1:8786.
    block
        Voxels along z, y and x of a block; smaller blocks take less memory.
    field
        Folder to keep the flow field in, for "napari-cellseg relabel".
    overwrite
        Write again what is there already.
    quiet
        No progress bar and no notes.
    """
    from napari_cellseg.cli.blockwise import Blocks, segment_blockwise

    blocks = Blocks(workers, scheduler, block, field)
    options = {
        "model": model,
        "checkpoint": checkpoint,
        "channel": channel,
        "diameter": diameter,
        "probability": probability,
        "min_size": min_size,
        "flow_error": flow_error,
        "fusion": fusion,
        "device": device,
    }
    image = {"spacing": spacing, "axes": axes}
    if blocks.wanted(inputs, output, image):
        return segment_blockwise(
            inputs[0], output, {**options, **image}, blocks, overwrite=overwrite, quiet=quiet
        )
    from napari_cellseg.cli.batch import Batch

    batch = Batch(
        parameters=options,
        spacing=spacing,
        axes=axes,
        overwrite=overwrite,
        quiet=quiet,
        workers=workers,
    )
    return batch.run(inputs, output)


@app.command
def evaluate(
    predicted: Path,
    truth: Path,
    *,
    thresholds: Annotated[tuple[float, ...], Parameter(consume_multiple=True, negative="")] = (
        0.5,
        0.75,
        0.9,
    ),
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Compare labels with true ones.

    Parameters
    ----------
    predicted
        Label file: TIFF, OME-Zarr, zarr array or .npy.
    truth
        Likewise.
    thresholds
        Overlaps (intersection over union) from which two cells count as the same.
    json
        Print JSON.
    """
    from napari_cellseg.cli.scores import compare

    print(compare(predicted, truth, thresholds, as_json=json))


@app.command
def clicks(
    image: Path,
    truth: Path,
    *,
    predictor: str = "basin",
    checkpoint: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = (),
    most: int = 5,
    limit: int | None = None,
    spacing: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None,
    axes: str | None = None,
    channel: int = 0,
    diameter: float | None = None,
    probability: float | None = None,
    device: str = "auto",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> int:
    """Count the clicks that cells take, simulated from the truth.

    The first click goes to the middle of a cell, each next one to the middle of the largest
    error. Two folders (or one folder twice) are studied image by image, where the truth of
    a_image.tif is a_label.tif.

    Parameters
    ----------
    image
        A plane or a stack, or a folder of them.
    truth
        Its labels, or a folder of them.
    predictor
        basin (the flow field of the built-in model, in 2D and 3D), mobile-sam, sam, sam-l, sam-h
        or pa-sam; of a stack these see the xy plane in which each cell is largest.
    checkpoint
        Weights of your own; for pa-sam the files of SAM and of its decoder.
    most
        Clicks on one cell at most.
    limit
        Cells of each image at most, spread evenly over its labels; all by default.
    spacing
        Size of a voxel in µm, along z, y and x; by default what the file says.
    axes
        Axes of the image, for example zyx; by default what the file says.
    channel
        Channel to show, counted from 0.
    diameter
        Of a typical cell, for the basin; as in segment.
    probability
        Cell probability from which a voxel belongs to a cell, for the basin; by default 0.5.
    device
        auto, cuda, mps or cpu.
    output
        CSV to write, with one row per cell.
    overwrite
        Replace the CSV if it is there.
    quiet
        No progress bar and no notes.
    """
    from napari_cellseg.cli.clicks import ClickStudy

    study = ClickStudy(
        predictor=predictor,
        checkpoint=checkpoint,
        most=most,
        spacing=spacing,
        axes=axes,
        channel=channel,
        diameter=diameter,
        probability=probability,
        device=device,
        limit=limit,
        quiet=quiet,
    )
    return study.run(image, truth, output, overwrite)


@models.default
@models.command(name="list")
def list_models() -> None:
    """List networks and predictors: what for, licence, and whether their files are here."""
    from napari_cellseg.cli.models import listing

    print(listing())


@models.command
def download(
    name: str = "builtin",
    *,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> None:
    """Fetch the weights of a predictor, such as mobile-sam.

    Parameters
    ----------
    name
        Of the model; "napari-cellseg models" lists them.
    quiet
        No progress bar.
    """
    from napari_cellseg.cli.models import fetch

    print(fetch(name, quiet=quiet))


@models.command
def verify() -> None:
    """Check the SHA-256 of the files that are on this machine."""
    from napari_cellseg.cli.models import check

    check()


@app.command
def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("napari-cellseg-demo"),
    device: str = "auto",
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="")] = False,
) -> None:
    """Segment the 3D stack that comes with the package, and compare with the truth.

    Parameters
    ----------
    output
        Folder for the labels (OME-Zarr and TIFF) and the table.
    device
        auto, cuda, mps or cpu.
    quiet
        No progress bar.
    """
    from napari_cellseg.cli.demo import run_demo

    print(run_demo(output, device=device, quiet=quiet))


for _verb in (relabel, measure, convert, clean, recover):
    app.command(_verb)
