"""A progress bar on stderr that follows a session."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from napari_cellseg.cli.wording import in_options
from napari_cellseg.session import Session, Status

_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {postfix} [{elapsed}<{remaining}]"


@contextmanager
def progress_bar(session: Session, name: str, quiet: bool) -> Iterator[None]:
    """Show what the session does; silent where stderr is no terminal or `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from tqdm import tqdm

    with tqdm(total=1.0, desc=name, bar_format=_FORMAT, leave=False, file=sys.stderr) as bar:

        def follow(status: Status) -> None:
            if status.fraction is not None:
                bar.n = status.fraction
            bar.set_postfix_str(status.text)

        session.status_changed.connect(follow)
        try:
            yield
        finally:
            session.status_changed.disconnect(follow)


@contextmanager
def notes(session: Session, name: str, quiet: bool, said: set[str]) -> Iterator[None]:
    """Print the session's notices on stderr once an image is done; a failure speaks alone.

    `said` holds the sentences of the run so far: none is printed twice.
    """
    heard: list[str] = []
    session.noticed.connect(heard.append)
    try:
        yield
    finally:
        session.noticed.disconnect(heard.append)
    if not quiet:
        for sentence in map(in_options, heard):
            if sentence not in said:
                said.add(sentence)
                print(f"{name}: {sentence}", file=sys.stderr)
