"""How well predicted instances agree with true ones, and how many clicks a cell takes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_cellseg.evaluation.contingency import Contingency, contingency
from napari_cellseg.evaluation.evaluate import evaluate

if TYPE_CHECKING:
    from napari_cellseg.evaluation.click_study import MISSED, study_basin, study_predictor
    from napari_cellseg.evaluation.clicks import simulate_clicks, summarise_clicks

# resolved on first use: who compares labels needs nothing that clicks
_HOME = {
    "MISSED": "click_study",
    "simulate_clicks": "clicks",
    "study_basin": "click_study",
    "study_predictor": "click_study",
    "summarise_clicks": "clicks",
}

__all__ = [
    "MISSED",
    "Contingency",
    "contingency",
    "evaluate",
    "simulate_clicks",
    "study_basin",
    "study_predictor",
    "summarise_clicks",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
