"""What a configuration cannot mean, and what is said of a training before it begins."""

from __future__ import annotations

from collections.abc import Mapping

from ftune.adapt.rules import ParamPlan
from ftune.data.batches import Batches
from ftune.data.dataset import Dataset
from ftune.errors import RequestError
from ftune.optim import SCHEDULES
from ftune.schema.root import RunConfig


def refuse_blind(config: RunConfig) -> None:
    """Without validation rows nothing reads these settings: better a refusal than silence."""
    needs = {
        "train.early_stop": config.train.early_stop is not None,
        "schedule.name=plateau": isinstance(config.schedule, SCHEDULES["plateau"]),
        "eval.metric": config.eval_.metric != "auto",
    }
    for key, used in needs.items():
        if used:
            raise RequestError(f"{key} goes by the validation split: give `data.split.val`")


def refuse_idle(effects: Mapping[str, ParamPlan]) -> None:
    """A step needs something to train, in the first epoch too."""
    first = min((e.from_epoch for e in effects.values() if e.train), default=0)
    if first:
        raise RequestError(
            f"adapt: no parameter is trained before epoch {first}; write `from_epoch: 0` for those "
            "that begin"
        )


def far_from_zero(config: RunConfig, dataset: Dataset) -> list[str]:
    """Fresh outputs are near 0; targets far from it take most of the training to reach."""
    numbers = config.task.target_kind == "numbers" and dataset.train.y is not None
    size = float(dataset.train.y.abs().mean()) if numbers and dataset.train.y is not None else 0.0
    if size <= 30:
        return []
    return [
        f"the targets are far from 0 (mean size {size:,.0f}); "
        "`data.target_transforms: [standardize]` would train faster"
    ]


def left_out_rows(config: RunConfig, batches: Batches) -> list[str]:
    """In words, which rows each epoch does without, and which share a micro-batch."""
    rows = batches.left_out
    if batches.shared:
        return [
            "the last micro-batch of an epoch would be one row, which has no batch statistics; it"
            " shares the rows of the one before it"
        ]
    if not rows:
        return []
    why = "drop_last" if config.train.drop_last else "one row alone has no batch statistics"
    many = "1 row is left out of each epoch, another" if rows == 1 else (
        f"{rows:,} rows are left out of each epoch, others")  # fmt: skip
    return [f"{many} each time: {why}"]
