"""A sum over rows whose outputs are too wide to hold at once, with its gradients.

The logits of a batch are [tokens, vocabulary]; the states they come from are a hundredth of that.
Both the sum and its gradients are computed chunk by chunk in the forward pass, as in Liger Kernel
(Hsu et al. 2024, arXiv:2410.10989), so that nothing is computed twice and no chunk is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

CHUNK_BYTES = 2**27
"""Of fp32 outputs at once: little memory, and still rows enough for a fast product."""

SumOf = Callable[[Tensor, slice], Tensor]
"""(outputs of some rows, which rows) -> a scalar, to be added up."""


def rows_at_once(outputs: int) -> int:
    """Return of how many positions the outputs are computed together."""
    return max(1, CHUNK_BYTES // (4 * outputs))


def chunked_sum(states: Tensor, head: nn.Module, sum_of: SumOf, rows: int) -> Tensor:
    """Return the sum over all rows of `sum_of(head(states))`, of at most `rows` rows at once.

    states: [n, features]. The gradients reach `states` and the parameters of `head`.
    """
    trained = [p for p in head.parameters() if p.requires_grad]
    total: Tensor = _ChunkedSum.apply(head, sum_of, rows, states, *trained)  # type: ignore[no-untyped-call]
    return total


class _ChunkedSum(torch.autograd.Function):
    """Computes the gradients with the sum; `backward` only scales them."""

    @staticmethod
    def forward(
        ctx: Any, head: nn.Module, sum_of: SumOf, rows: int, states: Tensor, *trained: Tensor
    ) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        total = torch.zeros((), device=states.device)
        gradients = [torch.zeros_like(tensor) for tensor in (states, *trained) if wanted]
        for begin in range(0, len(states), rows):
            chunk = slice(begin, begin + rows)
            with torch.set_grad_enabled(wanted):
                part = states[chunk].detach().requires_grad_(wanted)
                loss = sum_of(head(part), chunk)
            if wanted:
                of_states, *of_weights = torch.autograd.grad(
                    loss, [part, *trained], materialize_grads=True
                )
                gradients[0][chunk] = of_states
                for gradient, more in zip(gradients[1:], of_weights, strict=True):
                    gradient += more
            total = total + loss.detach()
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *scales: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = scales
        return None, None, None, *(gradient * scale for gradient in ctx.saved_tensors)
