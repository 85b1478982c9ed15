"""Models as a configuration declares them: each tensor is weighed before it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ftune.errors import RequestError
from ftune.security.limits.memory import available, spoken

MOST_TENSORS = 20_000
"""Tensors of a model: the deepest known have a few thousand."""
_aten = torch.ops.aten
_MAKERS = {
    _aten.empty.memory_format, _aten.empty_strided.default, _aten.empty_like.default,
    _aten.zeros.default, _aten.ones.default, _aten.full.default, _aten.rand.default,
    _aten.randn.default, _aten.arange.default, _aten.arange.start, _aten.arange.start_step,
    _aten.new_empty.default, _aten.new_zeros.default, _aten.eye.default, _aten.eye.m,
    _aten.zeros_like.default, _aten.ones_like.default, _aten.full_like.default,
}  # fmt: skip


class TooLargeError(RequestError):
    """A model that does not fit into the memory there is."""


class _Scales(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what is made, and refuses the tensor that would be too much."""

    def __init__(self, what: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.what, self.room, self.bytes, self.count = what, available(), 0, 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _MAKERS:
            self._weigh(func, args, kwargs)
        return func(*args, **kwargs)

    def _weigh(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        device = kwargs.get("device") or (args[0].device if _is_tensor(args) else None)
        if device is not None and torch.device(device).type != "cpu":
            return
        with torch.utils._python_dispatch._disable_current_modes():
            tensor = func(*_on_meta(args), **{**kwargs, "device": "meta", "pin_memory": None})
        self.count += 1
        self.bytes += tensor.numel() * tensor.element_size()
        if self.bytes > self.room:
            raise TooLargeError(
                f"{self.what}: would take more than {spoken(self.bytes)} of memory (a tensor of it "
                f"has the shape {list(tensor.shape)}), {spoken(self.room)} are available; "
                "declare a smaller one"
            )
        if self.count > MOST_TENSORS:
            raise TooLargeError(
                f"{self.what}: has more than {MOST_TENSORS:,} tensors; declare fewer layers"
            )


def _is_tensor(args: tuple[Any, ...]) -> bool:
    return bool(args) and isinstance(args[0], Tensor)


def _on_meta(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(a.to("meta") if isinstance(a, Tensor) else a for a in args)


@contextmanager
def weighed(what: str) -> Iterator[None]:
    """While a model is made: raises TooLargeError before a tensor is, that cannot be had."""
    try:
        with _Scales(what):
            yield
    except (RuntimeError, OverflowError, TypeError, MemoryError) as error:
        text = str(error)
        if not any(word in text for word in ("verflow", "allocate", "too large", "out of range")):
            raise
        raise TooLargeError(
            f"{what}: has sizes that no memory holds ({text.splitlines()[0][:120]}); declare a"
            " smaller one"
        ) from None
