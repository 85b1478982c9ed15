"""What an optimizer has learned, by parameter name, and back, bit for bit.

torch numbers parameters by position and accepts any shape under any number; a name does not
move when a layer is added. Sources: torch.optim.Optimizer.state_dict and load_state_dict.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ftune.errors import CheckpointError

_NOT_SETTINGS = ("params", "names", "lr_scale")


def optimizer_tensors(optimizers: Sequence[Optimizer]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """State as `"layer1.weight/exp_avg" -> tensor`, and the JSON beside it.

    The tensors are the optimizer's own, not copies. The JSON lists, for each optimizer, its
    class and which parameters have been updated at least once; the others have no state yet.
    """
    tensors: dict[str, Tensor] = {}
    rows = []
    for optimizer in optimizers:
        updated = []
        for name, parameter, _ in _named(optimizer):
            state = optimizer.state.get(parameter)
            if state is None:
                continue
            updated.append(name)
            for key, value in state.items():
                if value is not None:
                    assert isinstance(value, Tensor), f"{name}/{key}: state that is not a tensor"
                    tensors[f"{name}/{key}"] = value
        rows.append({"class": type(optimizer).__name__, "updated": updated})
    return tensors, {"optimizers": rows}


def load_optimizer_tensors(
    optimizers: Sequence[Optimizer], tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]
) -> None:
    """Puts copies of saved state into optimizers over the same parameters.

    Raises CheckpointError, before anything is changed, if classes, names, shapes or dtypes are
    not exactly those that these optimizers would make themselves.
    """
    rows = scalars.get("optimizers", [])
    classes = [row["class"] for row in rows]
    own = [type(optimizer).__name__ for optimizer in optimizers]
    if classes != own:
        raise CheckpointError(
            f"the optimizer state is of {_words(classes)}, but this run has {_words(own)}: "
            "continue with the configuration that it was saved with"
        )
    expected = [_expected(o, row["updated"]) for o, row in zip(optimizers, rows, strict=True)]
    _compare({key: tensor for state in expected for key, tensor in state.items()}, tensors)
    for optimizer, row in zip(optimizers, rows, strict=True):
        _fill(optimizer, tensors, set(row["updated"]))


def _named(optimizer: Optimizer) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            yield name, parameter, group


def _expected(optimizer: Optimizer, updated: Sequence[str]) -> dict[str, Tensor]:
    """The state that a first step would make, as tensors without memory."""
    known = {name for name, _, _ in _named(optimizer)}
    if unknown := [name for name in updated if name not in known]:
        raise CheckpointError(
            f"the optimizer state names parameters that are not trained here: {_words(unknown)}"
        )
    first: dict[str, Tensor] = {}
    for group in optimizer.param_groups:
        first |= _first_state(type(optimizer), group)
    wanted = set(updated)
    return {key: tensor for key, tensor in first.items() if key.rpartition("/")[0] in wanted}


def _first_state(kind: type[Optimizer], group: Mapping[str, Any]) -> dict[str, Tensor]:
    """Lets a twin of one group step once on the meta device."""
    twins = [torch.empty_like(p, device="meta", requires_grad=True) for p in group["params"]]
    for twin in twins:
        twin.grad = torch.empty_like(twin)
    settings = {key: value for key, value in group.items() if key not in _NOT_SETTINGS}
    row = settings | {"params": twins, "fused": False, "foreach": False}
    optimizer = kind([row])  # type: ignore[call-arg]
    # Adafactor reads a number from a tensor once its state exists; on meta there is none.
    with contextlib.suppress(RuntimeError):
        optimizer.step()
    return {
        f"{name}/{key}": value
        for name, twin in zip(group["names"], twins, strict=True)
        for key, value in optimizer.state[twin].items()
        if value is not None
    }


def _compare(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    if missing := [key for key in expected if key not in tensors]:
        raise CheckpointError(f"the optimizer state lacks {_words(missing)}")
    if surplus := [key for key in tensors if key not in expected]:
        raise CheckpointError(f"the optimizer state has {_words(surplus)}, which fits nothing here")
    for key, wanted in expected.items():
        got = tensors[key]
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            raise CheckpointError(
                f"the optimizer state {key} is {got.dtype} {list(got.shape)}, "
                f"but its parameter needs {wanted.dtype} {list(wanted.shape)}"
            )


def _fill(optimizer: Optimizer, tensors: Mapping[str, Tensor], updated: set[str]) -> None:
    by_name: dict[str, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        name, _, key = full.rpartition("/")
        by_name.setdefault(name, {})[key] = tensor
    for name, parameter, group in _named(optimizer):
        optimizer.state.pop(parameter, None)
        if name in updated:
            optimizer.state[parameter] = {
                key: tensor.to(device_of(key, parameter, group), copy=True)
                for key, tensor in by_name.get(name, {}).items()
            }


def device_of(key: str, parameter: Tensor, group: Mapping[str, Any]) -> torch.device:
    """Counters stay on the CPU, where reading them costs nothing, unless a fused kernel does."""
    counter = key in ("step", "mu_product")
    return torch.device("cpu") if counter and not group.get("fused") else parameter.device


def _words(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "nothing") + more
