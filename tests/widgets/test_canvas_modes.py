"""One mode at a time has the canvas."""

import gc

from napari.components import ViewerModel

from napari_cellseg.widgets.canvas_modes import CanvasModes, modes_for


class Mode:
    def __init__(self, modes, name, said):
        self.modes, self.name, self.said = modes, name, said

    def leave(self):
        self.said.append(self.name)
        self.modes.give_back(self)


def test_who_takes_the_canvas_ends_who_had_it():
    modes, said = CanvasModes(), []
    one, other = Mode(modes, "one", said), Mode(modes, "other", said)
    modes.take(one, one.leave)
    modes.take(one, one.leave)
    assert (modes.owner, said) == (one, [])
    modes.take(other, other.leave)
    assert (modes.owner, said) == (other, ["one"])
    modes.give_back(one)
    assert modes.owner is other
    modes.give_back(other)
    assert modes.owner is None


def test_an_owner_that_is_gone_has_nothing():
    modes, said = CanvasModes(), []
    one = Mode(modes, "one", said)
    modes.take(one, one.leave)
    del one
    gc.collect()
    assert modes.owner is None
    other = Mode(modes, "other", said)
    modes.take(other, other.leave)
    assert not said


def test_each_viewer_has_its_own_and_keeps_it():
    first, second = ViewerModel(), ViewerModel()
    assert modes_for(first) is modes_for(first)
    assert modes_for(first) is not modes_for(second)


def test_who_lends_the_canvas_has_it_again():
    modes, said = CanvasModes(), []
    reviewing, tool = Mode(modes, "reviewing", said), Mode(modes, "tool", said)
    prompting = Mode(modes, "prompting", said)
    modes.take(reviewing, reviewing.leave)
    modes.borrow(tool, tool.leave)
    assert (modes.owner, said) == (tool, [])
    modes.give_back(tool)
    assert (modes.owner, said) == (reviewing, [])
    modes.borrow(tool, tool.leave)
    modes.take(prompting, prompting.leave)
    assert (modes.owner, said) == (prompting, ["tool", "reviewing"])
