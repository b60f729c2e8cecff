"""How objects came to be, as their document remembers it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellseg.labels import Edit, LabelDocument, Mark
from napari_cellseg.labels.formats import read_label_file, write_label_file
from napari_cellseg.labels.provenance import COLUMNS, provenance_summary, provenance_table

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class FakeStep:
    kind: str
    keys: tuple[tuple[int, int], ...]
    born: tuple[tuple[int, int], ...] = ()
    source: str = "user"
    when: datetime = BEGIN
    user: str = "ana"
    info: dict[str, Any] = field(default_factory=dict)


@dataclass
class FakeObjects:
    present: list[tuple[int, int]]
    marks: dict[str, dict[tuple[int, int], Any]] = field(default_factory=dict)

    def keys(self) -> list[tuple[int, int]]:
        return self.present

    def marked(self, name: str) -> dict[tuple[int, int], Any]:
        return self.marks.get(name, {})


@dataclass
class FakeDocument:
    history: list[FakeStep]
    objects: FakeObjects
    meta: dict[str, Any] = field(default_factory=dict)


def later(minutes: int) -> datetime:
    return BEGIN + timedelta(minutes=minutes)


def story() -> FakeDocument:
    """1 is untouched, 2 was painted on by two people, 5 was split off 2, 7 was made of prompts."""
    a, b, c, d = (0, 1), (0, 2), (0, 5), (1, 7)
    return FakeDocument(
        [
            FakeStep("paint", (b,), when=later(1)),
            FakeStep("split", (b, c), born=(c,), when=later(2), info={"seeds": 2}),
            FakeStep("prompt", (d,), born=(d,), source="prompt sam", when=later(3), user="ben",
                     info={"prompts": [[1, 2], [3, 4]], "model": "sam"}),
            FakeStep("prompt", (d,), source="prompt sam", when=later(4), user="ben",
                     info={"prompts": {"points": [1, 2, 3], "box": 1}}),
            FakeStep("paint", (b,), when=later(5), user="ben"),
        ],
        FakeObjects([d, c, b, a], {"class": {b: "nucleus"}, "locked": {a: True}}),
        {"source": "model builtin", "parameters": {"diameter": 11.0}},
    )  # fmt: skip


def test_each_object_has_its_story():
    table = provenance_table(story())
    assert table.index.tolist() == [(0, 1), (0, 2), (0, 5), (1, 7)]
    assert table.made.tolist() == ["start", "start", "split", "prompt"]
    assert table.source.tolist() == ["model builtin", "model builtin", "user", "prompt sam"]
    assert json.loads(table.parameters.iloc[0]) == {"diameter": 11.0}
    assert json.loads(table.parameters.iloc[2]) == {"seeds": 2}
    assert table.prompts.tolist() == [0, 0, 0, 6]
    assert table.edits.tolist() == [0, 3, 0, 1]
    assert table.edit_kinds.tolist() == ["", "paint 2, split 1", "", "prompt 1"]
    assert table.edited_by.tolist() == ["", "ana, ben", "", "ben"]
    assert table.made_at.tolist() == [
        "",
        "",
        "2026-01-02T03:06:05+00:00",
        "2026-01-02T03:07:05+00:00",
    ]
    assert table.first_edit.iloc[1] == "2026-01-02T03:05:05+00:00"
    assert table.last_edit.iloc[1] == "2026-01-02T03:09:05+00:00"
    assert table["class"].tolist() == ["", "nucleus", "", ""]
    assert table.locked.tolist() == [True, False, False, False]


def test_the_clock_may_go_backwards():
    key = (0, 1)
    steps = [FakeStep("paint", (key,), when=later(k)) for k in (5, 2, 3)]
    row = provenance_table(FakeDocument(steps, FakeObjects([key]))).iloc[0]
    assert (row.first_edit, row.last_edit) == (
        later(2).isoformat(timespec="seconds"),
        later(5).isoformat(timespec="seconds"),
    )


def test_an_id_that_is_used_again_has_a_new_story():
    key = (0, 3)
    steps = [
        FakeStep("paint", (key,)),
        FakeStep("delete", (key,)),
        FakeStep("new", (key,), born=(key,), source="user"),
    ]
    row = provenance_table(FakeDocument(steps, FakeObjects([key]))).iloc[0]
    assert (row.made, row.edits) == ("new", 0)


def test_what_made_the_labels_may_be_a_recipe():
    meta = {"source": {"model": "builtin", "probability": 0.4}}
    row = provenance_table(FakeDocument([], FakeObjects([(0, 1)]), meta)).iloc[0]
    assert (row.source, json.loads(row.parameters)) == ("builtin", {"probability": 0.4})


def test_no_object_no_row():
    table = provenance_table(FakeDocument([], FakeObjects([])))
    assert len(table) == 0
    assert list(table.columns[: len(COLUMNS)]) == list(COLUMNS)


def test_the_summary_tells_of_changed_objects_alone():
    summary = provenance_summary(story())
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["steps"], summary["users"]) == (5, ["ana", "ben"])
    assert summary["kinds"] == {"paint": 2, "split": 1, "prompt": 2}
    assert (summary["source"], summary["parameters"]) == ("model builtin", {"diameter": 11.0})
    rows = [
        dict(zip(summary["objects"]["columns"], row, strict=True))
        for row in summary["objects"]["rows"]
    ]
    assert [(row["t"], row["id"], row["made"]) for row in rows] == [
        (0, 2, "start"), (0, 5, "split"), (1, 7, "prompt")
    ]  # fmt: skip


def edited() -> LabelDocument:
    labels = np.zeros((3, 8, 8), np.uint32)
    labels[:, :3, :3], labels[:, 4:, 4:] = 1, 2
    document = LabelDocument(labels, (2.0, 0.5, 0.5), meta={"source": "model builtin"})
    square = np.ones((1, 2, 2), bool)
    document.apply(Edit((slice(0, 1), slice(6, 8), slice(0, 2)), square, 9, "new", "user"))
    document.apply(Edit((slice(0, 1), slice(6, 8), slice(0, 1)), square[..., :1], 0, "erase"))
    document.apply(Mark(0, 2, "class", "nucleus"))
    return document


def test_a_real_document():
    document = edited()
    table = provenance_table(document)
    assert table.made.to_dict() == {(0, 1): "start", (0, 2): "start", (0, 9): "new"}
    assert table.edits.to_dict() == {(0, 1): 0, (0, 2): 1, (0, 9): 1}
    assert table["class"].to_dict()[(0, 2)] == "nucleus"
    assert table.made_by.iloc[2] == document.history[0].user
    document.undo()
    document.undo()
    document.undo()
    assert provenance_table(document).made.tolist() == ["start", "start"]


def test_the_summary_lies_in_label_files(tmp_path: Path):
    document = edited()
    summary = provenance_summary(document)
    for ending in (".tif", ".ome.zarr", ".h5"):
        path = write_label_file(
            tmp_path / f"a{ending}", document.labels, metadata={"provenance": summary}
        )
        assert read_label_file(path).metadata == {"provenance": summary}
