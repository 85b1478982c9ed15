"""Low-rank adapters: children of the modules they adapt, added to the output by a hook.

`q_proj.weight` stays `q_proj.weight`; its adapter is `q_proj.lora.<name>.A` and `.B`. The hook
is a plain function that keeps nothing, so models copy, pickle and export as before, and an
adapter works on any subclass, quantised or not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ftune.adapt.adaptable import MatrixLayout, layout_of, matrix_of
from ftune.adapt.names import strip_wrappers

CHILD = "lora"


class LoraAdapter(nn.Module):
    """W ← W + scaling · B · A, with A [rank, inputs] and B [outputs, rank].

    With DoRA, W ← magnitude · V / ‖V‖ for V = W + scaling · B · A, norms over each output's
    weights and, as in the paper's section 4.3, without a gradient of their own. Weights in half
    precision are adapted in float32.
    """

    def __init__(
        self, module: nn.Module, rank: int, alpha: float, dropout: float = 0.0,
        rslora: bool = False, dora: bool = False, init: str = "kaiming",
    ) -> None:  # fmt: skip
        super().__init__()
        kind = layout_of(module)
        assert kind is not None
        self.kind: MatrixLayout = kind
        self.settings = {"rank": rank, "alpha": alpha, "dropout": dropout,
                         "rslora": rslora, "dora": dora, "init": init}  # fmt: skip
        self.scaling = alpha / (math.sqrt(rank) if rslora else rank)
        self.dropout, self.active = dropout, True
        matrix = matrix_of(module).detach()
        dtype = torch.promote_types(matrix.dtype, torch.float32)
        self.A = nn.Parameter(matrix.new_empty(rank, matrix.shape[1], dtype=dtype))
        self.B = nn.Parameter(matrix.new_empty(matrix.shape[0], rank, dtype=dtype))
        self.register_parameter("magnitude", None)
        self._initialise(init)
        if dora:
            self.magnitude = nn.Parameter(self.row_lengths(matrix))

    def _initialise(self, init: str) -> None:
        if self.kind.takes_ids:
            nn.init.zeros_(self.A)
            nn.init.normal_(self.B)
            return
        if init == "gaussian":
            nn.init.normal_(self.A, std=1 / self.A.shape[0])
        else:
            nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        nn.init.zeros_(self.B)

    def forward(self, module: nn.Module, x: Tensor, output: Tensor) -> Tensor:
        """What is added to the module's `output` for its input `x`."""
        drops = self.training and self.dropout > 0 and not self.kind.takes_ids
        x = F.dropout(x, self.dropout) if drops else x
        if x.is_floating_point() and not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.A.dtype)
        hidden = self.kind.down(module, x, self.A)
        delta = self.kind.up(module, hidden * self.scaling, self.B)
        if self.magnitude is not None:
            matrix = matrix_of(module)
            base = self.kind.plain(module, x, matrix) if drops else self._unbiased(module, output)
            gain = self.kind.along(self._gain(matrix), module)
            delta = (gain - 1) * base + gain * delta
        return delta.to(output.dtype)

    def change(self, matrix: Tensor) -> Tensor:
        """What the adapter adds to its module's weight, given as `matrix` [outputs, inputs]."""
        delta = self.scaling * (self.B @ self.A)
        if self.magnitude is not None:
            gain = self._gain(matrix)[:, None]
            delta = (gain - 1) * matrix + gain * delta
        return delta

    def _gain(self, matrix: Tensor) -> Tensor:
        assert self.magnitude is not None
        return self.magnitude / self.row_lengths(matrix)

    @torch.no_grad()
    def row_lengths(self, matrix: Tensor) -> Tensor:
        """‖W + scaling · B · A‖ of each output, [outputs]."""
        adapted = matrix.to(self.A.dtype) + self.scaling * (self.B @ self.A)
        lengths: Tensor = torch.linalg.vector_norm(adapted, dim=1)
        return lengths

    def _unbiased(self, module: nn.Module, output: Tensor) -> Tensor:
        bias = getattr(module, "bias", None)
        return output - self.kind.along(bias, module) if isinstance(bias, Tensor) else output

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.settings.items())


class Adapters(nn.ModuleDict):
    """The adapters of one module, by name.

    original: its own weight and class, while they are merged.
    """

    original: tuple[nn.Parameter, type[nn.Module]] | None = None

    def named(self) -> dict[str, LoraAdapter]:
        """All of them, by name."""
        return {name: a for name, a in self.items() if isinstance(a, LoraAdapter)}

    def live(self) -> list[LoraAdapter]:
        """Those that count."""
        return [adapter for adapter in self.named().values() if adapter.active]


def add_deltas(module: nn.Module, args: Any, kwargs: Mapping[str, Any], output: Tensor) -> Tensor:
    """The hook on an adapted module."""
    adapters = module.lora
    assert isinstance(adapters, Adapters)
    if adapters.original:
        return output
    x = args[0] if args else next(iter(kwargs.values()))
    total = output
    for adapter in adapters.live():
        total = total + adapter(module, x, output)
    return total


def adapters_on(module: nn.Module) -> Adapters | None:
    """The adapters of a module, if it has any."""
    child = module._modules.get(CHILD)
    return child if isinstance(child, Adapters) else None


def adapted_modules(model: nn.Module) -> dict[str, tuple[nn.Module, Adapters]]:
    """Plain path -> (module, its adapters), of those that carry any."""
    return {
        strip_wrappers(f"{path}.")[:-1]: (module, adapters)
        for path, module in model.named_modules()
        if (adapters := adapters_on(module)) is not None
    }
