"""The loss and the gradient of a step that several processes computed parts of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from ftune.distributed.group import Group
from ftune.errors import OutOfMemoryError


@dataclass(frozen=True)
class StepSums:
    """What one rank's micro-batches of a step add up to.

    loss: the sum of the losses. weight: what they weigh together. parts: sums of the summands.
    error: what went wrong on this rank, in the place of a loss.
    """

    loss: float = 0.0
    weight: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)
    error: Exception | None = None


def reduce_sums(group: Group, local: StepSums) -> StepSums:
    """Return the sums over all ranks; raise the first rank's error on every rank.

    An error on one rank alone would leave the others waiting for its gradients.
    """
    if group.world == 1:
        if local.error is not None:
            raise local.error
        return local
    ranks = group.gather(local)
    errors = [sums.error for sums in ranks if sums.error is not None]
    if errors:
        # Where memory ran out on one rank and a loss was not finite on another, the rows are
        # tried again in smaller parts first: they will show the loss again.
        raise max(errors, key=lambda error: isinstance(error, OutOfMemoryError))
    names = {name for sums in ranks for name in sums.parts}
    return StepSums(
        math.fsum(sums.loss for sums in ranks),
        math.fsum(sums.weight for sums in ranks),
        {name: math.fsum(sums.parts.get(name, 0.0) for sums in ranks) for name in sorted(names)},
    )


@torch.no_grad()
def reduce_gradients(group: Group, parameters: list[nn.Parameter], scale: float = 1.0) -> None:
    """Replace each gradient by the sum over all ranks, each rank's times `scale`.

    A parameter that got no gradient here, but on another rank, takes part with zeros; one without
    a gradient anywhere stays without, so that no weight decay or momentum moves it.
    """
    if group.world == 1:
        return
    present = group.agree([parameter.grad is not None for parameter in parameters])
    gradients = []
    for parameter, anywhere in zip(parameters, present, strict=True):
        if anywhere and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad is not None:
            gradients.append(parameter.grad)
    if gradients and scale != 1.0:
        torch._foreach_mul_(gradients, scale)
    group.sum(gradients)
