"""A table of simulated clicks, laid out for reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_cellseg.evaluation import MISSED, summarise_clicks

if TYPE_CHECKING:
    import pandas as pd

_LEVELS = ("80", "90")


def as_text(clicks: pd.DataFrame, predictor: str, images: Sequence[str]) -> str:
    """Lay a table of clicks out for reading; it is also valid Markdown.

    Parameters
    ----------
    clicks : pandas.DataFrame
        Of `study_basin` or `study_predictor`, maybe of several images.
    predictor : str
        What was clicked with.
    images : sequence of str
        Names of the images.
    """
    most = sum(str(name).startswith("iou_") for name in clicks)
    what = str(images[0]) if len(images) == 1 else f"{len(images)} images"
    groups = [("all", clicks)]
    if "auto" in clicks:
        groups.append(("wrong or missed*", clicks[clicks["auto"] < MISSED]))
    summaries = [(name, summarise_clicks(group)) for name, group in groups]
    shown = [name for name in summaries[0][1].index if name.startswith("iou_")]
    head = ["objects", "number"]
    head += [f"IoU {name.removeprefix('iou_')}" for name in shown]
    for level in _LEVELS:
        head += [f"clicks to 0.{level[0]}", "never"]
    rows = [[*head, "s per click"]]
    for name, values in summaries:
        count = int(values["objects"])
        cells = [f"{values[column]:.3f}" for column in shown]
        for level in _LEVELS:
            cells += [f"{values[f'clicks_{level}']:.2f}", f"{values[f'failed_{level}']:.0f}"]
        cells.append(f"{values['ms'] / 1000:.2g}")
        rows.append([name, str(count), *(cells if count else ["–"] * len(cells))])
    lines = [f"{predictor}, {what}, {most} {'click' if most == 1 else 'clicks'} at most", ""]
    lines += _markdown(rows)
    if "auto" in clicks:
        lines += ["", f"* no cell of the automatic run has an IoU of {MISSED} with it"]
    if "z" in clicks and clicks["z"].any():
        lines += ["", "each object was clicked in the one xy plane where it is largest"]
    return "\n".join(lines)


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [
        [cell.rjust(width) if k else cell.ljust(width) for k, (cell, width) in enumerate(cells)]
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    rule = ["-" * width if not k else "-" * (width - 1) + ":" for k, width in enumerate(widths)]
    return [f"| {' | '.join(row)} |" for row in (aligned[0], rule, *aligned[1:])]
