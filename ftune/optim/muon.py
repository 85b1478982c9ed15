"""Muon for the matrices of hidden layers, AdamW for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftune.config.fields import setting
from ftune.optim.adam import AdamW
from ftune.optim.groups import Group, construct

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True)
class Muon:
    """Momentum whose matrices are orthogonalised (Jordan et al. 2024).

    Embeddings, heads, biases and norms are trained by AdamW. Muon's updates are scaled to
    AdamW's root mean square (Liu et al. 2025), so that one rate and decay serve both.
    """

    lr: float | Literal["auto"] = setting(1e-3, above=0, words=("auto",))
    """Peak learning rate; `auto` runs lr-find first."""

    momentum: float = setting(0.95, at_least=0, below=1)
    """Share of the previous update that Muon keeps."""

    nesterov: bool = setting(True)
    """Looks one momentum step ahead."""

    ns_steps: int = setting(5, at_least=1, below=100)
    """Newton-Schulz iterations of the orthogonalisation."""

    betas: tuple[float, float] = setting((0.9, 0.999), at_least=0, below=1)
    """AdamW's running moments."""

    eps: float = setting(1e-8, above=0)
    """Added to AdamW's denominator."""

    weight_decay: float = setting(0.1, at_least=0)
    """Each step shrinks the weights by this share of the learning rate."""

    def build(self, groups: list[Group], lr: float) -> list[Optimizer]:
        """Muon over the flagged matrices, AdamW over the rest; either is left out if empty."""
        from torch.optim import Muon as Kind

        matrices = [group.matrices(True) for group in groups]
        rest = [group.matrices(False) for group in groups]
        return [
            *construct(
                Kind, matrices, lr, self.weight_decay, momentum=self.momentum,
                nesterov=self.nesterov, ns_steps=self.ns_steps, adjust_lr_fn="match_rms_adamw",
            ),
            *AdamW(betas=self.betas, eps=self.eps, weight_decay=self.weight_decay).build(rest, lr),
        ]  # fmt: skip
