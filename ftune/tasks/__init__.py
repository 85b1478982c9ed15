"""Tasks: what the model is trained for, and how well it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ftune.registry import Table

if TYPE_CHECKING:
    from torch import Tensor

TASKS = Table(
    "task",
    {
        "classification": "ftune.tasks.classification:Classification",
        "regression": "ftune.tasks.regression:Regression",
        "causal-lm": "ftune.tasks.language:CausalLm",
        "token-classification": "ftune.tasks.tagging:TokenClassification",
    },
)

# Losses that --code registers: (outputs, y) -> the loss of each row, [rows].
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}

# Metrics that --code registers; a task's own are in `protocol.DIRECTIONS`.
METRICS = Table("metric of --code", {})

# Objectives that --code registers; the default is the loss of the task.
OBJECTIVES = Table("objective of --code", {})
