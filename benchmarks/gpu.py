"""``python -m benchmarks.gpu``: field to labels on a GPU, stage by stage, and the whole pipeline.

Runs on a bare machine, ``PYTHONPATH=src python -m benchmarks.gpu``: it needs torch, numpy, scipy,
numba, safetensors and psutil, and for MEDIAR's shape the package segmentation-models-pytorch;
neither Qt, napari, zarr nor the peers. ``--device cpu --size 64`` works everywhere.

Times are medians of `--runs` after one that warms up, with the device synchronised before and
after. The limit is the time in which the measured bandwidth would read the field once.
"""

import argparse
import functools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import numpy as np
import torch

from benchmarks.gpu_field import RADIUS, Scene, average_precision, packed_cells
from benchmarks.report import table, write_json
from napari_cellseg.errors import CellsegError
from napari_cellseg.flows import FlowField, _torch_basins, _torch_pieces, device_integration
from napari_cellseg.flows import device_labels as on_device
from napari_cellseg.flows.device_integration import DeviceIntegration, integrate_on_device
from napari_cellseg.flows.frame_labels import FrameLabels
from napari_cellseg.flows.fuse import predict_field
from napari_cellseg.flows.grid import Grid
from napari_cellseg.flows.label import label_field
from napari_cellseg.flows.merging import BasinGraph
from napari_cellseg.networks.builtin import BuiltinNetwork
from napari_cellseg.networks.protocol import FlowNetwork, diameters_of

SPACING = (1.0, 1.0, 1.0)
MIN_SIZE = 15
Result = TypeVar("Result")

#: Stages of the work, and the functions that do them, in order.
STAGES: tuple[tuple[str, Any, str], ...] = (
    ("pack", device_integration, "pack"),
    ("number voxels", device_integration, "_slots"),
    ("steps", device_integration, "pointers"),
    ("terminals", device_integration, "terminals"),
    ("link sinks", _torch_basins, "terminal_basins"),
    ("borders", _torch_basins, "borders"),
    ("unite basins (host)", BasinGraph, "unite"),
    ("list runs", _torch_pieces.Runs, "of"),
    ("pieces", _torch_pieces, "part_pieces"),
    ("sums", _torch_pieces, "sums"),
    ("paint, copy to host", on_device, "_paint"),
    ("find gaps", _torch_pieces, "hollow_runs"),
    ("fill holes (host)", FrameLabels, "_fill"),
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, default=512, help="voxels along each axis")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--noise", type=float, default=0.3, help="of the flow, per component")
    parser.add_argument("--networks", nargs="*", default=["builtin", "mediar"])
    parser.add_argument("--no-check", action="store_true", help="do not compare with the CPU")
    parser.add_argument("--json", type=Path, default=Path("benchmark-results/gpu.json"))
    return parser.parse_args(arguments)


