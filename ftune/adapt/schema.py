"""The `adapt:` block: ordered rules over parameter names, or over module names for adapters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from ftune.config.fields import group, setting
from ftune.config.read import SettingError


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021): a frozen W acts as W + scaling · B · A."""

    rank: int = setting(8, at_least=1)
    """Rank of the update; a bare number means this."""

    alpha: float | None = setting(None, above=0)
    """Strength of the update: scaling is alpha / rank. By default 2 × rank; with rslora 16."""

    dropout: float = setting(0.0, at_least=0, below=1)
    """Share of the adapter's inputs that is dropped in training; none where these are ids."""

    rslora: bool = setting(False)
    """Scaling alpha / √rank, so that high ranks learn as well (Kalajdzievski 2023)."""

    dora: bool = setting(False)
    """Length and direction of each output's weights learn apart (DoRA, Liu et al. 2024)."""

    init: Literal["kaiming", "gaussian"] = setting("kaiming")
    """First values of A: uniform within 1/√inputs, or normal with deviation 1/rank; B is 0.

    On an embedding A is 0 and B normal, as in loralib and PEFT: a gradient of its rows needs B.
    """

    bias: bool = setting(False)
    """Also trains the biases of the adapted modules."""

    lora_plus: float | None = setting(None, above=0)
    """Rate of B over the rate of A (LoRA+, Hayou et al. 2024, who advise 16)."""

    modules_to_save: list[str] = setting([])
    """Patterns of modules that are trained in full beside the adapters."""

    name: str = setting("default")
    """Adapters of other names on the same module add up; of one name the last rule counts."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", self.name):
            raise SettingError("name", "expected letters, digits, - and _, a letter first")

    def settings(self) -> dict[str, Any]:
        """What rebuilds the adapter's structure, as JSON."""
        alpha = self.alpha or (16.0 if self.rslora else 2.0 * self.rank)
        return {
            "rank": self.rank, "alpha": alpha, "dropout": self.dropout,
            "rslora": self.rslora, "dora": self.dora, "init": self.init,
        }  # fmt: skip


RATES = ("lr_scale", "weight_decay", "from_epoch", "layer_decay")
EFFECTS = ("train", *RATES, "lora", "peft", "quantize")


@dataclass(frozen=True)
class Rule:
    """What happens to the parameters whose names match; the last match wins, effect by effect."""

    match: str = setting()
    """Glob over dotted names (`layer2.*`, `*.bias`), or a `/regular expression/`.

    The names are those of parameters; with lora, peft or quantize those of modules (`*.q_proj`).
    """

    train: bool | None = setting(None)
    """Whether these are trained. Parameters that no rule mentions are; beside adapters only
    those of a fresh head are."""

    lr_scale: float | None = setting(None, above=0)
    """Multiplies the learning rate."""

    weight_decay: float | None = setting(None, at_least=0)
    """Replaces the optimizer's weight decay."""

    from_epoch: int | None = setting(None, at_least=0)
    """Gradual unfreezing: trained from this epoch on (counted from 0), frozen before."""

    layer_decay: float | None = setting(None, above=0, at_most=1)
    """Multiplies the rate by this once for each block between a parameter and the output."""

    lora: Lora | None = group(Lora, short="rank", default=None)
    """Low-rank adapters on these modules, whose own parameters freeze; a number is the rank."""

    peft: dict[str, Any] | None = setting(None, open=True)
    """Another method of the PEFT library: `{type: ia3, …}` with PEFT's own settings."""

    quantize: Literal["bf16", "int8", "nf4"] | None = setting(None)
    """Stores the frozen weights of these linear modules in fewer bits: bf16 or int8 on any device,
    nf4 on CUDA."""

    def __post_init__(self) -> None:
        if self.from_epoch is not None and self.train is False:
            raise SettingError("from_epoch", "goes with `train: true`, not with `train: false`")
        if all(getattr(self, effect) is None for effect in EFFECTS):
            raise SettingError(
                "match", f"the rule has no effect; add {', '.join(EFFECTS[:-1])} or {EFFECTS[-1]}"
            )
        self._check_adapters()
        if self.is_regex:
            try:
                re.compile(self.match[1:-1])
            except re.error as error:
                raise SettingError("match", f"not a regular expression: {error}") from None

    def _check_adapters(self) -> None:
        if self.lora and self.peft is not None:
            raise SettingError("peft", "one adapter a rule: write a second rule for peft or lora")
        if self.adds_adapter and self.train is not None:
            raise SettingError("train", "adapters are trained; write a second rule for the rest")
        if self.peft is not None and not isinstance(self.peft.get("type"), str):
            raise SettingError("peft", "names no method; write {type: ia3}, or another of PEFT's")
        if self.quantize and (self.train or self.from_epoch is not None):
            raise SettingError(
                "quantize", "quantised weights cannot be trained; adapters on them can"
            )
        moves = any(getattr(self, e) is not None for e in RATES)
        if self.quantize and moves and not self.adds_adapter:
            raise SettingError("quantize", "quantised weights have no learning rate or decay")

    @property
    def adds_adapter(self) -> bool:
        return self.lora is not None or self.peft is not None

    @property
    def over_modules(self) -> bool:
        """Whether `match` names modules rather than parameters."""
        return self.adds_adapter or self.quantize is not None

    @property
    def is_regex(self) -> bool:
        return len(self.match) > 2 and self.match.startswith("/") and self.match.endswith("/")
