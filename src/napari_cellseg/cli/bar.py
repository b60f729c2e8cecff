"""A progress bar on stderr for work that reports a fraction and a message."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FORMAT = "{percentage:3.0f}%|{bar}| {desc} [{elapsed}<{remaining}]"


@contextmanager
def report_bar(name: str, quiet: bool = False) -> Iterator[Callable[[float, str], None]]:
    """Yield a function that takes (fraction, message); silent where stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda fraction, message: None
        return
    from tqdm import tqdm

    with tqdm(total=1.0, desc=name, bar_format=_FORMAT, leave=False, file=sys.stderr) as bar:

        def report(fraction: float, message: str) -> None:
            bar.n = min(1.0, fraction)
            bar.set_description_str(message)

        yield report
