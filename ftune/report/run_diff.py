"""How two runs differ: causes before their effects, the first difference first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftune.runs import checkpoint
from ftune.runs.folder import RunFolder, read_metrics
from ftune.runtime.versions import takes_part

# In this order: what computes, then what it computes from.
SURROUNDINGS = ("versions", "threads", "cores", "device", "device_name", "precision", "determinism",
                "seed")  # fmt: skip
INPUTS = ("data", "raw_targets", "base_sha256", "model_sha256", "code")
UNTIMED = ("steps", "best", "metrics", "lr", "curve", "trials")


@dataclass(frozen=True)
class Difference:
    """A field with both values; note: how large the difference is."""

    field: str
    was: Any
    now: Any
    note: str = ""

    def __str__(self) -> str:
        was, now = _shown(self.was, self.now)
        return f"{self.field}: was {was}, is {now}" + (f" ({self.note})" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        was, now = _shown(self.was, self.now)
        return {"field": self.field, "was": was, "is": now, "note": self.note}


def causes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Return where two run.json differ in what a result depends on.

    Fields that one of them lacks (of an older ftune) are not compared.
    """
    changes: list[Difference] = []
    for key in (*SURROUNDINGS, *INPUTS):
        chosen = key == "cores" and was.get("threads")  # they only help to choose the threads
        if was.get(key) is not None and now.get(key) is not None and not chosen:
            changes += _between(key, _plain(key, was[key]), _plain(key, now[key]))
    return changes


def results(was: RunFolder, now: RunFolder, until: int | None = None) -> Iterator[Difference]:
    """Yield what differs in two run folders, in the order of writing; until: up to that step."""
    yield from metrics(was.path, now.path, until)
    for name in ("best", "latest"):
        yield from weights(was.checkpoints, now.checkpoints, name)
    trials = sorted((was.path / "trials").glob("*/run.json"))
    for file in trials:
        number = file.parent.name
        for part in results(RunFolder(file.parent), RunFolder(now.path / "trials" / number)):
            yield replace(part, field=f"trial {number}: {part.field}")
    if until is None:
        first, other = was.summary_json(), now.summary_json()
        for key in UNTIMED:
            if key in first:
                yield from _between(f"summary {key}", first[key], other.get(key))


def metrics(was: Path, now: Path, until: int | None = None) -> Iterator[Difference]:
    """Yield the lines of metrics.jsonl that differ, times left out."""
    first, other = (_lines(path / "metrics.jsonl", until) for path in (was, now))
    for number, (a, b) in enumerate(zip(first, other, strict=False), 1):
        where = f"metrics.jsonl line {number} (step {a.get('step')}, {a.get('split')})"
        yield from _between(where, a, b)
    if len(first) != len(other):
        yield Difference("metrics.jsonl lines", len(first), len(other))


def weights(was: Path, now: Path, name: str) -> Iterator[Difference]:
    """Yield the tensors that differ in the checkpoint `best` or `latest`, optimizer included."""
    first, other = checkpoint.pointed(was, name), checkpoint.pointed(now, name)
    if first is None or other is None or first.name != other.name:
        names = [None if path is None else path.name for path in (first, other)]
        if names[0] != names[1]:
            yield Difference(f"checkpoint {name}", names[0], names[1])
        return
    a, b = checkpoint.load(first), checkpoint.load(other)
    for part in ("model", "frozen", "training", "pipeline"):
        yield from tensors(f"checkpoint {name}, {part}", getattr(a, part), getattr(b, part))


def tensors(
    prefix: str, was: Mapping[str, Tensor], now: Mapping[str, Tensor]
) -> Iterator[Difference]:
    """Yield the tensors that differ, bit by bit, dtypes and shapes included."""
    for name in {**was, **now}:
        a, b = was.get(name), now.get(name)
        if a is None or b is None or (a.dtype, a.shape) != (b.dtype, b.shape):
            yield Difference(f"{prefix} {name}", _kind(a), _kind(b))
        elif not torch.equal(_bytes(a), _bytes(b)):
            yield _apart(f"{prefix} {name}", a, b)


def _apart(field: str, was: Tensor, now: Tensor) -> Difference:
    """Return the two values where the tensors are farthest apart."""
    a, b = was.flatten().double(), now.flatten().double()
    gap = (a - b).abs().nan_to_num(nan=math.inf)
    at = int(gap.argmax())
    different = int((a != b).sum())
    note = f"largest difference {float(gap[at]):.3g}; {different:,} of {len(a):,} values differ"
    return Difference(field, float(a[at]), float(b[at]), note)


def _between(field: str, was: Any, now: Any) -> Iterator[Difference]:
    """Yield the leaves in which two plain values differ."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in {**was, **now}:
            yield from _between(f"{field}.{key}", was.get(key), now.get(key))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, (a, b) in enumerate(zip(was, now, strict=True)):
            yield from _between(f"{field}.{number}", a, b)
    elif _exact(was) != _exact(now):
        yield Difference(field, was, now)


def _plain(key: str, value: Any) -> Any:
    if key == "versions":
        return {name: item for name, item in value.items() if takes_part(name)}
    return [file["sha256"] for file in value] if key == "code" else value


def _lines(path: Path, until: int | None) -> list[dict[str, Any]]:
    lines = [line for line in read_metrics(path) if until is None or line["step"] <= until]
    return [{key: value for key, value in line.items() if key != "time"} for line in lines]


def _exact(value: Any) -> Any:
    return value.hex() if isinstance(value, float) else value


def _shown(was: Any, now: Any) -> tuple[Any, Any]:
    """Return both values as shown: numbers that print alike to the last bit."""
    alike = isinstance(was, float) and isinstance(now, float) and f"{was:.6g}" == f"{now:.6g}"
    return (was.hex(), now.hex()) if alike else (was, now)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _kind(tensor: Tensor | None) -> str | None:
    return None if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
