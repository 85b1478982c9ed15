"""Which trials of a sweep cannot differ: they would train the same settings.

Two keys, compared as text. The key of a configuration is there before anything is read or built;
the key of a training also knows what `auto`, shares and epochs came to on these data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from ftune.assembly.job import selection_of
from ftune.assembly.parts import Parts
from ftune.config.dump import dump
from ftune.config.fields import settings_with
from ftune.config.free import free_settings
from ftune.data.dataset import fingerprint, raw_fingerprint
from ftune.schema.root import RunConfig


def configuration_key(config: RunConfig) -> str:
    """Equal for two configurations only where they train the same; `lr: auto` stays `auto`."""
    return _digest(_effective(config))


def training_key(config: RunConfig, parts: Parts) -> str:
    """Equal for two built trainings only where every number of them is the same."""
    plain, train, rows = _effective(config), config.train, len(parts.dataset.train)
    size, accumulate = min(train.batch_size, rows), train.accumulate
    accumulate = 1 if size == rows else accumulate
    plain["train"] |= {
        "steps": parts.total,
        "batch_size": size,
        "accumulate": accumulate,
        "drop_last": train.drop_last and rows % (size * accumulate) != 0,
        "precision": str(parts.precision.dtype or torch.float32),
    }
    plain["train"].pop("epochs", None)
    plain["eval"] |= {
        "every": min(parts.eval_every or parts.total, parts.total),
        "metric": selection_of(parts).metric,
    }
    plain["runtime"] |= {"threads": parts.threads, "device": str(parts.device)}
    _by_what_they_come_to(plain, config, parts)
    if (warmup := getattr(config.schedule, "warmup", None)) is not None:
        plain["schedule"]["warmup"] = warmup.length(parts.total)
    return _digest(plain)


def _by_what_they_come_to(plain: dict[str, Any], config: RunConfig, parts: Parts) -> None:
    """Settings that only say which rows, which weights and which end; these are compared."""
    dataset = parts.dataset
    early, evaluations = config.train.early_stop, -(-parts.total // plain["eval"]["every"])
    if early is not None and early.patience >= evaluations:
        plain["train"]["early_stop"] = None
    if getattr(config.schedule, "shares", None):
        plain["schedule"]["at"] = list(config.schedule.shares)
    for key in ("data.limit", "data.split", "task.class_weights", "eval.batch_size"):
        _drop(plain, key)
    plain["rows"] = [list(dataset.splits), fingerprint(dataset), raw_fingerprint(dataset)]
    weights = getattr(parts.task, "weights", None)
    plain["weights"] = None if weights is None or (weights == 1).all() else weights.tolist()


def _effective(config: RunConfig) -> dict[str, Any]:
    """The settings that can change a number of the training."""
    plain = dump(config)
    for key in {*free_settings(config), *_without_effect(config)} - _with_effect(config):
        _drop(plain, key)
    return plain


def _with_effect(config: RunConfig) -> set[str]:
    """Settings that are free for a resume, and are not between trials."""
    searched = {"lr_find"} if config.optimizer.lr == "auto" else set()
    saved = {"train.checkpoint_every"} if config.train.rolls_back else set()
    return {*settings_with(RunConfig, "trial"), *searched, *saved}


def _without_effect(config: RunConfig) -> list[str]:
    """Settings that another one switches off."""
    unused = {
        "train.epochs": config.train.steps is not None,
        "optimizer.dampening": not getattr(config.optimizer, "momentum", None),  # torch.optim.SGD
    }
    return [key for key, idle in unused.items() if idle]


def _drop(plain: dict[str, Any], key: str) -> None:
    *blocks, name = key.split(".")
    for block in blocks:
        plain = plain.get(block) or {}
    if isinstance(plain, dict):
        plain.pop(name, None)


def _digest(plain: Mapping[str, Any]) -> str:
    """Of the whole text, as a configuration may hold what is not to be kept in a file."""
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
