"""The `runtime` block: where and how a run computes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]+)?")


@dataclass(frozen=True)
class Runtime:
    """Device, threads and determinism of a run."""

    device: str = setting("auto", exact=False, fact="trial")
    """auto, cpu, cuda, cuda:N or mps; `auto` takes CUDA, then MPS, then the CPU."""

    threads: int | Literal["auto"] = setting(
        "auto", at_least=1, words=("auto",), exact=False, fact="trial"
    )
    """CPU threads; `auto` goes by the size of the model, never by a timing."""

    deterministic: bool | Literal["auto"] = setting("auto", words=("auto",))
    """Only algorithms that give the same bits each time; `auto` is on for the CPU."""

    price: float | None = setting(None, above=0, exact=False)
    """Money an hour that this machine costs; `plan`, summary.json and `compare` tell the cost."""

    env: list[str] = setting([], exact=False)
    """Environment variables that this file may read as ${oc.env:NAME}."""

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise SettingError(
                "device", f"`{self.device}`: expected auto, cpu, cuda, cuda:N or mps"
            )

    def cost(self, seconds: float) -> float | None:
        """Return the price of so much time; None where `price` is not given."""
        return None if self.price is None else round(self.price * seconds / 3600, 6)
