"""``python -m benchmarks``: what every step costs, beside other packages on the same data.

Parts can be run by name: ``python -m benchmarks --only dynamics --runs 3``. Of these, ``labels``
and ``window`` need napari and a display; the others run on a bare machine.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tifffile

import napari_cellseg as nc
from benchmarks.report import machine, show_dynamics, show_pipeline, write_json
from benchmarks.tissue import RADIUS, photograph, tissue

FULL = (128, 512, 512)
CROP = (64, 256, 256)
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", nargs="+", choices=tuple(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--runs", type=int, default=3, help="repeat our steps (median)")
    parser.add_argument("--peer-runs", type=int, default=1, help="repeat the peers' (median)")
    parser.add_argument(
        "--full",
        action="store_true",
        help="run the peers in every setting, and on 128×512×512 too (an hour)",
    )
    parser.add_argument("--quick", action="store_true", help="leave the 128×512×512 stack out")
    parser.add_argument("--cores", type=int, help="use so many processors (Linux)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--checkpoint", type=Path, help="weights other than the package's")
    parser.add_argument("--data", type=Path, default=DATA, help="real 3D stacks")
    parser.add_argument("--json", type=Path, default=Path("benchmark-results/bench.json"))
    return parser.parse_args(arguments)


def bundled(options: argparse.Namespace) -> dict[str, Any]:
    """The stack that comes with the package, with its diameter estimated."""
    from benchmarks.pipeline import run_pipeline
    from napari_cellseg.sample import sample_path

    sample = sample_path()
    truth = tifffile.imread(sample.truth)
    network = nc.load_network("builtin", options.checkpoint, options.device)
    report = run_pipeline("bundled mouse embryo", sample.image, truth, network, runs=options.runs)
    print(show_pipeline(report), "\n", flush=True)
    return report.as_json()


def dynamics(options: argparse.Namespace) -> list[Any]:
    """From field to labels, beside Cellpose and u-Segment3D."""
    from benchmarks.dynamics import FIELDS, LARGE, LARGE_FIELDS, SMALL, run_field

    wanted = "all" if options.full else "best"
    jobs = [(SMALL, *kind, wanted, options.peer_runs) for kind in FIELDS]
    if not options.quick:
        jobs += [(LARGE, *kind, "best" if options.full else "none", 1) for kind in LARGE_FIELDS]
    reports = []
    for shape, anisotropy, noise, peers, peer_runs in jobs:
        size = "×".join(map(str, shape))
        print(f"flow field {size}, ×{anisotropy}, noise {noise:g}", file=sys.stderr, flush=True)
        reports.append(run_field(shape, anisotropy, noise, options.runs, peers, peer_runs))
    print(show_dynamics(reports), "\n", flush=True)
    return [report.as_json() for report in reports]


def pipeline(options: argparse.Namespace) -> list[Any]:
    """The synthetic stacks, from a file to labels."""
    from benchmarks.pipeline import run_pipeline

    network = nc.load_network("builtin", options.checkpoint, options.device)
    found = []
    for shape in (CROP,) if options.quick else (CROP, FULL):
        truth = tissue(shape)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "tissue.tif"
            tifffile.imwrite(
                file, photograph(truth), imagej=True, resolution=(1, 1),
                metadata={"axes": "ZYX", "spacing": 1.0, "unit": "um"},
            )  # fmt: skip
            runs = options.runs if shape == CROP else 1
            report = run_pipeline(
                "synthetic tissue", file, truth, network, diameter=2 * RADIUS, runs=runs
            )
        print(show_pipeline(report), "\n", flush=True)
        found.append(report.as_json())
    return found


def stored(options: argparse.Namespace) -> dict[str, Any]:
    """What a field loses when it is stored."""
    from benchmarks import field_store

    found = field_store.run_field_store(CROP, options.runs)
    print(field_store.describe(found), "\n", flush=True)
    return found


def real3d(options: argparse.Namespace) -> Any:
    """Real stacks: three orientations beside planes that are stitched."""
    from benchmarks import real3d as study

    network = nc.load_network("builtin", options.checkpoint, options.device)
    found = study.run_real3d(options.data, network)
    print(study.describe(found), "\n", flush=True)
    return found


def blockwise(options: argparse.Namespace) -> Any:
    """Labels block by block beside those in memory."""
    from benchmarks.blockwise import REPEATS, run_blockwise, show_blockwise

    found = run_blockwise(REPEATS[:2] if options.quick else REPEATS)
    print(show_blockwise(found), "\n", flush=True)
    return found.as_json()


def fusion(options: argparse.Namespace) -> None:
    """Ways to fuse orientations, judged on labelled stacks."""
    if not options.data.is_dir():
        print(f"{options.data} is absent: ways of fusion were not compared\n", flush=True)
        return
    from benchmarks import fusion_ablation

    fusion_ablation.main([str(options.data)])


def gpu(options: argparse.Namespace) -> Any:
    """What runs on a GPU, where there is one."""
    import torch

    if not torch.cuda.is_available():
        print("no GPU: its kernels were not measured\n", flush=True)
        return None
    from benchmarks import gpu as study

    found = study.run(study.parse(["--runs", str(options.runs)]))
    print(study.describe(found), "\n", flush=True)
    return found


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


def clicks3d(options: argparse.Namespace) -> dict[str, Any]:
    """3D clicks into the flow field of the large synthetic stack."""
    from benchmarks import basin_click

    report = basin_click.run_basins(tissue(CROP if options.quick else FULL))
    print(basin_click.show_basins(report), "\n", flush=True)
    return report.as_json()


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


def window(options: argparse.Namespace) -> dict[str, Any] | None:
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


#: Everything that can be measured, in this order.
PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "bundled": bundled,
    "dynamics": dynamics,
    "pipeline": pipeline,
    "store": stored,
    "blockwise": blockwise,
    "real3d": real3d,
    "fusion": fusion,
    "gpu": gpu,
    "prompts": prompts,
    "clicks3d": clicks3d,
    "labels": labels,
    "window": window,
}


def main(arguments: list[str] | None = None) -> None:
    """Run everything that was asked for, and print and store the figures."""
    options = parse(arguments)
    if options.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    found: dict[str, Any] = {"machine": machine()}
    print(
        f"napari-cellseg {nc.__version__} on {found['machine']['processor']}, "
        f"{found['machine']['cores']} cores, load {found['machine']['load']:.1f}\n",
        flush=True,
    )
    for name in options.only or PARTS:
        found[name] = PARTS[name](options)
        write_json(options.json, found)  # should a later part fail, the rest is kept
    print(f"written to {options.json}")


if __name__ == "__main__":
    main()
