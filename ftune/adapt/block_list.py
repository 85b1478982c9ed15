"""The blocks of any model in the order of its layers: a stem, like blocks, a head.

Blocks are the longest run of like modules in a ModuleList or Sequential (the layers of a
transformer), and with them every other module of that class (the stages of a residual network);
of plain Sequentials, as `repeat:` makes them, those of every other such run.
A model without such a run is a plain stack: its first layer is the stem, its last the head, each
other layer a block. Order is the order in which a model registers its modules.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from ftune.adapt.lora import Adapters
from ftune.adapt.names import parents

Modules = dict[str, nn.Module]


class BlockList(NamedTuple):
    """A model's modules that hold parameters, each once, as {dotted name: module}.

    stem: before the first block. blocks: in order, each with the modules between it and the next
    (a normalisation belongs to the layer before it). head: after the last block.
    """

    stem: Modules
    blocks: list[Modules]
    head: Modules


def block_list(model: nn.Module) -> BlockList:
    """Return the stem, the ordered blocks and the head of `model`."""
    blocks = _like_blocks(model)
    if not blocks:
        layers = _stack(model)
        return BlockList(
            layers[0] if len(layers) > 1 else {}, layers[1:-1], layers[-1] if layers else {}
        )
    groups: list[Modules] = [{}]
    head: Modules = {}
    for path, module in model.named_modules():
        if path in blocks:
            groups.append({path: module})
        elif not path or _is_listed(path, [*groups, head]) or not _holds_parameters(module):
            continue
        elif not any(block.startswith(f"{path}.") for block in blocks):
            (head if len(groups) > len(blocks) else groups[-1])[path] = module
    return BlockList(groups[0], groups[1:], head)


def _is_listed(path: str, groups: list[Modules]) -> bool:
    return any(parent in group for group in groups for parent in parents(path))


def _like_blocks(model: nn.Module) -> list[str]:
    """Return the paths of the longest run of like modules, in order; [] for a plain stack."""
    runs = {
        path: items
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        and len(items := _parameterised(module)) > 1
        and _is_run(module, items)
    }
    if not runs:
        return []
    size = {path: sum(p.numel() for m in items.values() for p in m.parameters())
            for path, items in runs.items()}  # fmt: skip
    longest = max(runs, key=lambda path: (len(runs[path]), size[path]))
    # What also holds the run is a container like any other: its class says nothing of a block.
    holders = {type(model.get_submodule(path)) for path in ("", longest, *parents(longest))}
    containers = holders | {nn.Sequential, nn.ModuleList}
    classes = {type(m) for m in runs[longest].values()} - containers
    unnamed = [p for p, items in runs.items() if {type(m) for m in items.values()} <= containers]
    chosen = [longest] if classes else unnamed
    members = {f"{path}.{name}".lstrip(".") for path in chosen for name in runs[path]}
    blocks: list[str] = []
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{block}.") for block in blocks)
        if not inside and (path in members or type(module) in classes):
            blocks.append(path)
    return blocks


def _is_run(module: nn.Module, items: Modules) -> bool:
    """Whether the items are blocks: each of several layers, and in a Sequential all alike."""
    composite = all(len(_leaves(item)) > 1 for item in items.values())
    alike = len({_architecture(item) for item in items.values()}) == 1
    return composite and (alike or isinstance(module, nn.ModuleList))


def _architecture(module: nn.Module) -> object:
    """Return what two blocks share: their class, or of Sequentials what is inside."""
    inside = isinstance(module, nn.Sequential)
    return (type(module), *(_architecture(child) for child in module.children() if inside))


def _stack(model: nn.Module) -> list[Modules]:
    """Return the layers of a plain stack in order, each with the normalisations after it."""
    layers: list[Modules] = []
    queue = list(_parameterised(model).items())
    while queue:
        path, module = queue.pop(0)
        children = _parameterised(module)
        if isinstance(module, nn.Sequential | nn.ModuleList) or len(children) == 1:
            queue[:0] = [(f"{path}.{name}", child) for name, child in children.items()]
            if next(module.parameters(recurse=False), None) is None:
                continue
        if not _is_norm(module) or not layers:
            layers.append({})
        layers[-1][path] = module
    return layers


def _holds_parameters(module: nn.Module) -> bool:
    return not isinstance(module, Adapters) and next(module.parameters(), None) is not None


def _parameterised(module: nn.Module) -> Modules:
    return {name: child for name, child in module.named_children() if _holds_parameters(child)}


def _leaves(module: nn.Module) -> list[nn.Module]:
    """Return the modules below that hold parameters of their own, adapters apart."""
    children = _parameterised(module)
    own = [module] if next(module.parameters(recurse=False), None) is not None else []
    return own + [leaf for child in children.values() for leaf in _leaves(child)]


def _is_norm(module: nn.Module) -> bool:
    """Return whether it has only vectors: a normalisation, or scales and shifts."""
    return all(p.dim() <= 1 for p in module.parameters())
