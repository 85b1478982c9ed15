"""A small net whose columns and classes have names, a letter each, and a base brought into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ftune.adapt.transfer import Transfer, transfer


@dataclass(frozen=True)
class Named:
    dim: int
    names: tuple[str, ...]
    role: Literal["input", "output"]


class Net(nn.Module):
    def __init__(self, inputs: int, outputs: int, hidden: int = 5) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.tanh(self.body(x)))
        return out


def axes(inputs: str, outputs: str) -> dict[str, tuple[Named, ...]]:
    """Columns and classes, a letter each."""
    head = Named(0, tuple(outputs), "output")
    return {
        "body.weight": (Named(1, tuple(inputs), "input"),),
        "head.weight": (head,),
        "head.bias": (head,),
    }


def moved(
    base_in: str, base_out: str, new_in: str, new_out: str
) -> tuple[Net, Net, dict[str, Tensor], Transfer]:
    """(base, model, the model's fresh weights, report)."""
    torch.manual_seed(0)
    base, model = Net(len(base_in), len(base_out)), Net(len(new_in), len(new_out))
    fresh = {name: t.clone() for name, t in model.state_dict().items()}
    with torch.no_grad():
        report = transfer(
            model, axes(new_in, new_out), "head", base.state_dict(), axes(base_in, base_out)
        )
    return base, model, fresh, report
