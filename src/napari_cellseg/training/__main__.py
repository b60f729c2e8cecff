"""``python -m napari_cellseg.training``: train, export and score the built-in network."""

import argparse
import logging
import time
from pathlib import Path

import torch

from napari_cellseg.networks import load_network
from napari_cellseg.training.export import export, write_card
from napari_cellseg.training.fit import train
from napari_cellseg.training.rendered import rendered_samples
from napari_cellseg.training.samples import Sample, prepare, read_labelled_images
from napari_cellseg.training.score import score

#: Name, iterations, peak learning rate, strength of the changes. The second stage lets the network
#: see the images more as they are, which the first, changing nearly every crop, underfits.
STAGES = (("broad", 12000, 2e-3, 1.0), ("fine", 3000, 1e-3, 0.4))
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
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--volumes", type=int, default=60, help="rendered volumes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw crops")
    parser.add_argument("--stop-after", type=float, default=None, help="seconds")
    parser.add_argument("--export", type=Path, default=_PACKAGED, help="where the weights go")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    samples = gather(options.data, options.volumes)
    began = time.monotonic()
    stage: Path | None = None
    for name, iterations, rate, strength in STAGES:
        left = None
        if options.stop_after is not None:
            left = max(0.0, options.stop_after - (time.monotonic() - began))
        done = train(
            samples,
            options.run / name,
            iterations=iterations,
            batch=options.batch,
            rate=rate,
            strength=strength,
            start=stage,
            device=options.device,
            stop_after=left,
            workers=options.workers,
        )
        if done < iterations:
            _log.info("stopped at step %d of stage %s; the same command goes on", done, name)
            return
        stage = options.run / name
    assert stage is not None
    export(stage, samples, options.export)
    _log.info("wrote %s; scoring it on what was held out", options.export)
    recipe = {
        "stages (name, iterations, learning rate, strength)": STAGES,
        "batch": options.batch,
        "rendered volumes": options.volumes,
        "data": "dsb2018 (CC0), usiigaci_phase (MIT), rendered nuclei",
    }
    network = load_network("builtin", options.export)
    write_card(options.export, {"recipe": recipe, "scores": score(network, options.data)})
    _log.info("wrote %s", options.export.with_suffix(".json"))


if __name__ == "__main__":
    main()
