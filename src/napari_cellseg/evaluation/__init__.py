"""How well predicted instances agree with true ones."""

from napari_cellseg.evaluation.contingency import Contingency, contingency
from napari_cellseg.evaluation.evaluate import evaluate

__all__ = ["Contingency", "contingency", "evaluate"]
