"""A model declared layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from ftune.config.fields import blocks
from ftune.config.read import SettingError
from ftune.errors import RequestError
from ftune.models import LAYERS
from ftune.models.assemble import assemble, check_names, count_heads
from ftune.models.shapes import Built, Inputs, Layer


@dataclass(frozen=True)
class Sequential:
    """Layers one after the other; input sizes are inferred."""

    layers: tuple[Layer, ...] = blocks(LAYERS)
    """The layers in order; one of them is `linear: out`. Those without `as` are named `relu1`, …"""

    def __post_init__(self) -> None:
        check_names(self.layers)
        heads = count_heads(self.layers)
        if heads != 1:
            found = f"{heads} layers have" if heads else "no layer has"
            raise SettingError(
                "layers", f"{found} size `out`; write `linear: out` once, at the end"
            )

    def build(self, inputs: Inputs, outputs: int) -> Built:
        """Raises RequestError naming the layer that does not fit."""
        part = assemble(self.layers, inputs, outputs)
        if part.after.shape != (outputs,):
            raise RequestError(
                f"model.layers: the last layer gives {list(part.after.shape)} for each sample, the "
                f"task needs [{outputs}]; end with `linear: out`, after `flatten` or `globalpool`"
            )
        assert part.head is not None
        return Built(part.module, part.head, part.axes)
