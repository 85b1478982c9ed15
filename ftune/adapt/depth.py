"""How far each parameter is from the output, for any model.

The blocks of a model are the longest run of like modules in a ModuleList or Sequential (the
layers of a transformer), and with them every other module of that class (the stages of a
residual network). Blocks count from the output: what comes after the last block, and a fresh
head, is at distance 0, the last block at 1, …, the first at N; what comes before, embeddings and
stem, at N + 1. Order is the order in which a model registers its modules. A model without such
a run (a plain stack of layers) is counted layer by layer; a normalisation belongs to the layer
before it.
"""

from __future__ import annotations

from torch import nn

from ftune.adapt.lora import Adapters
from ftune.adapt.names import parents


def distances(model: nn.Module, head: str = "") -> dict[str, int]:
    """Parameter name -> blocks between it and the output."""
    blocks = _blocks(model)
    if blocks:
        level, top = {path: i + 1 for i, path in enumerate(blocks)}, len(blocks) + 1
    else:
        level, top = _layers(model)
    reached, last, depths = 0, max(level.values(), default=0), {}
    for name, _ in model.named_parameters():
        own = next((level[path] for path in parents(name) if path in level), None)
        if own is not None:
            reached = own
        after = blocks and own is None and reached == last
        inside_head = bool(head) and name.startswith(f"{head}.")
        depths[name] = 0 if after or inside_head else top - (reached if own is None else own)
    return depths


def _blocks(model: nn.Module) -> list[str]:
    """Paths of the blocks, in order; [] for a plain stack."""
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
    members = {f"{longest}.{name}".lstrip(".") for name in runs[longest]}
    kinds = {type(m) for m in runs[longest].values()} - {nn.Sequential, nn.ModuleList}
    blocks: list[str] = []
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{block}.") for block in blocks)
        if not inside and (path in members or type(module) in kinds):
            blocks.append(path)
    return blocks


def _is_run(module: nn.Module, items: dict[str, nn.Module]) -> bool:
    """Whether the items are blocks: each of several layers, and in a Sequential all alike."""
    composite = all(len(_leaves(item)) > 1 for item in items.values())
    alike = len({_make(item) for item in items.values()}) == 1
    return composite and (alike or isinstance(module, nn.ModuleList))


def _make(module: nn.Module) -> object:
    """What two blocks share: their class, or of nameless Sequentials what is inside."""
    inside = isinstance(module, nn.Sequential)
    return (type(module), *(_make(child) for child in module.children() if inside))


def _layers(model: nn.Module) -> tuple[dict[str, int], int]:
    """Path of each layer of a plain stack -> its place, and the place of the last."""
    level: dict[str, int] = {}
    index = -1
    waiting = list(_parameterised(model).items())
    while waiting:
        path, module = waiting.pop(0)
        children = _parameterised(module)
        if isinstance(module, nn.Sequential | nn.ModuleList) or len(children) == 1:
            waiting[:0] = [(f"{path}.{name}", child) for name, child in children.items()]
            if next(module.parameters(recurse=False), None) is None:
                continue
        if not _is_norm(module) or index < 0:
            index += 1
        level[path] = index
    return level, max(index, 0)


def _parameterised(module: nn.Module) -> dict[str, nn.Module]:
    return {
        name: child
        for name, child in module.named_children()
        if not isinstance(child, Adapters) and next(child.parameters(), None) is not None
    }


def _leaves(module: nn.Module) -> list[nn.Module]:
    """Modules below that hold parameters of their own, adapters apart."""
    children = _parameterised(module)
    own = [module] if next(module.parameters(recurse=False), None) is not None else []
    return own + [leaf for child in children.values() for leaf in _leaves(child)]


def _is_norm(module: nn.Module) -> bool:
    """Only vectors: a normalisation, or scales and shifts."""
    return all(p.dim() <= 1 for p in module.parameters())
