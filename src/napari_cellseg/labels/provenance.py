"""How each object came to be: what made it, with which parameters, and who changed it when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellseg.labels.edit import Key

START = "start"
"""Kind of how objects came to be that were there before the first step."""

COLUMNS = (
    "made", "source", "parameters", "prompts", "made_by", "made_at", "edits", "edit_kinds",
    "edited_by", "first_edit", "last_edit",
)  # fmt: skip
_MARKS = ("locked", "accepted", "class")


class StepLike(Protocol):
    """What is read of a step; see `napari_cellseg.labels.Step`."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def when(self) -> datetime: ...  # noqa: D102
    @property
    def user(self) -> str: ...  # noqa: D102
    @property
    def info(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def keys(self) -> Sequence[Key]: ...  # noqa: D102
    @property
    def born(self) -> Sequence[Key]: ...  # noqa: D102


class ObjectsLike(Protocol):
    """What is read of an object table."""

    def keys(self) -> list[Key]: ...  # noqa: D102
    def marked(self, name: str) -> Mapping[Key, Any]: ...  # noqa: D102


class DocumentLike(Protocol):
    """What is read of a document; see `napari_cellseg.labels.LabelDocument`."""

    @property
    def history(self) -> Sequence[StepLike]: ...  # noqa: D102
    @property
    def objects(self) -> ObjectsLike: ...  # noqa: D102
    @property
    def meta(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(eq=False)
class _Life:
    """What happened to one object, in order."""

    birth: StepLike | None = None
    edits: list[StepLike] = field(default_factory=list)


def provenance_table(document: DocumentLike) -> pd.DataFrame:
    """Tell of every object how it came to be and what was done to it since.

    Steps that were undone do not count, nor does what an earlier object of the same id went
    through before it was deleted.

    Parameters
    ----------
    document : LabelDocument

    Returns
    -------
    pandas.DataFrame
        Indexed by ``t`` and ``id``, rising. Columns, all text where not said otherwise:

        - ``made``: kind of the step that made it, such as "split", or "start" for objects that were
          there before the first step;
        - ``source``: who or what made it, such as "model builtin" or "user"; ``parameters``: of
          that, as JSON;
        - ``prompts``: number of prompts in all steps that concern it;
        - ``made_by``, ``made_at``: account, and time in UTC (ISO 8601);
        - ``edits``: number of later steps that changed it or its marks; ``edit_kinds``: which, as
          "merge 1, paint 3"; ``edited_by``: accounts; ``first_edit``, ``last_edit``: times;
        - ``locked``, ``accepted`` (bool), ``class``: marks as they are now.
    """
    import pandas as pd

    marks = {name: document.objects.marked(name) for name in _MARKS}
    keys, rows = [], []
    for key, life in _lives(document):
        keys.append(key)
        row = _row(key, life, document.meta)
        for name in _MARKS:
            value = marks[name].get(key)
            row[name] = str(value or "") if name == "class" else bool(value)
        rows.append(row)
    index = pd.MultiIndex.from_arrays(
        [[t for t, _ in keys], [number for _, number in keys]], names=["t", "id"]
    )
    return pd.DataFrame(rows, index=index, columns=[*COLUMNS, *_MARKS])


def provenance_summary(document: DocumentLike) -> dict[str, Any]:
    """Put the same as `provenance_table` briefly, for the metadata of a label file.

    Parameters
    ----------
    document : LabelDocument

    Returns
    -------
    dict
        Ready for JSON, and for `napari_cellseg.write_labels` as ``metadata``: ``source`` and
        ``parameters`` of the labels before the first step; ``steps``, ``users``, ``first``,
        ``last``; and under ``objects`` the names of ``columns`` and a list of ``rows`` for those
        objects alone that a step made or changed.
    """
    history = document.history
    source, parameters = _start(document.meta)
    columns = ["t", "id", *COLUMNS]
    rows = []
    for (t, number), life in _lives(document):
        if life.birth is not None or life.edits:
            row = _row((t, number), life, document.meta)
            rows.append([t, number, *(row[name] for name in COLUMNS)])
    return {
        "source": source,
        "parameters": parameters,
        "steps": len(history),
        "kinds": dict(Counter(step.kind for step in history)),
        "users": _names(step.user for step in history),
        "first": _time(history[0].when) if history else "",
        "last": _time(history[-1].when) if history else "",
        "objects": {"columns": columns, "rows": rows},
    }


def _lives(document: DocumentLike) -> list[tuple[Key, _Life]]:
    lives: dict[Key, _Life] = {}
    for step in document.history:
        born = set(step.born)
        for key in step.keys:
            if key in born:
                lives[key] = _Life(step)
            else:
                lives.setdefault(key, _Life()).edits.append(step)
    return [(key, lives.get(key) or _Life()) for key in sorted(document.objects.keys())]


def _row(key: Key, life: _Life, meta: Mapping[str, Any]) -> dict[str, Any]:
    birth, edits = life.birth, life.edits
    if birth is None:
        source, parameters = _start(meta)
    else:
        source, parameters = birth.source, _own(birth.info, key)
    kinds = Counter(step.kind for step in edits)
    return {
        "made": START if birth is None else birth.kind,
        "source": source,
        "parameters": _json(parameters),
        "prompts": sum(_prompts(step.info, key) for step in ([birth] if birth else []) + edits),
        "made_by": "" if birth is None else birth.user,
        "made_at": "" if birth is None else _time(birth.when),
        "edits": len(edits),
        "edit_kinds": ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())),
        "edited_by": ", ".join(_names(step.user for step in edits)),
        "first_edit": _time(min(step.when for step in edits)) if edits else "",
        "last_edit": _time(max(step.when for step in edits)) if edits else "",
    }


def _start(meta: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What made the labels that a document began with, and its parameters."""
    source = meta.get("source") or ""
    parameters = meta.get("parameters") or {}
    if isinstance(source, Mapping):
        parameters = {**parameters, **{k: v for k, v in source.items() if k != "model"}}
        source = source.get("model") or ""
    return str(source), dict(parameters) if isinstance(parameters, Mapping) else {}


def _prompts(info: Mapping[str, Any], key: Key) -> int:
    """Prompts that a step made an object with: a number, a list, or lists by kind."""
    given = info.get("prompts", 0)
    each = info.get("objects")
    if isinstance(each, Mapping):  # one step may write several objects
        given = each.get(str(key[1]), [])
    if isinstance(given, Mapping):
        return sum(len(one) if isinstance(one, list | tuple) else 1 for one in given.values())
    if isinstance(given, list | tuple):
        return len(given)
    return given if isinstance(given, int) else 0


def _own(info: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Parameters of a step, with the prompts of one object only."""
    each = info.get("objects")
    if not isinstance(each, Mapping):
        return dict(info)
    others = {name: value for name, value in info.items() if name != "objects"}
    return {**others, "prompts": each.get(str(key[1]), [])}


def _names(users: Iterable[str]) -> list[str]:
    return sorted({user for user in users if user})


def _time(when: datetime) -> str:
    return when.isoformat(timespec="seconds")


def _json(parameters: Mapping[str, Any]) -> str:
    return json.dumps(parameters, sort_keys=True, default=str) if parameters else ""
