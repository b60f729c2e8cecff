"""Prompts: encode a plane once, answer every click from it.

A predictor knows planes, never volumes, and turns prompts into its own frame at its boundary.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_cellseg.prompts.eight_bit import picture
    from napari_cellseg.prompts.embedding import Embedding
    from napari_cellseg.prompts.embedding_cache import EmbeddingCache
    from napari_cellseg.prompts.load import load_predictor
    from napari_cellseg.prompts.predictor import Capabilities, Predictor
    from napari_cellseg.prompts.prompt import Prompt
    from napari_cellseg.prompts.proposal import Proposal
    from napari_cellseg.prompts.registry import PredictorInfo, available_predictors

# resolved on first use: a script that only makes prompts should not wait for numba
_HOME = {
    "Capabilities": "predictor",
    "Embedding": "embedding",
    "EmbeddingCache": "embedding_cache",
    "Predictor": "predictor",
    "PredictorInfo": "registry",
    "Prompt": "prompt",
    "Proposal": "proposal",
    "available_predictors": "registry",
    "load_predictor": "load",
    "picture": "eight_bit",
}

__all__ = [
    "Capabilities",
    "Embedding",
    "EmbeddingCache",
    "Predictor",
    "PredictorInfo",
    "Prompt",
    "Proposal",
    "available_predictors",
    "load_predictor",
    "picture",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
