"""Build a module without filling its weights, which a file is about to replace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch.overrides import TorchFunctionMode

_FILLS = frozenset(
    {"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"}
    | {"xavier_uniform_", "xavier_normal_"}
)


class _Unfilled(TorchFunctionMode):
    """Leaves weights as they are where a module would draw random ones."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if getattr(func, "__name__", "") in _FILLS:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def unfilled(build: Callable[[], Any]) -> Any:
    """Build a module whose large weights are not filled: memory that nobody has touched costs none.

    Torch's "meta" device would do the same, but what a module computes there while it is made has
    torch import its compiler, and with that Triton: see `.lone_module` for the harm.

    Parameters
    ----------
    build : callable
        Makes the module.
    """
    with _Unfilled():
        return build()