class Bench:
    """Times of calls on one device."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device, self.runs = device, runs

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def time(self, call: Callable[[], Result], runs: int | None = None) -> tuple[Result, float]:
        """Last result and median seconds, after a call that warms up."""
        result = call()
        seconds = []
        for _ in range(runs or self.runs):
            del result
            self.wait()
            started = time.perf_counter()
            result = call()
            self.wait()
            seconds.append(time.perf_counter() - started)
        return result, statistics.median(seconds)

    def peak(self, call: Callable[[], object]) -> float | None:
        """Most GiB allocated on the device during a call, what was there before included."""
        if self.device.type != "cuda":
            return None
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        call()
        self.wait()
        return torch.cuda.max_memory_allocated(self.device) / 2**30

    @contextmanager
    def stages(self) -> Iterator[dict[str, float]]:
        """Seconds of each of `STAGES` while the context lasts; it waits for the device at each."""
        spent: dict[str, float] = {}

        def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(work)
            def call(*arguments: Any, **options: Any) -> Any:
                self.wait()
                started = time.perf_counter()
                result = work(*arguments, **options)
                self.wait()
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - started
                return result

            return call

        with ExitStack() as patches:
            for name, owner, attribute in STAGES:
                call: Any = timed(name, getattr(owner, attribute))
                if attribute == "of":
                    call = staticmethod(call)
                patches.enter_context(mock.patch.object(owner, attribute, call))
            yield spent


def bandwidth(bench: Bench, field_bytes: int) -> float:
    """Bytes per second that a copy on the device reads and writes."""
    source = torch.ones(max(field_bytes, 1 << 26), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    _, seconds = bench.time(lambda: target.copy_(source), max(10, bench.runs))
    return 2 * source.numel() / seconds


def field_to_labels(bench: Bench, scene: Scene) -> dict[str, Any]:
    """From a field on the device to labels on the host."""
    size = scene.flow.shape[1:]

    def follow() -> DeviceIntegration:
        return integrate_on_device(scene.flow, scene.logits, SPACING)

    def label(trajectories: DeviceIntegration) -> np.ndarray:
        labels = np.zeros(tuple(size), np.uint32)
        on_device.DeviceFrameLabels(trajectories, labels, 0.0, MIN_SIZE)
        return labels

    _, integrate_seconds = bench.time(follow)
    _, label_seconds = bench.time(functools.partial(label, follow()))
    labels, whole = bench.time(lambda: label(follow()))
    rows = []
    for _ in range(bench.runs):
        with bench.stages() as spent:
            label(follow())
        rows.append(spent)
    stages = {name: statistics.median(row.get(name, 0.0) for row in rows) for name, _, _ in STAGES}
    bytes_read = 2 * (scene.flow.numel() + scene.logits.numel())
    speed = bandwidth(bench, bytes_read)
    found = torch.from_numpy(labels.view(np.int32)).to(bench.device)
    return {
        "integrate": integrate_seconds,
        "label": label_seconds,
        "whole": whole,
        "stages": stages,
        "bandwidth GB/s": speed / 1e9,
        "limit": bytes_read / speed,
        "whole / limit": whole / (bytes_read / speed),
        "peak GiB": bench.peak(lambda: label(follow())),
        "covered": float((scene.logits > 0).float().mean()),
        "cells": int(scene.truth.unique().numel()) - 1,
        "found": int(labels.max()),
        "AP@0.5": average_precision(scene.truth, found),
        "labels": labels,
    }


def check(scene: Scene, labels: np.ndarray) -> dict[str, Any]:
    """Compare with numba on the same field."""
    field = FlowField(scene.flow.cpu().numpy(), scene.logits.cpu().numpy(), SPACING)
    small = FlowField(field.flow[:, :8, :8, :8], field.logits[:8, :8, :8], SPACING)
    label_field(small, min_size=MIN_SIZE)  # compiles
    started = time.perf_counter()
    expected = label_field(field, min_size=MIN_SIZE).labels
    seconds = time.perf_counter() - started
    host = field.integration()
    mine = integrate_on_device(scene.flow, scene.logits, SPACING).to_host()
    return {
        "numba": seconds,
        "cores": os.cpu_count(),
        "words that differ": int((host.words != mine.words).sum()),
        "terminals that differ": int((host.terminal != mine.terminal).sum()),
        "voxels that differ": int((expected != labels).sum()),
    }


def pipeline(bench: Bench, scene: Scene, network: FlowNetwork) -> dict[str, Any]:
    """From a normalised image on the device to labels on the host.

    The diameter of the cells is taken to be the network's own, so that nothing is resampled.
    """
    shape = (scene.image.shape[0], scene.image.shape[1], scene.image.shape[2])
    low, high = diameters_of(network)
    grid = Grid.for_network(shape, SPACING, min(max(2 * RADIUS, low), high), (low, high))
    pixels = 0

    def count(done: int) -> None:
        nonlocal pixels
        pixels += done

    fused, seconds = bench.time(
        lambda: predict_field(network, scene.image, grid, count), max(1, bench.runs // 3)
    )
    peak = bench.peak(lambda: predict_field(network, scene.image, grid, lambda _: None))
    labels = np.zeros(shape, np.uint32)

    def label() -> None:
        labels[:] = 0
        trajectories = integrate_on_device(fused.flow, fused.logits, SPACING)
        on_device.DeviceFrameLabels(trajectories, labels, 0.0, MIN_SIZE)

    found = {"network and fusion": seconds, "megapixels": grid.network_pixels() / 1e6}
    if network.name == "builtin":
        _, after = bench.time(label)
        where = torch.from_numpy(labels.view(np.int32)).to(bench.device)
        found |= {
            "field to labels": after,
            "whole": seconds + after,
            "network share": seconds / (seconds + after),
            "AP@0.5": average_precision(scene.truth, where),
        }
    return {**found, "peak GiB": peak}


def random_mediar(device: torch.device) -> FlowNetwork:
    """MEDIAR with random weights: as fast as with its own."""
    from napari_cellseg.networks.mediar import MediarNetwork
    from napari_cellseg.networks.mediar_former import MediarFormer

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.pth"
        torch.save(MediarFormer().state_dict(), file)
        return MediarNetwork([file], str(device))


def describe(found: dict[str, Any]) -> str:
    """Tables for people."""
    field = found["field"]
    lines = [
        f"{found['machine']['device']}, torch {found['machine']['torch']}, field "
        f"{found['size']}³ ({field['covered']:.0%} covered, {field['cells']:,} cells), "
        f"median of {found['runs']}",
        f"AP@0.5 {field['AP@0.5']:.3f}, {field['found']:,} cells found; at "
        f"{field['bandwidth GB/s']:.0f} GB/s the field is read in {1e3 * field['limit']:.2f} ms",
    ]
    rows = [[name, _ms(spent)] for name, spent in field["stages"].items()]
    rows += [[name, _ms(field[name])] for name in ("integrate", "label", "whole")]
    lines.append(table(("field to labels", "ms"), rows))
    lines.append(f"{field['whole / limit']:.0f} × the time to read the field once")
    if field["peak GiB"] is not None:
        lines.append(f"peak memory on the device {field['peak GiB']:.1f} GiB")
    if "check" in found:
        lines.append(f"numba on {found['check']['cores']} cores: {found['check']['numba']:.2f} s")
        lines += [
            f"{what} from numba's: {count:,}"
            for what, count in found["check"].items()
            if what.endswith("differ")
        ]
    return "\n".join(lines)


def describe_network(name: str, result: dict[str, Any] | str) -> str:
    """The pipeline with one network."""
    if isinstance(result, str):
        return f"\n{name}: {result}"
    rows = [[key, "-" if value is None else f"{value:.3f}"] for key, value in result.items()]
    return f"\n{name}\n" + table(("image to labels", "s"), rows)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f}"


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that was asked for; print and store it on the way."""
    device = torch.device(options.device)
    bench = Bench(device, options.runs)
    scene = packed_cells(options.size, device, options.noise)
    cuda = device.type == "cuda"
    found: dict[str, Any] = {
        "machine": {
            "device": torch.cuda.get_device_name(device) if cuda else platform.processor() or "CPU",
            "torch": torch.__version__,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
        },
        "size": options.size,
        "runs": options.runs,
        "noise": options.noise,
        "field": field_to_labels(bench, scene),
        "networks": {},
    }
    labels = found["field"].pop("labels")
    if not options.no_check:
        found["check"] = check(scene, labels)
    print(describe(found), flush=True)
    write_json(options.json, found)
    for name in options.networks:
        try:
            network: FlowNetwork = (
                BuiltinNetwork(device=str(device)) if name == "builtin" else random_mediar(device)
            )
            found["networks"][name] = pipeline(bench, scene, network)
        except (CellsegError, ImportError, torch.OutOfMemoryError) as error:
            found["networks"][name] = f"not measured: {error}"
        print(describe_network(name, found["networks"][name]), flush=True)
        write_json(options.json, found)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure, and say where the figures are."""
    options = parse(arguments)
    run(options)
    print(f"\nwritten to {options.json}")


if __name__ == "__main__":
    main()
