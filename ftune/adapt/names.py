"""Names that adapters leave alone: what is base and what is adapter, read off dotted names.

PEFT's methods wrap a module and move its weights under `base_layer`; users, rules and files see
the name without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftune.config.spelling import nearest
from ftune.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

_WRAPPED = ".base_layer."
_LORA = re.compile(r"(?P<module>.+)\.lora\.(?P<name>[^.]+)\.(?P<part>A|B|magnitude)")


@dataclass(frozen=True)
class Part:
    """One parameter of an adapter: of which module, which adapter, and what it is there."""

    module: str
    name: str
    part: str


def strip_wrappers(name: str) -> str:
    """The name without the wrappers that PEFT's methods put in."""
    while _WRAPPED in f".{name}":
        name = f".{name}".replace(_WRAPPED, ".")[1:]
    return name


def lora_part(name: str) -> Part | None:
    """What a LoRA parameter's name says, or None for any other."""
    match = _LORA.fullmatch(strip_wrappers(name))
    return Part(match["module"], match["name"], match["part"]) if match else None


def adapted_module_of(names: Iterable[str]) -> dict[str, str]:
    """Of a model's parameters or tensors those of adapters -> plain path of the adapted module."""
    names = list(names)
    wrapped = {strip_wrappers(name.rpartition(_WRAPPED)[0]) for name in names if _WRAPPED in name}
    modules = {}
    for name in names:
        part = lora_part(name)
        if part:
            modules[name] = part.module
        elif wrapped and _WRAPPED not in name:
            inside = [path for path in parents(name) if path in wrapped]
            modules |= {name: inside[0]} if inside else {}
    return modules


def parents(name: str) -> list[str]:
    """Paths of the modules that hold it, the nearest first."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def is_adapter(name: str) -> bool:
    """Whether a parameter or tensor of a model belongs to a LoRA adapter."""
    return lora_part(name) is not None


def holders(modules: Iterable[tuple[str, nn.Module]]) -> dict[int, list[str]]:
    """Parameters by identity -> paths of the modules that hold them."""
    paths: dict[int, list[str]] = {}
    for path, module in modules:
        for parameter in module.parameters(recurse=False):
            paths.setdefault(id(parameter), []).append(path)
    return paths


def find_module(model: nn.Module, path: str) -> nn.Module:
    """The module at a plain path, inside its wrappers. Raises RequestError with the nearest."""
    module = model
    for step in path.split("."):
        while "base_layer" in module._modules and step not in module._modules:
            module = module.get_submodule("base_layer")
        if step not in module._modules:
            known = [strip_wrappers(name) for name, _ in model.named_modules() if name]
            near = nearest(path, known)
            hint = f"; the nearest is `{near}`" if near else ""
            raise RequestError(f"the model has no module `{path}` to adapt{hint}")
        module = module.get_submodule(step)
    while "base_layer" in module._modules:
        module = module.get_submodule("base_layer")
    return module
