"""What each command that makes a run would do with a configuration, in one line."""

from __future__ import annotations

from ftune.schema.root import RunConfig
from ftune.search.space import parse_space


def optimize(config: RunConfig) -> str:
    """Return the length, the batch, the optimizer and its rate."""
    if config.model is None:
        return "needs a `model:` block"
    train = config.train
    length = f"{train.steps:,} steps" if train.steps else f"{train.epochs:g} epochs"
    length = length if train.minutes is None else f"for {train.minutes:g} minutes"
    batch = f"{train.batch_size * train.accumulate} rows a step"
    rate = config.optimizer.lr
    rate = "a rate that lr-find settles" if rate == "auto" else f"rate {rate:g}"
    return f"trains {length}, {batch}, with {type(config.optimizer).__name__.lower()} at {rate}"


def finetune(config: RunConfig) -> str:
    """Return the base: of `base:`, or the files that the model itself names."""
    base = config.base or getattr(config.model, "source", None)
    names = [base] if isinstance(base, str) else base or []
    return f"starts from {', '.join(names)}" if names else "needs --base"


def lr_find(config: RunConfig) -> str:
    """Return the span of the rates."""
    settings = config.lr_find
    if not config.data.split.val and {*config.data.source.part_files} <= {"all"}:
        return "needs a validation split (data.split.val)"
    span = f"{settings.low:g} to {settings.high:g}"
    return f"tries rates from {span}, then {settings.refine} more around the best"


def sweep(config: RunConfig) -> str:
    """Return the settings that are varied."""
    if config.sweep is None:
        return "needs a `sweep:` block"
    return f"varies {', '.join(parse_space(config.sweep))}"
