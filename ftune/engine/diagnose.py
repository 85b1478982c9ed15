"""Where a number that is not finite came from: the first such tensor, and the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.random import fork_rng

from ftune.engine.gradients import finite
from ftune.engine.state import State
from ftune.models.call import evaluating
from ftune.objectives import Batch, Forward, Loss

SHOWN = 5
MOST_TRIES = 1000


@dataclass(frozen=True)
class Diagnosis:
    """Looks for the cause of a fault by running its step again, piece by piece.

    positions: the rows that a step sees, int64 [n]. take: any of them as a batch. named: some of
    them as users know them.
    """

    loss: Callable[[Forward, Batch], Loss]
    positions: Callable[[int], Tensor]
    take: Callable[[int, Tensor], Batch]
    named: Callable[[Sequence[int]], list[str]]

    def __call__(self, state: State, batches: Sequence[Batch]) -> str:
        """In words; empty where nothing can be found. Changes nothing."""
        with suppress(RuntimeError), evaluating(state.model), fork_rng(), torch.enable_grad():
            tensor = first_tensor(state, batches, self.loss)
            return "; ".join(part for part in (tensor, self._rows(state, tensor)) if part)
        return ""

    def _rows(self, state: State, found: str) -> str:
        rows = self.positions(state.step)
        if found.startswith("the parameter"):
            return ""
        guilty = list(self._search(state, rows))
        if not guilty:
            return "no single row of the batch does it alone"
        if len(guilty) == len(rows) > 1:
            return f"every row of the batch of {len(rows):,} does it"
        shown = ", ".join(self.named(guilty)[:SHOWN])
        more = f", … ({len(guilty):,} of the batch)" if len(guilty) > SHOWN else ""
        return f"training row{'s' if len(guilty) > 1 else ''} {shown}{more}"

    def _search(self, state: State, rows: Tensor) -> Iterator[int]:
        """Halves what is at fault until single rows are left."""
        waiting, tries = [rows], 0
        while waiting and tries < MOST_TRIES:
            part = waiting.pop()
            tries += 1
            if self._sound(state, part):
                continue
            if len(part) == 1:
                yield int(part[0])
                continue
            waiting += [part[len(part) // 2 :], part[: len(part) // 2]]

    def _sound(self, state: State, rows: Tensor) -> bool:
        """Whether loss and gradients of these rows are finite."""
        loss = self.loss(state.forward, self.take(state.step, rows)).sum
        if not math.isfinite(loss.item()):
            return False
        moving = [p for p in state.parameters if p.requires_grad]
        gradients = torch.autograd.grad(loss, moving, allow_unused=True)
        return finite([g for g in gradients if g is not None])


def first_tensor(
    state: State, batches: Sequence[Batch], loss: Callable[[Forward, Batch], Loss]
) -> str:
    """The first tensor that is not finite, in the order in which they are computed."""
    named = first_broken(state.model.named_parameters(), "parameter")
    named = named or first_broken(state.model.named_buffers(), "buffer")
    if named:
        return named
    for batch in batches:
        if broken := first_broken(batch.items(), "input"):
            return broken
        if broken := _first_output(state, batch, loss):
            return broken
    return ""


def first_broken(named: Iterable[tuple[str, Tensor]], kind: str) -> str:
    """The first of some named tensors that is not finite, in words."""
    for name, tensor in named:
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return f"the {kind} {name} is not finite"
    return ""


def _first_output(state: State, batch: Batch, loss: Callable[[Forward, Batch], Loss]) -> str:
    """The first module whose output is not finite: hooks run as modules end, inner ones first."""
    modules: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if not modules and any(
                not bool(torch.isfinite(t).all()) for t in float_tensors(output)
            ):
                modules.append(f"{name} ({type(module).__name__})" if name else "the model")

        return hook

    hooks = [m.register_forward_hook(watch(n)) for n, m in state.model.named_modules()]
    try:
        loss(state.forward, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return f"first not finite: the output of {modules[0]}" if modules else ""


def float_tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from float_tensors(value)
    elif isinstance(output, tuple | list):
        for value in output:
            yield from float_tensors(value)
