"""Numpy arrays and plain values out of a pickle, of which nothing is ever run.

A pickle is a program for a small stack machine, and Python's own machine imports and calls
whatever the program names. This one knows plain values, containers and numpy's arrays only: it
looks nothing up and calls nothing by name, so a hostile file can at worst be refused.

The opcodes are those of `pickletools`; what numpy puts into a pickle is described in the sources
of `numpy.ndarray.__reduce__` and `__setstate__`.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_BUILTINS = ("builtins", "__builtin__")
_PATHS = ("PurePath", "PurePosixPath", "PureWindowsPath", "Path", "PosixPath", "WindowsPath")

_KNOWN: dict[tuple[str, str], str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "dict",
    **{(module, "_reconstruct"): "array" for module in _ARRAY_MODULES},
    **{(module, "scalar"): "scalar" for module in _ARRAY_MODULES},
    **{(module, "_frombuffer"): "buffer" for module in _NUMERIC_MODULES},
    **{(module, name): "set" for module in _BUILTINS for name in ("set", "frozenset")},
    **{(module, "complex"): "complex" for module in _BUILTINS},
    **{(module, name): "bytes" for module in _BUILTINS for name in ("bytes", "bytearray")},
    **{("pathlib", name): "path" for name in _PATHS},
    **{("pathlib._local", name): "path" for name in _PATHS},
}
"""Every name that a pickle may use, and what it means here."""

_TYPE = re.compile(r"[<>|=]?([biufcSUO])(\d{1,9})")
_PUSHED = frozenset([
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
])  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_PLAIN = (str, bytes, int, float, complex)
_COPIES = 64 << 20
"""Bytes that may be copied beyond the size of the file: repeats must not fill the memory."""
_ITEM = 64  # bytes in a set


class _Mark:
    """Where a group of values on the stack begins."""


@dataclass(frozen=True)
class _Name:
    """A name of the table above; it stands for nothing that could be called."""

    means: str


@dataclass(eq=False)
class Array:
    """A numpy array of a pickle; `value` is None until its state has been read."""

    value: NDArray[Any] | None = None


@dataclass(eq=False)
class _Dtype:
    text: str
    order: Literal["<", ">", "|", "="] = "="

    def dtype(self) -> np.dtype[Any]:
        kind = np.dtype(self.text)
        return kind if kind.kind == "O" or self.order == "|" else kind.newbyteorder(self.order)


def unpickle(data: bytes, where: str) -> Any:
    """The value that a pickle describes, without running anything.

    Parameters
    ----------
    data : bytes
        The pickle, protocol 0 to 5.
    where : str
        Subject of messages, in the singular.

    Returns
    -------
    object
        Plain values and containers. Arrays are `Array`; paths are text.

    Raises
    ------
    InputError
        The pickle names something that is neither numpy's nor plain, or it is damaged.
    """
    try:
        return _Machine(len(data), where).run(data)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged or hostile file makes of the stack
        raise InputError(
            f"{where} is damaged ({type(error).__name__}): save it again from the program that "
            "wrote it."
        ) from error


class _Machine:
    def __init__(self, size: int, where: str) -> None:
        self.where = where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.left = size + _COPIES

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            name = opcode.name
            if name == "STOP":
                (value,) = self.stack
                return value
            if name in _PUSHED:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            else:
                step = getattr(self, f"do_{name.lower()}", None)
                if step is None:
                    raise self._refused(f"the instruction {name}")
                step(argument)
        raise ValueError("no end")

    def _refused(self, what: str) -> InputError:
        return InputError(
            f"{self.where} asks for {what}, which labels do not need and which could run code: "
            "nothing of it was read; open it where it was made and save the masks as TIFF."
        )

    def _spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise self._refused("far more memory than its size")

    def _keys(self, items: Iterable[Any]) -> None:
        """Let only plain values be keys: hashing tuples in tuples without end overflows."""
        for item in items:
            parts = item if isinstance(item, tuple | frozenset) else (item,)
            if not all(part is None or isinstance(part, _PLAIN) for part in parts):
                raise self._refused("a container as a key")

    def _group(self) -> list[Any]:
        place = len(self.stack) - 1
        while not isinstance(self.stack[place], _Mark):
            place -= 1
            if place < 0:
                raise IndexError("no mark")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def do_proto(self, _: int) -> None:
        pass  # all protocols share their opcodes

    def do_frame(self, _: int) -> None:
        pass  # only tells how much to read at once

    def do_mark(self, _: None) -> None:
        self.stack.append(_Mark())

    def do_pop(self, _: None) -> None:
        self.stack.pop()

    def do_pop_mark(self, _: None) -> None:
        self._group()

    def do_list(self, _: None) -> None:
        self.stack.append(self._group())

    def do_append(self, _: None) -> None:
        item = self.stack.pop()
        self._top(list).append(item)

    def do_appends(self, _: None) -> None:
        items = self._group()
        self._top(list).extend(items)

    def do_tuple(self, _: None) -> None:
        self.stack.append(tuple(self._group()))

    def do_tuple1(self, _: None) -> None:
        self._tuple(1)

    def do_tuple2(self, _: None) -> None:
        self._tuple(2)

    def do_tuple3(self, _: None) -> None:
        self._tuple(3)

    def _tuple(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) != count:
            raise IndexError("too few values")
        self.stack[-count:] = [items]

    def do_dict(self, _: None) -> None:
        items = self._group()
        self._keys(items[::2])
        self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))

    def do_setitem(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._keys((key,))
        self._top(dict)[key] = value

    def do_setitems(self, _: None) -> None:
        items = self._group()
        self._keys(items[::2])
        self._top(dict).update(zip(items[::2], items[1::2], strict=True))

    def do_additems(self, _: None) -> None:
        items = self._group()
        self._keys(items)
        self._top(set).update(items)

    def do_frozenset(self, _: None) -> None:
        items = self._group()
        self._keys(items)
        self.stack.append(frozenset(items))

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"no {kind.__name__}")
        return self.stack[-1]

    def do_put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    do_binput = do_long_binput = do_put

    def do_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def do_get(self, number: int) -> None:
        self.stack.append(self.memo[number])

    do_binget = do_long_binget = do_get

    def do_global(self, name: str) -> None:
        module, _, attribute = name.partition(" ")
        self._name(module, attribute)

    def do_stack_global(self, _: None) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        self._name(module, attribute)

    def _name(self, module: Any, attribute: Any) -> None:
        if not isinstance(module, str) or not isinstance(attribute, str):
            raise TypeError("no name")
        means = _KNOWN.get((module, attribute))
        if means is None:
            raise self._refused(f"{f'{module}.{attribute}'[:80]!r}")
        self.stack.append(_Name(means))

    def do_reduce(self, _: None) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise self._refused("a call of something that is no name")
        self.stack.append(self._made(name.means, arguments))

    do_newobj = do_reduce

    def _made(self, means: str, arguments: tuple[Any, ...]) -> Any:
        if means == "array":
            return Array()
        if means == "dtype":
            if not isinstance(arguments[0], str):
                raise TypeError("no type")
            if not _TYPE.fullmatch(arguments[0]):
                raise self._refused(f"an array of type {arguments[0][:40]!r}")
            return _Dtype(arguments[0])
        if means == "scalar":
            kind, data = arguments
            return self._array((), kind, False, data)[()]
        if means == "buffer":
            data, kind, shape, order = arguments
            return Array(self._array(shape, kind, order == "F", data))
        if means == "encode":
            text, encoding = arguments
            if not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
                raise self._refused("an unusual encoding")
            self._spend(len(text))
            return text.encode("latin-1")
        if means == "path":
            self._spend(sum(map(len, arguments)))
            return "/".join(arguments)
        if means == "complex":
            real, imaginary = arguments
            return complex(float(real), float(imaginary))
        if means == "dict" and not arguments:
            return {}
        if means in ("set", "bytes"):
            (items,) = arguments or ((),)
            self._spend(len(items) * (_ITEM if means == "set" else 1))
            if means == "set":
                self._keys(items)
            return set(items) if means == "set" else bytes(items)
        raise self._refused(f"a {means} made in an unusual way")

    def do_build(self, _: None) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, Array):
            *_version, shape, kind, fortran, data = state
            made.value = self._array(shape, kind, bool(fortran), data)
        elif isinstance(made, _Dtype):
            order, parts, names, fields = state[1:5]
            if order not in ("<", ">", "|", "=") or any((parts, names, fields)):
                raise self._refused("an array of records")
            made.order = order
        else:
            raise self._refused("an object that is no array")

    def _array(self, shape: Any, kind: Any, fortran: bool, data: Any) -> NDArray[Any]:
        if not isinstance(kind, _Dtype) or not isinstance(shape, tuple):
            raise TypeError("no array")
        dtype = kind.dtype()
        if len(shape) > 32 or not all(isinstance(n, int) and 0 <= n < 2**48 for n in shape):
            raise ValueError("no shape")
        count = math.prod(shape)
        order: Any = "F" if fortran else "C"
        if dtype.kind == "O":
            if not isinstance(data, list) or len(data) != count:
                raise ValueError("no list of objects")
            self._spend(count * _ITEM)
            objects = np.empty(count, object)
            for place, item in enumerate(data):  # a list among them must stay one item
                objects[place] = item
            return objects.reshape(shape, order=order)
        if isinstance(data, str):  # written by Python 2
            self._spend(len(data))
            data = data.encode("latin-1")
        if not isinstance(data, bytes | bytearray) or len(data) != count * dtype.itemsize:
            raise ValueError("as many bytes as values")
        if not count:
            return np.empty(shape, dtype)
        return np.frombuffer(data, dtype).reshape(shape, order=order)
