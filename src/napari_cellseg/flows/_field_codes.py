"""How flow and logits are stored: as they are in 16 bits, or in steps in 8."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOW_STEP = 1 / 127
#: A power of two, so that steps are exact in float16; with 127 steps either side a probability
#: from 0.0004 to 0.9996 can be told.
LOGIT_STEP = 1 / 16
_MOST = 127
#: What was never written: no flow, and a logit below every threshold.
_BACKGROUND = -32.0
_LARGEST = 65504.0

#: Types and fill values of the arrays on disk, by precision.
STORED: dict[str, dict[str, tuple[Any, Any]]] = {
    "float16": {"flow": (np.float16, 0.0), "logits": (np.float16, _BACKGROUND)},
    "int8": {"flow": (np.int8, 0), "logits": (np.int8, -_MOST)},
}
#: What is said about them in the attributes.
STATED: dict[str, dict[str, float]] = {
    "float16": {},
    "int8": {"flow_step": FLOW_STEP, "logit_step": LOGIT_STEP},
}


def flow_code(flow: NDArray[np.floating], precision: str) -> NDArray[Any]:
    """Flow as it is stored."""
    return _stepped(flow, FLOW_STEP) if precision == "int8" else np.asarray(flow, np.float16)


def logit_code(logits: NDArray[np.floating], precision: str) -> NDArray[Any]:
    """Logits as they are stored."""
    if precision == "int8":
        return _stepped(logits, LOGIT_STEP)
    return np.asarray(np.clip(logits, -_LARGEST, _LARGEST), np.float16)


def flow_values(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Flow from what is stored: exact in float16 for both precisions."""
    return _values(stored, FLOW_STEP)


def logit_values(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Logits from what is stored: exact in float16 for both precisions."""
    return _values(stored, LOGIT_STEP)


def _stepped(values: NDArray[np.floating], step: float) -> NDArray[np.int8]:
    steps = np.rint(values.astype(np.float32) / np.float32(step))
    return np.asarray(np.clip(steps, -_MOST, _MOST), np.int8)


def _values(stored: NDArray[Any], step: float) -> NDArray[np.float32]:
    if stored.dtype == np.float16:
        return stored.astype(np.float32)
    table = (np.arange(-128, 128) * step).astype(np.float16).astype(np.float32)
    return np.asarray(table[stored.astype(np.int16) + 128], np.float32)
