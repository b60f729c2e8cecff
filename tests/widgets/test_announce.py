from napari_cellseg.errors import InputError
from napari_cellseg.widgets.announce import announce


def test_an_error_is_shown_once_however_many_docks_hear_of_it(monkeypatch):
    said = []
    monkeypatch.setattr("napari_cellseg.widgets.announce.show_error", said.append)
    error = InputError("too small")
    announce(error)
    announce(error)
    assert said == ["too small"]
    announce(InputError("too small"))  # another one, of the same words
    assert len(said) == 2
