"""``python -m napari_cellseg.training``: train the built-in network from the labelled images."""

import argparse
import logging
from pathlib import Path

import torch

from napari_cellseg.training.fit import train
from napari_cellseg.training.rendered import rendered_samples
from napari_cellseg.training.samples import Sample, prepare, read_labelled_images

_log = logging.getLogger("napari_cellseg.training")


def gather(data: Path, volumes: int) -> list[Sample]:
    """Prepare all images that may be trained on, and rendered planes."""
    samples = [
        prepare(item.name, item.kind, item.group, item.image, item.labels)
        for item in read_labelled_images(data)
        if not item.held
    ]
    _log.info("%d labelled images", len(samples))
    samples.extend(rendered_samples(volumes))
    _log.info("%d samples with rendered planes", len(samples))
    return samples


def main() -> None:
    """Run the training from the command line."""
    parser = argparse.ArgumentParser(prog="python -m napari_cellseg.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled images")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; goes on there")
    parser.add_argument("--iterations", type=int, default=25000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--volumes", type=int, default=60, help="rendered volumes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw crops")
    parser.add_argument("--stop-after", type=float, default=None, help="seconds")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(
        gather(options.data, options.volumes),
        options.run,
        iterations=options.iterations,
        batch=options.batch,
        device=options.device,
        stop_after=options.stop_after,
        workers=options.workers,
    )


if __name__ == "__main__":
    main()
