"""Random numbers and determinism."""

from __future__ import annotations

import os
from typing import Literal

import torch
from torch import Tensor

from ftune.errors import CheckpointError
from ftune.runtime.device import available


def seed_all(seed: int) -> None:
    """Seeds torch's generators on every device."""
    torch.manual_seed(seed)


def rng_state() -> dict[str, Tensor]:
    """The generators' states, one byte tensor for each device in use."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state |= {f"cuda:{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_rng(state: dict[str, Tensor]) -> None:
    """Takes back what `rng_state` gave. Raises CheckpointError if a device is not here."""
    for name, value in state.items():
        if name not in available():  # torch would keep it for later and say nothing
            raise CheckpointError(f"the saved random state of {name}: no such device here")
        try:
            _restore(torch.device(name), value.cpu())
        except (RuntimeError, TypeError):
            raise CheckpointError(f"the saved random state of {name} does not fit here") from None


def _restore(device: torch.device, value: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(value, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(value)
    else:
        torch.set_rng_state(value)


def choose_determinism(setting: bool | Literal["auto"], device: torch.device) -> bool:
    """Switches deterministic algorithms on or off for `runtime.deterministic`; says which.

    `true` makes torch refuse an operation that has no deterministic form; `auto`, on the CPU,
    only warns of it.
    """
    on = device.type == "cpu" if setting == "auto" else setting
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not torch.use_deterministic_algorithms: it imports torch's compiler, a second or two.
    torch.set_deterministic_debug_mode(
        "default" if not on else "warn" if setting == "auto" else "error"
    )
    torch.backends.cudnn.benchmark = not on
    # Filling fresh memory guards against reading it uninitialised; it costs and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return on
