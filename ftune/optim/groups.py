"""From named groups of parameters to torch's optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

# Where torch's one-kernel update exists (torch 2.13), by the optimizer's class name.
_FUSED_DEVICES = {
    "Adam": ("cpu", "cuda", "mps", "xpu"),
    "AdamW": ("cpu", "cuda", "mps", "xpu"),
    "SGD": ("cpu", "cuda", "mps", "xpu"),
    "Adagrad": ("cpu",),
}


@dataclass(frozen=True)
class Group:
    """Parameters that share a rate and a weight decay.

    `lr_scale` multiplies the optimizer's rate; `weight_decay` None means the optimizer's own.
    `matrix` says of each parameter whether it is the weight matrix of a hidden layer: these
    Muon may orthogonalise; embeddings, heads, biases and norms it may not. Empty means none.
    """

    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]
    lr_scale: float = 1.0
    weight_decay: float | None = None
    matrix: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.parameters), "a name for each parameter"
        assert len(self.matrix) in (0, len(self.parameters)), "a flag for each parameter, or none"

    def matrices(self, wanted: bool) -> Group:
        """Only the parameters whose `matrix` flag is `wanted`."""
        flags = self.matrix or (False,) * len(self.names)
        indices = [i for i, flag in enumerate(flags) if flag is wanted]
        names = tuple(self.names[i] for i in indices)
        parameters = tuple(self.parameters[i] for i in indices)
        return Group(names, parameters, self.lr_scale, self.weight_decay, (wanted,) * len(indices))


def construct(
    kind: type[Optimizer], groups: Sequence[Group], lr: float, weight_decay: float, **settings: Any
) -> list[Optimizer]:
    """One optimizer of `kind` over the groups that are not empty; none if all are.

    Each torch group carries `names` and `lr_scale` beside what torch knows.
    """
    rows: list[dict[str, Any]] = [
        {
            "params": list(group.parameters),
            "names": list(group.names),
            "lr": lr * group.lr_scale,
            "lr_scale": group.lr_scale,
            "weight_decay": weight_decay if group.weight_decay is None else group.weight_decay,
        }
        for group in groups
        if group.parameters
    ]
    return [kind(rows, **settings)] if rows else []


def fastest(kind: type[Optimizer], groups: Sequence[Group]) -> dict[str, bool]:
    """`fused` where torch has it for every one of these parameters, else `foreach`."""
    devices = _FUSED_DEVICES.get(kind.__name__, ())
    if all(p.device.type in devices and p.is_floating_point() for p in _parameters(groups)):
        return {"fused": True}
    return {"foreach": True}


def _parameters(groups: Sequence[Group]) -> Iterable[nn.Parameter]:
    return (parameter for group in groups for parameter in group.parameters)
