"""Where the frozen, deterministic prefix of a model ends, and how the rest runs without it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ftune.frozen_prefix.trace import Trace, first_floats
from ftune.objectives import Batch, Forward

LIBRARIES = ("torch.nn.", "timm.", "ftune.models.")
"""Whose modules without parameters are layers, as dropout, activations and pooling."""
STORED = "prefix"
"""The key of stored activations in a batch."""


@dataclass(frozen=True)
class StandIn:
    """A tensor that a skipped module returned: all that later code may ask of it."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def like(self, stored: Tensor, traced: tuple[int, ...], x: Tensor) -> Tensor:
        """Return the stored tensor where it has this shape, else zeros that take no memory.

        traced: rows, and positions of texts, of the trace's inputs; x: the inputs now.
        """
        sizes = zip(self.shape, traced, x.shape, strict=False)
        changing = [now if n == then else n for n, then, now in sizes]
        shape = (*changing, *self.shape[len(changing) :])
        if shape == tuple(stored.shape):
            return stored
        return torch.zeros((), dtype=self.dtype, device=stored.device).expand(shape)


@dataclass(frozen=True)
class Cut:
    """The module at which a pass begins that has the stored input of this module.

    skipped: modules before it, with what they returned. tensors: parameters and buffers on which
    the stored values may depend. tail: what runs, if the outputs are those of a chain of modules
    from here on, each with the further arguments that it takes from the batch; else None, and the
    model's own code runs with the skipped modules replaced. shape: of the input in the trace.
    inputs: of the model's inputs there, rows and, of texts, positions. blocks: how many are
    skipped. macs, rest: multiply-adds a row before it and from it on.
    """

    path: str
    module: nn.Module
    skipped: tuple[tuple[str, nn.Module, Any], ...]
    tensors: Mapping[str, Tensor]
    tail: tuple[tuple[nn.Module, tuple[str, ...]], ...] | None
    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    dtype: torch.dtype
    channels_last: bool
    blocks: int
    macs: float
    rest: float

    @property
    def needs(self) -> bool:
        """Whether a pass needs more of the batch than what is stored."""
        return self.tail is None or any(names for _, names in self.tail)

    @property
    def ragged(self) -> bool:
        """Whether rows have as many stored positions as they have tokens."""
        return len(self.shape) > 2 and self.inputs[1:] == self.shape[1:2]

    @cached_property
    def digest(self) -> str:
        """The sha256 of all that what is stored depends on, but the rows and the machine."""
        digest = hashlib.sha256(self.path.encode())
        for path, skipped, _ in self.skipped:
            for name, m in skipped.named_modules(prefix=path):
                digest.update(f"{name} {type(m).__qualname__} {m.extra_repr()}\n".encode())
        for name, tensor in self.tensors.items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def capture(self, forward: Forward, batch: Batch) -> Tensor:
        """Return the input of the module; nothing after it is computed."""

        def stop(*args: Any, **kwargs: Any) -> None:
            raise _ReachedError(first_floats(args, kwargs)[1])

        with _replaced({self.module: stop}):
            try:
                forward(batch)
            except _ReachedError as reached:
                assert reached.value is not None
                return reached.value
        raise RuntimeError(f"{self.path} was not reached")

    def resume(self, forward: Forward, batch: Batch) -> tuple[Any, Batch]:
        """Return what `forward` would, computed from the stored input of the module on."""
        if self.tail is None:
            with self.skipping(batch):
                return forward(batch)
        x = self._stored(batch)
        for module, names in self.tail:
            x = module(x, *(batch[name] for name in names))
        return x, batch

    def skipping(self, batch: Batch) -> AbstractContextManager[None]:
        """Let the model's own code run on what is stored for this batch."""
        return _replaced(self._replacements(self._stored(batch), batch["x"]))

    def _stored(self, batch: Batch) -> Tensor:
        x = batch[STORED]
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    def _replacements(self, x: Tensor, inputs: Tensor) -> dict[nn.Module, Callable[..., Any]]:
        original = self.module.forward

        def begin(*args: Any, **kwargs: Any) -> Any:
            slot, _ = first_floats(args, kwargs)
            args = tuple(x if at == slot else value for at, value in enumerate(args))
            return original(*args, **{k: x if k == slot else v for k, v in kwargs.items()})

        def stand_in(output: Any) -> Callable[..., Any]:
            return lambda *_, **__: tree_map(
                lambda t: t.like(x, self.inputs, inputs) if isinstance(t, StandIn) else t, output
            )

        return {m: stand_in(output) for _, m, output in self.skipped} | {self.module: begin}


