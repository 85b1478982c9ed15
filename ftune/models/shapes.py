"""What flows between layers, and what a built layer or model says about itself.

Shapes are per sample, without the batch dimension: `[features]`, `[time, features]`,
`[channels, length]` or `[channels, height, width]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ftune.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

Pooling = Literal["mean", "cls", "last", "max"]
"""How the vectors of a text become one."""

Axes = dict[str, tuple["Axis", ...]]


@dataclass(frozen=True)
class Axis:
    """The entries of a tensor along `dim` have names: alignment goes by them, not by position.

    `names` is empty for the output axis of the head; the caller, who knows the classes, fills it.
    """

    dim: int
    names: tuple[str, ...]
    role: Literal["input", "output"]


def head_axes(model: nn.Module, head: str) -> Axes:
    """The output axis of each tensor of the head."""
    names = [name for name, _ in model.get_submodule(head).named_parameters()] if head else []
    return {f"{head}.{name}": (Axis(0, (), "output"),) for name in names}


@dataclass(frozen=True)
class Inputs:
    """What reaches a model or a layer.

    `names`: of the columns, where the shape is flat and they are known. `categories`: columns
    that hold ordinal codes 0 … n-1 as floats -> n. `codes`: of such a column, what each code
    stands for, where that is known. `vocabulary`: of token inputs [time], how many ids there are;
    0 for all others. `positions`: whether the task wants outputs at each position.
    `time`: whether two dimensions are [time, features], as after tokens, not [channels, length].
    `ragged`: whether rows are padded to the longest of a batch, `shape` the longest of all.
    """

    shape: tuple[int, ...]
    names: tuple[str, ...] | None = None
    categories: Mapping[str, int] = field(default_factory=dict)
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vocabulary: int = 0
    positions: bool = False
    time: bool = False
    ragged: bool = False

    def __post_init__(self) -> None:
        assert self.names is None or self.shape == (len(self.names),), "one name per column"
        assert set(self.categories) <= set(self.names or ()), "a category is a named column"

    def over_time(self, features: int) -> Inputs:
        """The same time steps with so many features each."""
        return Inputs((self.shape[0], features), time=True, ragged=self.ragged)

    def check_alike(self) -> None:
        """Raises MisfitError where rows have lengths of their own."""
        if self.ragged:
            advice = "pool over time before it: `globalpool`, `lstm` or `gru`"
            raise misfit("rows of one length", self, advice)

    def axis(self, dim: int) -> tuple[Axis, ...]:
        """The axis of a tensor whose dimension `dim` runs over these columns; () where unnamed."""
        return (Axis(dim, self.names, "input"),) if self.names else ()


@dataclass(frozen=True)
class Part:
    """A built layer: its module, what comes out of it, and the named axes of its tensors.

    `axes` and `head` are relative to `module`; `head` is "" where the module itself is the head.
    """

    module: nn.Module
    after: Inputs
    axes: Axes = field(default_factory=dict)
    head: str | None = None


@dataclass(frozen=True)
class Loading:
    """What a library that reads its own files did with them: names of parameters.

    grown: how many rows were added for tokens that the weights lack.
    """

    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    grown: Mapping[str, int] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class Built:
    """A model. `head`: dotted name of the output layer; `axes`: by name in the state dict.

    `model_card`: JSON from which the model's schema can `restore` the structure without the files
    it came from. `report`: what was loaded from those files.
    """

    module: nn.Module
    head: str
    axes: Axes
    model_card: Mapping[str, Any] = field(default_factory=dict)
    report: Loading | None = None


class Layer(Protocol):
    """A layer's schema."""

    @property
    def as_(self) -> str | None:
        """The name given in the file."""

    def build(self, inputs: Inputs, outputs: int) -> Part:
        """The layer on `inputs`; `outputs` is what size `out` means. Raises MisfitError."""


class MisfitError(RequestError):
    """A layer that cannot take what reaches it. `inside` adds the place, list by list."""

    def __init__(self, message: str, place: str = "", kind: str = "") -> None:
        super().__init__(f"model{place} ({kind}): {message}")
        self.message, self.place, self.kind = message, place, kind

    def inside(self, index: int, kind: str) -> MisfitError:
        return MisfitError(self.message, f".layers.{index}{self.place}", self.kind or kind)


def misfit(expected: str, inputs: Inputs, advice: str) -> MisfitError:
    """`expects …, gets [64]; add …`."""
    return MisfitError(f"expects {expected}, gets {list(inputs.shape)}; {advice}")


def slid(length: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Length after a window slid over it (Dumoulin and Visin 2016, relationship 15)."""
    return (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
