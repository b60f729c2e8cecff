"""Measurements of napari-cellseg: ``python -m benchmarks`` and ``python -m benchmarks.curves``."""
