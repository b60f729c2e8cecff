"""Run a command and turn every outcome into an exit status and at most one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from napari_cellseg.errors import Cancelled, CellsegError

DONE, BUG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``napari-cellseg``.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0 on success, 2 on bad input (one sentence on stderr), 130 after Ctrl-C; 1 on an error
        that is not the user's. A traceback is printed with ``--debug`` only.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _run(words)
    except (KeyboardInterrupt, Cancelled):
        _say("Stopped; nothing is left half-written.")
        return INTERRUPTED
    except BrokenPipeError:
        # who read our output has read enough; Python would complain again when it closes it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except CellsegError as error:
        if debug:
            raise
        _say(_in_options(error))
        return BAD_INPUT
    except Exception as error:
        if debug:
            raise
        _say(
            f"Something went wrong that is not your fault ({type(error).__name__}: {error}); "
            "run it again with --debug and report what it prints."
        )
        return BUG
    finally:
        _stop_worker()


def _run(words: list[str]) -> int:
    from cyclopts import CycloptsError

    from napari_cellseg.cli.app import app

    try:
        status = app(words, print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:
        _say(f"{_sentence(error)} (napari-cellseg --help tells more)")
        return BAD_INPUT
    return status if isinstance(status, int) else DONE


def _in_options(error: CellsegError) -> str:
    from napari_cellseg.cli.wording import in_options

    return in_options(str(error))


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _stop_worker() -> None:
    """End the threads if any were started; a second Ctrl-C does not wait for them."""
    if "napari_cellseg.worker.inference" in sys.modules:
        from napari_cellseg.worker.inference import shutdown_worker

        with suppress(KeyboardInterrupt):
            shutdown_worker(timeout=None)
