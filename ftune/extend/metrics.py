"""Registered metrics: a function of all rows of a split, or an object that is told batch by batch.

What either needs is given by the name of its parameter, so that nothing can be swapped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.errors import RequestError
from ftune.extend.signature import Own, faults_of, place, schema_of, source_file
from ftune.tasks import METRICS
from ftune.tasks.protocol import Direction

if TYPE_CHECKING:
    from ftune.data.frame import Array

GIVEN = {"predictions": "predictions", "targets": "targets", "probabilities": "probabilities",
         "classes": "classes", "y_pred": "predictions", "y_true": "targets"}  # fmt: skip
"""Parameters that ftune fills in; the last two are scikit-learn's names."""
MEANT = "the metric `{}` must take (predictions, targets), or (y_true, y_pred) as in scikit-learn"


class OwnMetric(Own):
    """A metric of the user's."""

    greater_is_better: ClassVar[bool]
    as_: str | None

    @property
    def name(self) -> str:
        return self.as_ or METRICS.name_of(type(self))

    @property
    def direction(self) -> Direction:
        return "max" if self.greater_is_better else "min"

    def counter(self, classes: tuple[str, ...]) -> Streamed | Whole:
        kind = Streamed if isinstance(type(self).made, type) else Whole
        return kind(self, classes)

    def chosen(self, answers: Mapping[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
        """Of what there is, what the user's parameters ask for. Raises RequestError."""
        there = {**answers, "classes": classes}
        absent = sorted(name for name in self.given if GIVEN[name] not in there)
        if absent:
            raise RequestError(
                f"{place(self.made)}: the metric `{self.name}` asks for `{absent[0]}`, which this"
                f" task does not give; it gives {', '.join(there)}"
            )
        return {name: there[GIVEN[name]] for name in self.given}

    def checked(self, value: Any) -> float:
        """One number, NaN where it is not defined. Raises RequestError for anything else."""
        plain = value.item() if getattr(value, "ndim", None) == 0 else value
        if isinstance(plain, int | float):
            return float(plain)
        shape = getattr(value, "shape", None)
        what = f"{type(value).__name__}{'' if shape is None else f' {list(shape)}'}"
        advice = "end it with `return`" if value is None else "it must give one number"
        raise RequestError(f"{place(self.made)}: the metric `{self.name}` gives {what}; {advice}")


@dataclass
class Whole:
    """All rows, kept for one call of the user's function."""

    metric: OwnMetric
    classes: tuple[str, ...]
    batches: list[Mapping[str, Array]] = field(default_factory=list)

    def update(self, answers: Mapping[str, Array]) -> None:
        self.metric.chosen(answers, self.classes)
        names = {GIVEN[name] for name in self.metric.given}
        self.batches.append({name: rows for name, rows in answers.items() if name in names})

    def state(self) -> list[Mapping[str, Array]]:
        return self.batches

    def merge(self, state: list[Mapping[str, Array]]) -> None:
        self.batches += state

    def compute(self) -> float:
        import numpy as np

        if not self.batches:
            return nan
        whole = {n: np.concatenate([batch[n] for batch in self.batches]) for n in self.batches[0]}
        given = self.metric.chosen(whole, self.classes)
        return self.metric.checked(self.metric.make(**given))


class Streamed:
    """An object of the user's class, told batch by batch."""

    def __init__(self, metric: OwnMetric, classes: tuple[str, ...]) -> None:
        self.metric, self.classes = metric, classes
        self.count = metric.make()

    def update(self, answers: Mapping[str, Array]) -> None:
        given = self.metric.chosen(answers, self.classes)
        with faults_of(source_file(self.metric.made), place(self.metric.made)):
            self.count.update(**given)

    def state(self) -> Any:
        return self.count

    def merge(self, state: Any) -> None:
        """Calls the user's `merge(other)`. Raises RequestError where there is none."""
        if not hasattr(self.count, "merge"):
            raise RequestError(
                f"{place(self.metric.made)}: the metric `{self.metric.name}` cannot be computed by "
                "several processes; give its class `merge(other)`, which adds what another saw"
            )
        with faults_of(source_file(self.metric.made), place(self.metric.made)):
            self.count.merge(state)

    def compute(self) -> float:
        with faults_of(source_file(self.metric.made), place(self.metric.made)):
            value = self.count.compute()
        return self.metric.checked(value)


def own_metric(name: str, made: Callable[..., Any], greater_is_better: bool) -> type:
    """The schema of a function, or of a class with `update` and `compute`."""
    if not isinstance(greater_is_better, bool):
        raise RequestError(f"{place(made)}: greater_is_better is True or False")
    streamed = isinstance(made, type)
    if streamed and not (hasattr(made, "update") and hasattr(made, "compute")):
        raise RequestError(
            f"{place(made)}: a metric that is a class has update(predictions, targets) and"
            " compute()"
        )
    function: Any = made.update if streamed else made  # type: ignore[attr-defined]
    given = frozenset(GIVEN) & set(inspect.signature(function).parameters)
    if not {"predictions", "targets"} <= {GIVEN[n] for n in given}:
        raise RequestError(f"{place(made)}: {MEANT.format(name)}")
    schema: Any = schema_of(
        OwnMetric, made, () if streamed else tuple(GIVEN), (METRICS.block, "as_"), named=True
    )
    schema.greater_is_better, schema.given = greater_is_better, given
    metric_type: type = schema
    return metric_type
