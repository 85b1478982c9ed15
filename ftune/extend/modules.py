"""Registered models and layers: made from their settings, then tried on zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.errors import FtuneError, RequestError
from ftune.extend.signature import Own, faults_in, place, schema_of
from ftune.models import LAYERS, MODELS
from ftune.models.shapes import Axes, Axis, Built, Inputs, MisfitError, Part

if TYPE_CHECKING:
    from torch import Tensor, nn

_HEADS = ("head", "classifier", "fc", "_fc")


class OwnModel(Own):
    """A model of the user's."""

    layer_of_outputs: ClassVar[str | None] = None

    def build(self, inputs: Inputs, outputs: int) -> Built:
        """Raises RequestError for a module that fails, has another output, or hides its head."""
        module = _module(self, inputs, outputs)
        expected = (inputs.shape[0], outputs) if inputs.positions else (outputs,)
        where = place(self.made)
        if inputs.vocabulary or inputs.ragged:
            _check_segments(module, where, inputs)
        shape = _shape_after(module, inputs, self.made)
        if shape != expected:
            raise RequestError(
                f"{where}: gives {list(shape)} for each sample, the task needs {list(expected)}; "
                "take `outputs` as a parameter, and make the last layer as wide"
            )
        head = self._head(module, outputs)
        return Built(module, head, _axes(module, head, outputs))

    def _head(self, module: nn.Module, outputs: int) -> str:
        from torch import nn

        named = dict(module.named_modules())
        linear: list[str] = [n for n, each in named.items() if isinstance(each, nn.Linear)]
        if self.layer_of_outputs is not None:
            if self.layer_of_outputs in named:
                return self.layer_of_outputs
            raise RequestError(
                f"{place(self.made)}: has no layer `{self.layer_of_outputs}` to be its head; "
                f"linear layers are {', '.join(linear[-5:]) or 'none'}"
            )
        under = [n for n in linear if n.partition(".")[0] in _HEADS]
        fitting = [n for n in under or linear if named[n].out_features == outputs]
        if fitting:
            return fitting[-1]
        raise RequestError(
            f"{place(self.made)}: no linear layer with {outputs} outputs is its last; say which "
            "layer is: @ftune.model('name', head='…')"
        )


class OwnLayer(Own):
    """A layer of the user's."""

    def build(self, inputs: Inputs, outputs: int) -> Part:
        try:
            module = _module(self, inputs, outputs)
            shape = _shape_after(module, inputs, self.made)
        except FtuneError as error:
            raise MisfitError(str(error)) from None
        over_time = (inputs.time or inputs.vocabulary > 0) and shape[:1] == inputs.shape[:1]
        if shape == inputs.shape:
            return Part(module, replace(inputs, names=None, categories={}, codes={}))
        over_time = over_time and len(shape) == 2
        return Part(module, Inputs(shape, time=over_time, ragged=over_time and inputs.ragged))


def own_model(made: Callable[..., Any], head: str | None) -> type:
    """The schema of what gives a model; head: the dotted name of its output layer."""
    schema = schema_of(OwnModel, made, ("inputs", "outputs"), reserved=(MODELS.block, "name"))
    schema.layer_of_outputs = head  # type: ignore[attr-defined]
    return schema


def own_layer(made: Callable[..., Any]) -> type:
    """The schema of what gives a layer."""
    return schema_of(OwnLayer, made, ("inputs", "outputs"), (LAYERS.block, "as_"), named=True)


def _module(own: Own, inputs: Inputs, outputs: int) -> nn.Module:
    from torch import nn

    module = own.make(inputs=inputs, outputs=outputs)
    if not isinstance(module, nn.Module):
        raise RequestError(
            f"{place(own.made)}: gives a {type(module).__name__}; it must give a torch nn.Module"
        )
    return module


def _check_segments(module: nn.Module, where: str, inputs: Inputs) -> None:
    from ftune.models.tokens import takes_segments

    if not takes_segments(type(module).forward):
        what, x = ("texts", "ids [batch, time]") if inputs.vocabulary else (
            "rows of their own lengths", "numbers [batch, time, features]")  # fmt: skip
        raise RequestError(
            f"{where}: reads {what}, so its forward must take (x, segments): {x}, and for each "
            "position 0 (padding) or the number of its sample in the row"
        )


def _shape_after(module: nn.Module, inputs: Inputs, made: Any) -> tuple[int, ...]:
    """What comes out for one sample, without the batch. Training mode and random state stay."""
    import torch

    x = torch.zeros(2, *inputs.shape, dtype=torch.long if inputs.vocabulary else torch.float32)
    training = module.training
    with (
        faults_in(made),
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
    ):
        y: Any = module.eval()(*_arguments(module, x, inputs))
    module.train(training)
    if not isinstance(y, torch.Tensor):
        raise RequestError(f"{place(made)}: its forward gives a {type(y).__name__}, not a tensor")
    return tuple(y.shape[1:])


def _arguments(module: nn.Module, x: Tensor, inputs: Inputs) -> tuple[Tensor, ...]:
    import torch

    from ftune.models.tokens import takes_segments

    text = inputs.vocabulary or inputs.time
    if text and takes_segments(type(module).forward):
        return x, torch.ones(x.shape[:2], dtype=torch.long)
    return (x,)


def _axes(module: nn.Module, head: str, outputs: int) -> Axes:
    """Rows of the head are the outputs: they follow the names of the classes."""
    tensors = module.get_submodule(head).named_parameters(prefix=head, recurse=False)
    return {n: (Axis(0, (), "output"),) for n, tensor in tensors if tensor.shape[:1] == (outputs,)}
