"""``python -m napari_cellseg.training``: train, export and score the built-in network."""

import argparse
import logging
from pathlib import Path

import torch

from napari_cellseg.networks import load_network
from napari_cellseg.training.export import export, write_card
from napari_cellseg.training.fit import train
from napari_cellseg.training.rendered import rendered_samples
from napari_cellseg.training.samples import Sample, prepare, read_labelled_images
from napari_cellseg.training.score import score

_PACKAGED = Path(__file__).parents[1] / "networks" / "weights" / "builtin.safetensors"
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
    parser.add_argument("--iterations", type=int, default=12000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--volumes", type=int, default=60, help="rendered volumes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw crops")
    parser.add_argument("--stop-after", type=float, default=None, help="seconds")
    parser.add_argument("--export", type=Path, default=_PACKAGED, help="where the weights go")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    samples = gather(options.data, options.volumes)
    done = train(
        samples,
        options.run,
        iterations=options.iterations,
        batch=options.batch,
        device=options.device,
        stop_after=options.stop_after,
        workers=options.workers,
    )
    if done < options.iterations:
        _log.info("stopped at step %d; the same command goes on from there", done)
        return
    export(options.run, samples, options.export)
    _log.info("wrote %s; scoring it on what was held out", options.export)
    recipe = {
        "iterations": options.iterations,
        "batch": options.batch,
        "rendered volumes": options.volumes,
        "data": "dsb2018 (CC0), usiigaci_phase (MIT), rendered nuclei",
    }
    network = load_network("builtin", options.export)
    write_card(options.export, {"recipe": recipe, "scores": score(network, options.data)})
    _log.info("wrote %s", options.export.with_suffix(".json"))


if __name__ == "__main__":
    main()
