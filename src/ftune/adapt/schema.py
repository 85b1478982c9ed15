"""The `adapt:` block: ordered rules over parameter names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ftune.config.fields import setting
from ftune.config.read import SettingError


@dataclass(frozen=True)
class Rule:
    """What happens to the parameters whose names match; the last match wins, effect by effect."""

    match: str = setting()
    """Glob over dotted parameter names (`layer2.*`, `*.bias`), or a `/regular expression/`."""

    train: bool | None = setting(None)
    """Whether these parameters are trained; parameters that no rule mentions are."""

    lr_scale: float | None = setting(None, above=0)
    """Multiplies the learning rate."""

    weight_decay: float | None = setting(None, at_least=0)
    """Replaces the optimizer's weight decay."""

    from_epoch: int | None = setting(None, at_least=0)
    """Gradual unfreezing: trained from this epoch on (counted from 0), frozen before."""

    def __post_init__(self) -> None:
        if self.from_epoch is not None and self.train is False:
            raise SettingError("from_epoch", "goes with `train: true`, not with `train: false`")
        if not any((self.train is not None, self.lr_scale, self.weight_decay is not None,
                    self.from_epoch is not None)):  # fmt: skip
            raise SettingError(
                "match", "the rule has no effect; add train, lr_scale, weight_decay or from_epoch"
            )
        if self.is_regex:
            try:
                re.compile(self.match[1:-1])
            except re.error as error:
                raise SettingError("match", f"not a regular expression: {error}") from None

    @property
    def is_regex(self) -> bool:
        return len(self.match) > 2 and self.match.startswith("/") and self.match.endswith("/")
