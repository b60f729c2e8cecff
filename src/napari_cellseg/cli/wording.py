"""Messages of the engine, which speak of Python arguments, in the words of the command line."""

from __future__ import annotations

import re

_OPTIONS = (
    "spacing|axes|channel|diameter|probability|min_size|flow_error|model|checkpoint|device"
    "|fusion|block|field|workers|scheduler"
)
_PASS_SPACING = re.compile(r"\bspacing=\((?:z, )?y, x\)")
_ARGUMENT = re.compile(rf"\b({_OPTIONS})=(\([^()]*\)|\[[^\[\]]*\]|'[^']*'|(?=\S))")
_PASS = re.compile(rf"\bpass ({_OPTIONS})\b(?!=)")


def in_options(sentence: str) -> str:
    """Replace arguments such as ``axes='zyx'`` by options such as ``--axes zyx``."""
    sentence = sentence.replace("pass overwrite=True", "add --overwrite")
    sentence = _PASS_SPACING.sub("--spacing Z Y X", sentence)
    sentence = _PASS.sub(lambda found: f"pass {_option(found[1])}", sentence)
    return _ARGUMENT.sub(_argument, sentence)


def _argument(found: re.Match[str]) -> str:
    value = found[2]
    if value[:1] in "([":
        value = " ".join(value[1:-1].replace(",", " ").split())
    return f"{_option(found[1])} {value.strip(chr(39))}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
