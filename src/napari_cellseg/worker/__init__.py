"""The inference threads: named jobs, priorities, cancellation, progress, and the loaded models.

One process-wide `InferenceWorker` owns every model and the device; sessions only submit and
listen. Nothing here imports torch, Qt or napari.
"""

from napari_cellseg.worker.inference import InferenceWorker, shutdown_worker, worker
from napari_cellseg.worker.job import Deliver, Job, JobState, Priority
from napari_cellseg.worker.memory import MemoryHint, is_out_of_memory
from napari_cellseg.worker.models import ModelCache
from napari_cellseg.worker.registry import JobContext, operation, operations

__all__ = [
    "Deliver",
    "InferenceWorker",
    "Job",
    "JobContext",
    "JobState",
    "MemoryHint",
    "ModelCache",
    "Priority",
    "is_out_of_memory",
    "operation",
    "operations",
    "shutdown_worker",
    "worker",
]
