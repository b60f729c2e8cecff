"""``python -m benchmarks``: what every step costs, beside Cellpose on the same field."""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import tifffile

import napari_cellseg as nc
from benchmarks.dynamics import run_dynamics
from benchmarks.pipeline import run_pipeline
from benchmarks.report import machine, show_dynamics, show_pipeline, write_json
from benchmarks.tissue import RADIUS, photograph, tissue

FULL = (128, 512, 512)
CROP = (64, 256, 256)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="repeat quick steps (median)")
    parser.add_argument(
        "--full", action="store_true", help="run Cellpose on 128×512×512 too (ten minutes a run)"
    )
    parser.add_argument("--quick", action="store_true", help="leave the 128×512×512 stack out")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--checkpoint", type=Path, help="weights other than the package's")
    parser.add_argument("--json", type=Path, default=Path("benchmark-results/bench.json"))
    return parser.parse_args(arguments)


def bundled(options: argparse.Namespace) -> dict[str, Any]:
    """The stack that comes with the package, with its diameter estimated."""
    from napari_cellseg.sample import sample_path

    sample = sample_path()
    truth = tifffile.imread(sample.truth)
    network = nc.load_network("builtin", options.checkpoint, options.device)
    report = run_pipeline("bundled mouse embryo", sample.image, truth, network, runs=options.runs)
    print(show_pipeline(report), "\n", flush=True)
    return report.as_json()


def synthetic(options: argparse.Namespace) -> dict[str, Any]:
    """The large synthetic stack: once from a file, and its exact field."""
    truth = tissue(FULL)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tissue.tif"
        tifffile.imwrite(
            file, photograph(truth), imagej=True, resolution=(1, 1),
            metadata={"axes": "ZYX", "spacing": 1.0, "unit": "um"},
        )  # fmt: skip
        network = nc.load_network("builtin", options.checkpoint, options.device)
        pipeline = run_pipeline("synthetic tissue", file, truth, network, diameter=2 * RADIUS)
    print(show_pipeline(pipeline), "\n", flush=True)
    dynamics = run_dynamics(truth, options.runs, 1 if options.full else 0)
    print(show_dynamics(dynamics), "\n", flush=True)
    return {"pipeline": pipeline.as_json(), "dynamics": dynamics.as_json()}


def cropped(runs: int) -> dict[str, Any]:
    """A field on which Cellpose takes about a minute."""
    report = run_dynamics(tissue(CROP), runs, runs)
    print(show_dynamics(report), "\n", flush=True)
    return report.as_json()


def prompts(options: argparse.Namespace) -> dict[str, Any]:
    """Clicks: segment-anything beside ours, the whole loop, labels, 3D clicks, large planes."""
    from benchmarks import label_commit, prompt_click, prompt_everything, prompt_loop, prompt_tiles

    clicks = prompt_click.run_clicks(max(5, options.runs))
    print(prompt_click.describe(clicks), "\n", flush=True)
    loop = prompt_loop.run_loop(max(5, options.runs))
    print(prompt_loop.describe(loop), "\n", flush=True)
    commit = label_commit.run_label_commit()
    print(label_commit.describe(commit), "\n", flush=True)
    tiles = prompt_tiles.run_tiles(options.runs)
    print("large planes (ms, MiB):", {k: round(v, 2) for k, v in tiles.items()}, "\n", flush=True)
    everything = prompt_everything.run_everything(8, 1)  # theirs takes a minute
    print(prompt_everything.describe(everything), "\n", flush=True)
    return {
        "click": prompt_click.as_json(clicks),
        "loop": loop,
        "label commit": commit,
        "tiles": tiles,
        "everything": everything,
    }


def basin_clicks(options: argparse.Namespace) -> dict[str, Any]:
    """3D clicks into the flow field of the large synthetic stack."""
    from benchmarks import basin_click

    report = basin_click.run_basins(tissue(CROP if options.quick else FULL))
    print(basin_click.show_basins(report), "\n", flush=True)
    return report.as_json()


def gui_stall(options: argparse.Namespace) -> dict[str, Any] | None:
    """How long the window stood still while it segmented, where there is a display."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        print("no display: the stall of the window was not measured", flush=True)
        return None
    from benchmarks import gui_stall as probe
    from benchmarks import prompt_stall

    result = probe.measure_stall(options.checkpoint)
    print(probe.describe(result), "\n", flush=True)
    prompting = prompt_stall.measure_prompts()
    print(prompt_stall.describe(prompting), "\n", flush=True)
    return {**result, "prompting": prompting}


def labels(options: argparse.Namespace) -> dict[str, Any]:
    """Edits of labels in the window, beside napari's own, and how soon they are durable."""
    from benchmarks import journal_append, label_edits

    journal = journal_append.run_journal_append()
    print(journal_append.describe(journal), "\n", flush=True)
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        print("no display: edits in the window were not measured", flush=True)
        return {"journal": journal}
    edits = label_edits.run_label_edits(max(5, options.runs))
    print(label_edits.describe(edits), "\n", flush=True)
    return {"journal": journal, "edits": edits}


def main(arguments: list[str] | None = None) -> None:
    """Run everything that was asked for, and print and store the figures."""
    options = parse(arguments)
    found: dict[str, Any] = {"machine": machine()}
    print(
        f"napari-cellseg {nc.__version__} on {found['machine']['processor']}, "
        f"{found['machine']['cores']} cores, load {found['machine']['load']:.1f}\n",
        flush=True,
    )
    found["bundled"] = bundled(options)
    found["crop"] = cropped(options.runs)
    if not options.quick:
        found["synthetic"] = synthetic(options)
    found["prompts"] = prompts(options)
    found["3D clicks"] = basin_clicks(options)
    write_json(options.json, found)  # should the window fail, the rest is kept
    found["labels"] = labels(options)
    write_json(options.json, found)
    found["gui stall"] = gui_stall(options)
    write_json(options.json, found)
    print(f"written to {options.json}")


if __name__ == "__main__":
    main()
