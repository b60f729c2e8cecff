"""`napari-cellseg evaluate`: agreement of two label files, for people or for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_cellseg.cli.plausible import looks_like_image
from napari_cellseg.errors import InputError
from napari_cellseg.evaluation import evaluate
from napari_cellseg.volume import read_label_file


def compare(predicted: Path, truth: Path, thresholds: Sequence[float], *, as_json: bool) -> str:
    """Evaluate two label files and return the scores as text.

    Raises
    ------
    InputError
        A file holds no labels, or they do not belong together.
    """
    mine, true = read_label_file(predicted), read_label_file(truth)
    if mine.labels.shape != true.labels.shape:
        raise InputError(
            f"{predicted} has shape {mine.labels.shape} and {truth} {true.labels.shape}: "
            "they are not of the same image."
        )
    for path, file in ((predicted, mine), (truth, true)):
        # Labels with a recipe were written by napari-cellseg.
        if not file.metadata and looks_like_image(file.labels):
            print(
                f"Warning: {path} looks like an image rather than labels, so the scores may mean "
                "nothing: pass a file with one number per instance.",
                file=sys.stderr,
            )
    # A file that does not state its axes does not outvote one that does.
    axes = mine.axes if "t" in mine.axes else true.axes
    known = true if true.spacing_known else mine
    scores = evaluate(
        mine.labels,
        true.labels,
        thresholds,
        spacing=known.spacing if known.spacing_known else None,
        axes=axes,
    )
    return json.dumps(scores, indent=2) if as_json else as_text(scores)


def as_text(scores: dict[str, Any]) -> str:
    """Lay scores out for reading."""
    counts, surface, vi = scores["counts"], scores["surface"], scores["vi"]
    lines = [f"instances   {counts['predicted']} found, {counts['truth']} true"]
    lines += [
        f"AP@{level:<8g} {scores['ap'][level]:.3f}   "
        f"{scores['tp'][level]} right, {scores['fp'][level]} too many, "
        f"{scores['fn'][level]} missed"
        for level in scores["ap"]
    ]
    lines += [
        f"IoU         {scores['iou']:.3f}   mean of the pairs matched at 0.5",
        f"Dice        {scores['dice']:.3f}   of the foreground",
        f"panoptic    {scores['pq']:.3f}   quality {scores['sq']:.3f} × "
        f"recognition {scores['rq']:.3f}",
        f"splits      {scores['splits']}",
        f"merges      {scores['merges']}",
        f"variation   {vi['total']:.3f}   bits of information: "
        f"split {vi['split']:.3f}, merge {vi['merge']:.3f}",
    ]
    if surface["mean"] is not None:
        lines.append(
            f"surface     {surface['mean']:.3g} {surface['unit']} apart on average, "
            f"95 % within {surface['p95']:.3g}"
        )
    return "\n".join(lines)
