"""The tools of the Edit dock: what they are called, what they do, and what they need."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes
    ----------
    text : str
        A word for its button.
    tip : str
        What it does, in the user's words.
    gesture : {"", "click", "line", "lasso"}
        What the mouse does while it is on; "" for what is done at once, to what is selected.
    ask : str
        What the user does now, while it is on.
    needs : {"", "one", "some"}
        How many cells must be selected.
    flat : bool
        Whether it draws in a plane, so that it needs a 2D view.
    deep : bool
        Whether it is about slices, so that it needs labels with z.
    shown : bool
        Whether what it does at once is shown before it is applied.
    """

    text: str
    tip: str
    gesture: str = ""
    ask: str = ""
    needs: str = ""
    flat: bool = False
    deep: bool = False
    shown: bool = False


TOOLS = {
    "select": Tool(
        "select",
        "Click a cell to select it; Shift+click adds another, Shift+drag adds all in a lasso. "
        "While this or another tool is on, the keys of editing act.",
        "click",
        "Click a cell; Shift+click adds another.",
    ),
    "lasso": Tool(
        "lasso",
        "Draw around cells to select them: those in the plane in view, or in a 3D view all whose "
        "middle is inside.",
        "lasso",
        "Draw around cells; with Shift they are added.",
    ),
    "delete": Tool("delete", "Delete the selected cells, as one step.", needs="some"),
    "lock": Tool(
        "lock",
        "Lock the selected cells, so that nothing changes them; unlock them where all are locked.",
        needs="some",
    ),
    "merge": Tool(
        "merge",
        "Make one cell of several: those that are selected, at once; else click two that belong "
        "together, or Shift+drag around several. The first one's number stays.",
        "click",
        "Click two cells that are one, or Shift+drag around several.",
    ),
    "split": Tool(
        "split",
        "Split a cell: click a point in each part of it, two or more.",
        "click",
        "Click a point in each part of one cell.",
    ),
    "cut": Tool(
        "cut",
        "Cut a cell in two along a line that you draw. In a 3D view, select the cell first; it is "
        "cut straight along the line of sight.",
        "line",
        "Draw a line across a cell.",
    ),
    "pieces": Tool(
        "pieces",
        "Make a cell of each piece of the selected cell that hangs together.",
        needs="one",
        shown=True,
    ),
    "fill": Tool("fill", "Fill the holes of the selected cells.", needs="some", shown=True),
    "smooth": Tool(
        "smooth",
        "Round the selected cells off by the amount below; their sizes stay.",
        needs="some",
        shown=True,
    ),
    "grow": Tool(
        "grow",
        "Let the selected cells grow by the amount below, into the background only.",
        needs="some",
        shown=True,
    ),
    "shrink": Tool(
        "shrink",
        "Take the amount below off the outside of the selected cells.",
        needs="some",
        shown=True,
    ),
    "largest": Tool(
        "largest",
        "Keep the largest piece of each selected cell and delete the rest.",
        needs="some",
        shown=True,
    ),
    "new": Tool(
        "new",
        "Draw around a cell that is missing: it becomes a new one, in this plane and as many "
        "around it as stated below.",
        "lasso",
        "Draw around a cell that is missing.",
        flat=True,
    ),
    "extend": Tool(
        "extend",
        "Draw around what belongs to the selected cell, too: in this plane and as many around it "
        "as stated below. Other cells keep what they have.",
        "lasso",
        "Draw around what belongs to the cell, too.",
        "one",
        flat=True,
    ),
    "erase": Tool(
        "erase",
        "Draw around what is no cell: of the selected cells, or of all where none is selected, in "
        "this plane and as many around it as stated below.",
        "lasso",
        "Draw around what is to be erased.",
        flat=True,
    ),
    "replace": Tool(
        "replace",
        "Draw the selected cell's outline in this plane anew.",
        "lasso",
        "Draw the cell's outline in this plane anew.",
        "one",
        flat=True,
        deep=True,
    ),
    "interpolate": Tool(
        "between",
        "Fill the selected cell in between the slices that you drew; where you drew fewer than "
        "two, fill only slices that it lacks.",
        needs="one",
        deep=True,
        shown=True,
    ),
    "relabel": Tool("1…N", "Number the cells one after the other; locked ones keep their number."),
}

ORDER = (
    ("select", "lasso", "delete", "lock"),
    ("merge", "split", "cut", "pieces"),
    ("fill", "smooth", "grow", "shrink"),
    ("new", "extend", "erase", "largest"),
    ("replace", "interpolate", "relabel"),
)
