"""Progress and cancellation, passed down the pipeline as one thing."""

from collections.abc import Callable
from threading import Event

from napari_cellseg.errors import Cancelled

#: Called with a fraction in 0..1 and what is being done.
Report = Callable[[float, str], None]


class Progress:
    """A span of the work: reports its share of the whole, and stops when cancelled.

    Parameters
    ----------
    report : callable, optional
        ``(fraction, message)``.
    cancel : threading.Event, optional
        When set, the next step raises `Cancelled`.
    start, stop : float
        The part of the whole that this span is.
    """

    def __init__(
        self,
        report: Report | None = None,
        cancel: Event | None = None,
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        self._report = report
        self._cancel = cancel
        self._start = start
        self._stop = stop

    def part(self, start: float, stop: float) -> "Progress":
        """Return the span from ``start`` to ``stop`` (fractions of this one)."""
        width = self._stop - self._start
        return Progress(
            self._report, self._cancel, self._start + start * width, self._start + stop * width
        )

    def __call__(self, fraction: float, message: str) -> None:
        """Report that ``fraction`` of this span is done.

        Raises
        ------
        Cancelled
            If the user has cancelled.
        """
        self.check()
        if self._report is not None:
            done = self._start + min(max(fraction, 0.0), 1.0) * (self._stop - self._start)
            self._report(done, message)

    def check(self) -> None:
        """Raise `Cancelled` if the user has cancelled."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("the segmentation was cancelled; nothing was changed")
