"""Token classification: loss, metrics by word and by entity."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from torch import Tensor

from ftune.tasks.counts import Counts, ratio
from ftune.tasks.entities import marks_entities, spans
from ftune.tasks.positions import counted_positions, summed_cross_entropy
from ftune.tasks.protocol import Batch, directions_of
from ftune.tasks.sums import Sums


class TaggingTask:
    """One logit per tag. outputs: [counted positions, tags]; y: int64 [positions].

    Only the first token of each word counts. `row` [positions] says which text a word is of.
    """

    positions = True

    def __init__(self, tags: tuple[str, ...], smoothing: float) -> None:
        self.output_names = tags
        self.outputs = len(tags)
        self.smoothing = smoothing
        self.entities = marks_entities(tags)
        of_entities = ("entity_f1",) if self.entities else ()
        self.directions = directions_of("loss", "accuracy", "macro_f1", *of_entities)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """Cross-entropy summed over words, and how many they are."""
        return summed_cross_entropy(outputs, batch["y"], self.smoothing)

    def weight(self, batch: Batch) -> float:
        return counted_positions(batch)

    def metrics(self) -> TaggingMetrics:
        return TaggingMetrics(self)

    def predictions(self, outputs: Tensor) -> dict[str, list[str] | np.ndarray]:
        """`prediction` of each word."""
        return {"prediction": [self.output_names[i] for i in outputs.argmax(1).tolist()]}

    def answers(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Tag numbers of the words, and probabilities [words, tags]."""
        shares = outputs.double().softmax(1)
        return {"predictions": outputs.argmax(1), "targets": batch["y"], "probabilities": shares}


class TaggingMetrics(Sums):
    """Counts of words per tag, and of entities that are found whole (Tjong Kim Sang 2002)."""

    summed = ("counts", "loss", "weight", "found", "predicted", "true")

    def __init__(self, task: TaggingTask) -> None:
        self.task = task
        self.counts = Counts.zeros(task.outputs)
        self.loss: Tensor | float = 0.0
        self.weight = 0.0
        self.found = self.predicted = self.true = 0

    def update(self, outputs: Tensor, batch: Batch) -> None:
        outputs, y = outputs.detach(), batch["y"]
        summed, weight = self.task.loss(outputs, batch)
        self.loss, self.weight = self.loss + summed.double(), self.weight + weight
        guess = outputs.argmax(1)
        self.counts.observe(guess, y)
        if self.task.entities:
            rows = batch["row"].tolist()
            guessed = set(spans(self._names(guess), rows))
            true = set(spans(self._names(y), rows))
            self.found += len(guessed & true)
            self.predicted, self.true = self.predicted + len(guessed), self.true + len(true)

    def _names(self, tags: Tensor) -> list[str]:
        return [self.task.output_names[i] for i in tags.tolist()]

    def compute(self) -> dict[str, float]:
        counts = self.counts
        metrics = {
            "loss": ratio(self.loss, self.weight),
            "accuracy": ratio(counts.right.sum(), counts.true.sum()),
            "macro_f1": counts.macro_f1,
        }
        if self.task.entities:
            metrics["entity_f1"] = self._entity_f1()
        return metrics

    def _entity_f1(self) -> float:
        """Over all entities together; 0 where words have none (as seqeval), NaN without words."""
        return ratio(2.0 * self.found, max(self.predicted + self.true, 1)) if self.weight else nan

    def details(self) -> list[dict[str, Any]]:
        """Precision, recall, f1 and number of words of each tag."""
        return self.counts.rows("tag", self.task.output_names)
