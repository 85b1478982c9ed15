"""The weights in a file of torch.save: bare, under a usual key, or under one that is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ftune.config.spelling import nearest
from ftune.errors import CheckpointError
from ftune.security.untrusted_files import named_tensors

TORCH = (".pt", ".pth", ".bin", ".ckpt")
NESTS = ("model", "state_dict", "model_state_dict", "module", "net", "weights", "ema")
MOST_LEVELS = 4


def split_key(name: str) -> tuple[Path, str]:
    """`file.pt:key` as the file and the key in it; the key is empty where none is named."""
    file, colon, key = name.rpartition(":")
    if colon and not Path(name).exists() and Path(file).is_file():
        return Path(file), key
    return Path(name), ""


def weights_in(
    path: Path, content: Mapping[Any, Any], key: str
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by name, and notes on what else there was. Raises CheckpointError.

    Without `key` those that lie bare, else under one of the usual keys, else the only mapping of
    tensors that there is.
    """
    content = named_tensors(content)
    others = dict(_mappings(content))
    if key:
        return _tensors(_under(path, key, others)), []
    tops = {name.partition(".")[0] for name in others}
    usual = next((k for k in NESTS if k in tops), None)
    if usual is not None:
        tensors, notes = weights_in(path, content[usual], "")
        return tensors, [*_passed_over(path, others, usual), *notes]
    bare = _tensors(content)
    if any(tensor.dim() for tensor in bare.values()) or (bare and not others):
        return bare, []
    if len(others) == 1:
        ((name, tensors),) = others.items()
        return tensors, [f"{path}: the weights are those under `{name}`, the only ones in the file"]
    raise CheckpointError(_unclear(path, content, others))


def _mappings(content: Mapping[Any, Any], above: str = "", level: int = 0) -> Iterator[Any]:
    """Each mapping of weights below by its dotted key; an optimizer numbers its states."""
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Mapping):
            continue
        value = named_tensors(value)
        tensors = _tensors(value)
        if all(isinstance(name, str) for name in value) and any(
            t.is_floating_point() and t.dim() for t in tensors.values()
        ):
            yield f"{above}{key}", tensors
        elif level < MOST_LEVELS:
            yield from _mappings(value, f"{above}{key}.", level + 1)


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}


def _under(path: Path, key: str, others: Mapping[str, Any]) -> Mapping[Any, Any]:
    if key in others:
        mapping: Mapping[Any, Any] = others[key]
        return mapping
    near = nearest(key, others)
    known = f"did you mean `{near}`?" if near else f"weights lie under: {_listed(others)}"
    raise CheckpointError(f"{path}: holds no weights under `{key}`; {known}")


def _passed_over(path: Path, others: Mapping[str, Any], usual: str) -> list[str]:
    rest = [name for name in others if name.partition(".")[0] != usual]
    if not rest:
        return []
    return [
        f"{path}: the weights are those under `{usual}`; others lie under {_listed(rest)} "
        f"(--base {path}:{rest[0]})"
    ]


def _unclear(path: Path, content: Mapping[Any, Any], others: Mapping[str, Any]) -> str:
    if not others:
        return f"{path}: no tensors; keys: {', '.join(map(str, list(content)[:8]))}"
    return (
        f"{path}: holds {len(others)} sets of weights, under {_listed(others)}; name one: "
        f"--base {path}:{next(iter(others))}"
    )


def _listed(names: Mapping[str, Any] | list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in list(names)[:8])
    return (shown or "nothing") + (", …" if len(names) > 8 else "")
