"""The progress bar: on a terminal only, and gone at the end."""

import io

import pytest

from napari_cellseg.cli.bar import report_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "quiet"), [(Terminal(), True), (io.StringIO(), False)])
def test_silence(stream: io.StringIO, quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    with report_bar("clicks", quiet) as report:
        report(0.5, "half")
    assert stream.getvalue() == ""


def test_a_terminal_shows_how_far_and_what(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with report_bar("clicks") as report:
        report(0.5, "a: clicking on object 3")
        report(1.5, "done")
    said = stream.getvalue()
    assert " 50%" in said
    assert "| a: clicking on object 3 [" in said
    assert "150%" not in said
    assert said.split("\r")[-1].strip() == ""
