"""The parameters that are trained, in the groups of the optimizer."""

from __future__ import annotations

from torch import nn

from ftune.assembly.parts import Parts
from ftune.optim.groups import Group


def parameter_groups(parts: Parts) -> list[Group]:
    """Parameters that are ever trained, by what distinguishes them; fixed for the whole run."""
    modules = dict(parts.model.named_modules())
    members: dict[tuple[float, float | None, int], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in parts.model.named_parameters():
        effect = parts.effects[name]
        if effect.train:
            # torch's fused SGD cannot have some momenta begin later than others of their group.
            key = (effect.lr_scale, effect.weight_decay, effect.from_epoch)
            members.setdefault(key, []).append((name, parameter))

    def is_matrix(name: str, parameter: nn.Parameter) -> bool:
        owner = modules[name.rpartition(".")[0]]
        inner = parameter.dim() == 2 and not isinstance(owner, nn.Embedding)
        return inner and not name.startswith(parts.built.head + ".")

    return [
        Group(
            names=tuple(name for name, _ in items),
            parameters=tuple(p for _, p in items),
            lr_scale=scale,
            weight_decay=decay,
            matrix=tuple(is_matrix(name, p) for name, p in items),
        )
        for (scale, decay, _), items in members.items()
    ]
