"""LoRA adapters onto a module and off a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ftune.adapt.adaptable import why_not_adaptable
from ftune.adapt.lora import CHILD, Adapters, LoraAdapter, adapted_modules, adapters_on, add_deltas
from ftune.adapt.names import find_module
from ftune.errors import CheckpointError, RequestError


def attach_lora(model: nn.Module, path: str, name: str, settings: Mapping[str, Any]) -> None:
    """Add an adapter to the module at `path`, in place; twice with the same settings is once.

    Raises RequestError where an adapter of that name has other settings, CheckpointError where
    the module cannot be adapted.
    """
    module = find_module(model, path)
    reason = why_not_adaptable(module, None)
    if reason:
        raise CheckpointError(f"there is no way to adapt `{path}`: {reason}")
    adapters = adapters_on(module)
    if adapters is None:
        if hasattr(module, CHILD):
            raise RequestError(f"`{path}` has an attribute `{CHILD}` of its own")
        adapters = Adapters()
        module.add_module(CHILD, adapters)
        module.register_forward_hook(add_deltas, with_kwargs=True)
    known = adapters.named().get(name)
    if known is not None:
        if known.settings != dict(settings):
            raise RequestError(_taken(path, name, known))
        return
    adapters[name] = LoraAdapter(module, **settings)


def _taken(path: str, name: str, known: LoraAdapter) -> str:
    return (
        f"`{path}` has an adapter `{name}` already, with {known.extra_repr()}; "
        "give the new one another `lora.name`, or the same settings to train on"
    )


def activate(model: nn.Module, names: Sequence[str]) -> None:
    """Make only the named LoRA adapters count. Raises RequestError for an unknown name."""
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
    """Remove every LoRA adapter; merged weights stay as they are."""
    for module, _ in adapted_modules(model).values():
        del module._modules[CHILD]
        for key, hook in list(module._forward_hooks.items()):
            if hook is add_deltas:
                del module._forward_hooks[key]
                module._forward_hooks_with_kwargs.pop(key, None)
