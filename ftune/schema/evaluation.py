"""The `eval:` block: when and by what the model is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ftune.config.fields import blocks, group, setting
from ftune.config.read import SettingError
from ftune.schema.interval import EvalInterval
from ftune.tasks import METRICS
from ftune.tasks.protocol import DIRECTIONS


@dataclass(frozen=True)
class Eval:
    """When and by what the model is judged."""

    every: EvalInterval = group(EvalInterval, short="epochs", default=EvalInterval(epochs=1))
    """How often the validation split is evaluated; a bare number means epochs."""

    at_start: bool = setting(True)
    """Whether it is evaluated before the first step too: what the training began with, which is
    delivered where no later step is better."""

    train: bool | Literal["auto"] = setting("auto", words=("auto",), exact=False)
    """Whether the training rows are scored at the end, one more pass over all of them; `auto`: of
    tables, where it costs little, not of texts and images."""

    metric: str = setting("auto")
    """Metric that selects the best step; `auto` is accuracy or rmse, by the task. Of equal values
    the one with the lower validation loss is the best, then the earlier one."""

    metrics: Any = blocks(METRICS)
    """Metrics that --code registers, scored beside the task's own: `[gini, {fbeta: {beta: 2}}]`.
    One that `metric` names need not stand here."""

    batch_size: int | Literal["auto"] = setting("auto", at_least=1, words=("auto",), fact="cost")
    """Rows evaluated at once; changes speed and memory, not results. `auto`: 4096 rows of a table,
    as many texts or images as train.batch_size."""

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice or (twice := next((name for name in names if name in DIRECTIONS), None)):
            raise SettingError("metrics", f"two are called `{twice}`; name one with `as: NAME`")

    @property
    def own(self) -> tuple[Any, ...]:
        """The metrics of --code that are scored, with the one that selects."""
        names = [metric.name for metric in self.metrics]
        alone = self.metric in METRICS and self.metric not in names
        return (*self.metrics, METRICS[self.metric]()) if alone else tuple(self.metrics)
