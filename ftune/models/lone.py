"""Whether a model can learn from one row: batch normalisation has nothing to normalise it by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ftune.models.activation import Dropout, Gelu, Relu, Sigmoid, Silu, Softmax, Tanh
from ftune.models.arrange import Flatten, Reshape
from ftune.models.call import evaluating
from ftune.models.linear import Linear
from ftune.models.mlp import Mlp
from ftune.models.nested import Repeat, Residual
from ftune.models.norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm
from ftune.models.pool import GlobalPool
from ftune.models.sequential import Sequential
from ftune.models.shapes import Layer

if TYPE_CHECKING:
    from torch import Tensor, nn

SAME = (
    Dropout, Gelu, Relu, Sigmoid, Silu, Softmax, Tanh, BatchNorm, GroupNorm, LayerNorm, RmsNorm,
)  # fmt: skip


def lone_batches(norm: str) -> str:
    """What is said of a batch size of 1 where `norm` cannot do with one row."""
    return (
        f"1 row has no batch statistics, which `{norm}` normalises by; write 2 or more, or take "
        "layernorm or groupnorm instead"
    )


def declared(model: Any, flat: bool | None) -> str:
    """The key of what certainly normalises each number over the batch alone; empty if none does.

    flat: whether the rows of the data are flat, None where that is not known. Only declared
    layers are looked at, without building them; see `alone` for a model that is there.
    """
    if isinstance(model, Mlp):
        hidden = model.depth if model.hidden is None else len(model.hidden)
        return "model.norm" if model.norm == "batchnorm" and hidden else ""
    return _first(model.layers, "model", flat)[0] if isinstance(model, Sequential) else ""


def _first(layers: Sequence[Layer], place: str, flat: bool | None) -> tuple[str, bool | None]:
    """(the first such layer, whether what leaves `layers` is flat); what is unknown is not flat."""
    for index, layer in enumerate(layers):
        key = f"{place}.layers.{index}"
        if isinstance(layer, BatchNorm) and flat:
            return key, flat
        if isinstance(layer, Residual | Repeat):
            norm, flat = _first(layer.layers, key, flat)
            if norm:
                return norm, flat
        elif isinstance(layer, Linear):  # keeps [channels, length], refuses images
            flat = flat is not False
        elif not isinstance(layer, SAME):
            flat = isinstance(layer, Flatten | GlobalPool) or (
                isinstance(layer, Reshape) and len(layer.shape) == 1
            )
    return "", flat


def alone(model: nn.Module, resting: Collection[nn.Module], *sample: Tensor) -> str:
    """The first batch normalisation to which one row gives one number a channel; empty if none.

    sample: one row. resting: modules that never train, and go by their running statistics. With
    more numbers a channel (images, sequences) one row has statistics of its own, as torch has it.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    still = {inner for module in resting for inner in module.modules()}
    norms = {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    lone: list[nn.Module] = []

    def measure(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].numel() == inputs[0].shape[1]:
            lone.append(module)

    hooks = [
        norm.register_forward_pre_hook(measure) for norm in norms.values() if norm not in still
    ]
    if hooks:
        with torch.no_grad(), evaluating(model):
            model(*sample)
    for hook in hooks:
        hook.remove()
    return next((name for name, norm in norms.items() if norm in lone), "")
