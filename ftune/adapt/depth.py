"""How far each parameter is from the output, for any model.

Blocks (`block_list`) count from the output: the head, and a fresh head, is at distance 0, the
last block at 1, …, the first of N at N, the stem and what comes before it at N + 1.
"""

from __future__ import annotations

from torch import nn

from ftune.adapt.block_list import block_list
from ftune.adapt.names import parents


def distances(model: nn.Module, head: str = "") -> dict[str, int]:
    """Return parameter name -> blocks between it and the output.

    head: dotted name of a module at distance 0 wherever it lies.
    """
    stem, blocks, last = block_list(model)
    far = dict.fromkeys(stem, len(blocks) + 1) | dict.fromkeys(last, 0)
    far |= {path: len(blocks) - i for i, block in enumerate(blocks) for path in block}
    current = len(blocks) + 1 if stem or blocks else 0
    depths = {}
    for name, _ in model.named_parameters():
        current = next((far[path] for path in parents(name) if path in far), current)
        depths[name] = 0 if head and name.startswith(f"{head}.") else current
    return depths