class _ReachedError(Exception):
    """Ends a forward pass at the cut."""

    def __init__(self, value: Tensor | None) -> None:
        self.value = value


def cuts(trace: Trace) -> list[Cut]:
    """Return the places where the prefix may end, the latest first."""
    rows, counts = len(trace.batch["x"]), Counter(call.path for call in trace.calls)
    places: list[int] = []
    for at, call in enumerate(trace.calls):
        if not call.clean:
            break
        frozen = any(next(c.module.parameters(), None) is not None for c in trace.calls[:at])
        fits = call.input is not None and call.input.dim() > 1 and len(call.input) == rows
        if frozen and fits and counts[call.path] == 1:
            places.append(at)
        if _ends_prefix(call.module):
            break
    return [_cut(trace, at) for at in reversed(places)]


def _ends_prefix(module: nn.Module) -> bool:
    """Whether something in it is trained, or mixes the rows of a batch."""
    norms = (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    mixes = any(norm.training or norm.running_mean is None for norm in norms)
    return mixes or any(p.requires_grad for p in module.parameters())


def _cut(trace: Trace, at: int) -> Cut:
    call, rows = trace.calls[at], len(trace.batch["x"])
    x = call.input
    assert x is not None
    shape, ids = tuple(trace.batch["x"].shape), not trace.batch["x"].is_floating_point()
    last = torch.channels_last
    skipped = [c for c in trace.calls[:at] if _is_layer(c.module)]
    return Cut(
        call.path, call.module,
        tuple((c.path, c.module, tree_map(_stand_in, c.output)) for c in skipped),
        _frozen(trace, at), _tail(trace, at), tuple(x.shape), shape if ids else shape[:1], x.dtype,
        x.dim() == 4 and x.is_contiguous(memory_format=last) and not x.is_contiguous(),
        sum(c.is_block for c in skipped), call.macs / rows, (trace.macs - call.macs) / rows,
    )  # fmt: skip


def _frozen(trace: Trace, at: int) -> dict[str, Tensor]:
    """Return the frozen parameters and the buffers outside of the modules from a call on."""
    later = tuple(f"{call.path}." for call in trace.calls[at:])
    tensors = (*trace.model.named_parameters(), *trace.model.named_buffers())
    return {k: t for k, t in tensors if not t.requires_grad and not k.startswith(later)}


def _is_layer(module: nn.Module) -> bool:
    """Whether its work may be left out; other modules without parameters make masks and angles."""
    has_weights = next(module.parameters(), None) is not None
    return has_weights or type(module).__module__.startswith(LIBRARIES)


def _stand_in(value: Any) -> Any:
    return StandIn(tuple(value.shape), value.dtype) if isinstance(value, Tensor) else value


def _tail(trace: Trace, at: int) -> tuple[tuple[nn.Module, tuple[str, ...]], ...] | None:
    """Return the modules from a call on, if each takes the output of the one before, as it is."""
    x: Any = trace.calls[at].input
    modules = []
    for call in trace.calls[at:]:
        if call.input is not x or call.named is None:
            return None
        modules.append((call.module, call.named))
        x = call.output
    return tuple(modules) if x is trace.outputs else None


@contextmanager
def _replaced(forwards: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Give modules another `forward` for a time; nothing else of them changes."""
    before = {module: module.__dict__.get("forward") for module in forwards}
    for module, forward in forwards.items():
        module.__dict__["forward"] = forward
    try:
        yield
    finally:
        for module, own in before.items():
            module.__dict__.pop("forward")
            if own is not None:
                module.__dict__["forward"] = own
