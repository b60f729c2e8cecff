"""Typed errors. Each message is one sentence: what is wrong, where, and what to do."""


class CellsegError(Exception):
    """Base class of every error that napari-cellseg raises on purpose."""


class InputError(CellsegError, ValueError):
    """The input (file, array or parameter) cannot be used as it is."""


class ModelError(CellsegError):
    """A model or its checkpoint cannot be found, loaded or run."""


class StorageError(CellsegError):
    """Something could not be written or read back; what was there before is untouched."""


class Cancelled(CellsegError):  # noqa: N818 - the public name of the outcome, not of a fault
    """The user cancelled the work; no result exists and nothing was written."""
