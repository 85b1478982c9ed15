"""A model declared layer by layer."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftune.config.fields import blocks
from ftune.config.read import SettingError
from ftune.errors import RequestError
from ftune.models import LAYERS
from ftune.models.assemble import assemble, check_names, count_heads, flat
from ftune.models.embedding import Embedding
from ftune.models.shapes import Built, Inputs, Layer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Sequential:
    """Layers one after the other; input sizes are inferred."""

    layers: tuple[Layer, ...] = blocks(LAYERS)
    """The layers in order; one of them is `linear: out`. Those without `as` are named `relu1`, …
    Texts begin with `embedding`."""

    def __post_init__(self) -> None:
        check_names(self.layers)
        heads = count_heads(self.layers)
        if heads != 1:
            count = f"{heads} layers have" if heads else "no layer has"
            raise SettingError(
                "layers", f"{count} size `out`; write `linear: out` once, at the end"
            )

    def build(self, inputs: Inputs, outputs: int) -> Built:
        """Raises RequestError naming the layer that does not fit."""
        if inputs.vocabulary:
            self._check_tokens()
        part = assemble(self.layers, inputs, outputs)
        _check_outputs(part.after.shape, inputs, outputs)
        assert part.head is not None
        module = _finished(part.module, part.head)
        if any(getattr(layer, "tied", False) for layer in flat(self.layers)):
            _tie(module, part.head)
        if inputs.positions and outputs == inputs.vocabulary:
            _check_causal(module, inputs)
        return Built(module, part.head, part.axes)

    def _check_tokens(self) -> None:
        """Ids mean nothing as numbers. Layers of the user's own may read them."""
        first = next(layer for layer in flat(self.layers) if not hasattr(layer, "layers"))
        if not isinstance(first, Embedding) and type(first).__module__.startswith(__package__):
            kind = LAYERS.name_of(type(first))
            raise RequestError(
                f"model.layers.0 ({kind}): expects numbers, gets the ids of tokens; begin with "
                "`embedding: 128`, for example"
            )


def _check_outputs(shape: tuple[int, ...], inputs: Inputs, outputs: int) -> None:
    expected = (inputs.shape[0], outputs) if inputs.positions else (outputs,)
    if shape == expected:
        return
    advice = "after `flatten` or `globalpool`"
    if inputs.positions:
        advice = "of each position: nothing may pool over time"
    raise RequestError(
        f"model.layers: the last layer gives {list(shape)} for each sample, the "
        f"task needs {list(expected)}; end with `linear: out`, {advice}"
    )


def _finished(chain: nn.Module, head: str) -> nn.Module:
    """The whole model: one that can be asked for some positions, where its form allows it."""
    from ftune.models.blocks import scale_residuals
    from ftune.models.tokens import TokenModel

    scale_residuals(chain)
    children = OrderedDict(chain.named_children())
    if list(children)[-1] != head or {"hidden", "project"} & set(children):
        return chain
    return TokenModel(children)


def _tie(model: nn.Module, head: str) -> None:
    """Raises RequestError where there is no token embedding of the output layer's shape."""
    from torch import nn

    from ftune.models.tokens import TokenEmbedding

    layer = model.get_submodule(head)
    tables = [module for module in model.modules() if isinstance(module, TokenEmbedding)]
    assert isinstance(layer, nn.Linear)
    if len(tables) != 1 or tables[0].weight.shape != layer.weight.shape:
        shapes = [list(table.weight.shape) for table in tables]
        raise RequestError(
            f"model.layers: `tied` needs one embedding of tokens {list(layer.weight.shape)}, as "
            f"`linear: out` is; there {'is' if shapes else 'is none'} {shapes or ''}".rstrip()
        )
    layer.weight = tables[0].weight


def _check_causal(model: nn.Module, inputs: Inputs) -> None:
    from ftune.models.tokens import sees_later

    if sees_later(model, inputs.shape[0], inputs.vocabulary):
        raise RequestError(
            "model.layers: what comes out at a position depends on later tokens, which a language "
            "model must predict; write `causal: true` in each `transformer`, and leave out "
            "`bidirectional` and what mixes over time"
        )
