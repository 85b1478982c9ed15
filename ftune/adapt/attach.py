"""Adapters onto a model and off it, from specifications that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import nn

from ftune.adapt.adaptable import why_not_adaptable
from ftune.adapt.lora import CHILD, Adapters, LoraAdapter, adapted_modules, adapters_on, add_deltas
from ftune.adapt.names import find_module
from ftune.errors import CheckpointError, RequestError


@dataclass(frozen=True)
class AdapterSpec:
    """One change of structure: what, where, and with which settings; all of it JSON.

    kind `lora` and `int8` / `nf4`: on the module at path `module`. `peft`: on the whole model
    (`module` is ""), whose targets its settings list.
    """

    kind: Literal["lora", "peft", "int8", "nf4"]
    module: str
    name: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a checkpoint holds it."""
        return asdict(self) | {"settings": dict(self.settings)}


Specs = Iterable[AdapterSpec | Mapping[str, Any]]


def specs_of(stored: Specs) -> list[AdapterSpec]:
    """Specifications, from what a checkpoint holds. Raises CheckpointError for anything else."""
    try:
        return [s if isinstance(s, AdapterSpec) else AdapterSpec(**s) for s in stored]
    except TypeError as error:
        raise CheckpointError(f"the checkpoint's list of adapters is damaged: {error}") from None


def attach(model: nn.Module, specs: Specs, active: Sequence[str] | None = None) -> None:
    """Adds what `specs` list, in place; what is there already, with the same settings, stays.

    active: names of the LoRA adapters that count, all by default. Weights are quantised first,
    so that adapters see the base as it will be.
    """
    from ftune.adapt.methods import inject
    from ftune.adapt.quantize import quantize_module

    listed = specs_of(specs)
    for spec in sorted(listed, key=lambda spec: spec.kind in ("lora", "peft")):
        if spec.kind == "lora":
            _add(find_module(model, spec.module), spec)
        elif spec.kind == "peft":
            inject(model, spec.name, spec.settings)
        else:
            quantize_module(model, spec.module, spec.kind)
    if active is not None:
        activate(model, active)


def _add(module: nn.Module, spec: AdapterSpec) -> None:
    reason = why_not_adaptable(module, None)
    if reason:
        raise CheckpointError(f"there is no way to adapt `{spec.module}`: {reason}")
    adapters = adapters_on(module)
    if adapters is None:
        if hasattr(module, CHILD):
            raise RequestError(f"`{spec.module}` has an attribute `{CHILD}` of its own")
        adapters = Adapters()
        module.add_module(CHILD, adapters)
        module.register_forward_hook(add_deltas, with_kwargs=True)
    known = adapters.named().get(spec.name)
    if known is not None:
        if known.settings != dict(spec.settings):
            raise RequestError(_taken(spec, known))
        return
    adapters[spec.name] = LoraAdapter(module, **spec.settings)


def _taken(spec: AdapterSpec, known: LoraAdapter) -> str:
    return (
        f"`{spec.module}` has an adapter `{spec.name}` already, with {known.extra_repr()}; "
        "give the new one another `lora.name`, or the same settings to train on"
    )


def activate(model: nn.Module, names: Sequence[str]) -> None:
    """Of several LoRA adapters only those named count. Raises RequestError for an unknown name."""
    adapters = [
        item
        for _, on_module in adapted_modules(model).values()
        for item in on_module.named().items()
    ]
    known = sorted({name for name, _ in adapters})
    for name in names:
        if name not in known:
            raise RequestError(f"there is no adapter `{name}`; there are: {', '.join(known)}")
    for name, adapter in adapters:
        adapter.active = name in names


def detach(model: nn.Module) -> None:
    """Removes every LoRA adapter; merged weights stay as they are."""
    for module, _ in adapted_modules(model).values():
        del module._modules[CHILD]
        for key, hook in list(module._forward_hooks.items()):
            if hook is add_deltas:
                del module._forward_hooks[key]
                module._forward_hooks_with_kwargs.pop(key, None)


def lora_specs(model: nn.Module) -> list[AdapterSpec]:
    """What is attached now."""
    return [
        AdapterSpec("lora", path, name, dict(adapter.settings))
        for path, (_, adapters) in adapted_modules(model).items()
        for name, adapter in adapters.named().items()
    ]
