"""A list of layers to one module: names, running shapes, named axes."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ftune.config.read import SettingError
from ftune.models import LAYERS
from ftune.models.shapes import Axes, Inputs, Layer, MisfitError, Part

if TYPE_CHECKING:
    from torch import nn

# Attributes of torch's containers, which a child of the same name would hide. Listed because
# names are checked without torch; a test compares the list with the installed version (to which
# transformers adds `smart_apply`).
TAKEN = frozenset(
    """
    T_destination add_module append apply bfloat16 buffers call_super_init children clear compile
    cpu cuda double dump_patches eval extend extra_repr float forward get_buffer get_extra_state
    get_parameter get_submodule half insert ipu items keys load_state_dict modules mtia
    named_buffers named_children named_modules named_parameters parameters pop
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    set_extra_state set_submodule share_memory smart_apply state_dict to to_empty train training
    type update values xpu zero_grad
    """.split()  # noqa: SIM905
)


MOST_LAYERS = 10_000


def assemble(layers: Sequence[Layer], inputs: Inputs, outputs: int) -> Part:
    """The layers one after the other in an `nn.Sequential` whose children carry their names.

    Raises MisfitError with the place of the layer that does not fit.
    """
    from ftune.models.tokens import Chain

    many = count_layers(layers)
    if many > MOST_LAYERS:
        raise MisfitError(f"{many:,} layers; at most {MOST_LAYERS:,} are built")
    children: OrderedDict[str, nn.Module] = OrderedDict()
    axes: Axes = {}
    head = None
    for index, (name, layer) in enumerate(zip(layer_names(layers), layers, strict=True)):
        try:
            part = layer.build(inputs, outputs)
        except MisfitError as error:
            raise error.inside(index, LAYERS.name_of(type(layer))) from None
        children[name] = part.module
        axes |= {f"{name}.{tensor}": of_tensor for tensor, of_tensor in part.axes.items()}
        head = head if part.head is None else f"{name}.{part.head}".rstrip(".")
        inputs = part.after
    return Part(Chain(children), inputs, axes, head)


def layer_names(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The name of each layer: as given, `head` for the output layer, else kind and ordinal."""
    counts: Counter[str] = Counter()
    names = []
    for layer in layers:
        kind = LAYERS.name_of(type(layer))
        counts[kind] += 1
        names.append(layer.as_ or ("head" if is_head(layer) else f"{kind}{counts[kind]}"))
    return tuple(names)


def is_head(layer: Layer) -> bool:
    return getattr(layer, "size", None) == "out"


def flat(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Every layer, those inside others in their place, repeated ones once."""
    for layer in layers:
        yield layer
        yield from flat(_inner(layer))


def count_layers(layers: Sequence[Layer]) -> int:
    """How many layers there are, repeated ones as often as they are repeated."""
    return sum(_times(layer, count_layers) if _inner(layer) else 1 for layer in layers)


def count_heads(layers: Sequence[Layer]) -> int:
    """How many layers have size `out`, nested and repeated ones included."""
    return sum(is_head(layer) + _times(layer, count_heads) for layer in layers)


def _inner(layer: Layer) -> tuple[Layer, ...]:
    inner = getattr(layer, "layers", ())
    return inner if isinstance(inner, tuple) else ()  # an LSTM's `layers` is a number


def _times(layer: Layer, count: Callable[[Sequence[Layer]], int]) -> int:
    times: int = getattr(layer, "times", 1)
    return times * count(_inner(layer))


def check_names(layers: Sequence[Layer]) -> None:
    """Raises SettingError for a list without layers and for names that cannot be used."""
    if not layers:
        raise SettingError("layers", "is an empty list; write at least one layer")
    names = layer_names(layers)
    for index, name in enumerate(names):
        if not re.fullmatch(r"[A-Za-z0-9]\w*", name, re.ASCII):
            rule = "a name has letters, digits and underscores, no dots"
            raise SettingError("layers", f"layer {index} is named `{name}`; {rule}")
        if name in TAKEN:
            rule = f"torch modules have an attribute of that name; write `{name}1`, for example"
            raise SettingError("layers", f"layer {index} is named `{name}`; {rule}")
        if name in names[:index]:
            first = names.index(name)
            raise SettingError(
                "layers", f"layers {first} and {index} are both named `{name}`; change one `as`"
            )
