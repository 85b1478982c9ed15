"""A trained model in use: from a run or a single file to metrics and predictions on new rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ftune.assembly.build import base_pipeline, build_task
from ftune.assembly.initial_weights import restore_weights
from ftune.assembly.loader import eval_batch_size, eval_batches
from ftune.assembly.structure import build_model
from ftune.data.beside import beside, truth_note
from ftune.data.dataset import Split
from ftune.data.frame import Frame
from ftune.data.images.decode import listed
from ftune.data.images.pipeline import ImagePipeline
from ftune.data.new_rows import new_rows, unseen
from ftune.data.pipeline import Pipeline
from ftune.data.text.dialogues import word_lists
from ftune.data.text.pipeline import TextPipeline
from ftune.engine.evaluate import evaluate, outputs
from ftune.errors import CheckpointError, DataError, RequestError
from ftune.extend.forgotten import needing
from ftune.models.shapes import Built
from ftune.predictor.tokens import Sampling, Told, continued, tags_of
from ftune.runs.base import Base, load_base
from ftune.runs.references import Access
from ftune.runtime.device import choose
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.tasks.protocol import Batch, Task

__all__ = ["Predictor", "Sampling", "load", "restore"]


def _nobody(done: int, total: int) -> None:
    """Where nobody wants to hear how far it is."""


def _watched(batches: Iterable[Batch], total: int, told: Told) -> Iterator[Batch]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch["x"])
        told(done, total)


@dataclass
class Predictor:
    """A model with the transforms it was trained with; rows in, predictions out.

    notes: what the user should know of the rows that were predicted or judged last. judged: how
    many they were.
    """

    config: RunConfig
    pipeline: Pipeline
    task: Task
    built: Built
    device: torch.device
    notes: list[str] = field(default_factory=list)
    judged: int = 0

    def outputs(self, frame: Frame, told: Told = _nobody) -> Tensor:
        """Raw outputs of the model: [rows, outputs]."""
        split = _split(self.pipeline, frame)
        size = eval_batch_size(split.inputs, self.config)
        order = torch.cat(list(split.slices(size)))
        batches = eval_batches(split, size, self.device)
        found = outputs(self.built.module, _watched(batches, len(split), told))
        return found[order.argsort()]

    def predict(
        self,
        rows: Any,
        sampling: Sampling | None = None,
        told: Told = _nobody,
        *,
        keep: Sequence[str] = (),
        skip_bad: bool = False,
    ) -> dict[str, Any]:
        """Columns of predictions for rows, in their order; `notes` is what they have to say.

        rows: a file, a list of mappings, a DataFrame or an Arrow table. keep: columns of the rows
        to put beside. skip_bad: images that cannot be read get no prediction and an `error`.
        A language model answers each row's prompt. told: hears how many rows of how many are done.
        """
        new = new_rows(self.config.data, rows, self.pipeline, keep)
        self.notes = new.notes
        if skip_bad and not isinstance(self.pipeline, ImagePipeline):
            raise RequestError(
                "skip_bad (--skip-bad) is for images; this model takes none. Without it the rows"
                " that cannot be read are named: correct them, or leave them out of the input"
            )
        if isinstance(self.pipeline, TextPipeline) and self.task.positions:
            made = self._texts(self.pipeline, new.frame, sampling or Sampling(), told)
        elif isinstance(self.pipeline, ImagePipeline):
            made = self._images(self.pipeline, new.frame, told, skip_bad)
        else:
            made = self._judged(new.frame, told)
        truths = [name for name in self.pipeline.target.names if name in made]
        self.notes += [truth_note(name) for name in truths if name in new.kept]
        return beside(new.kept, made, truths)

    def _judged(self, frame: Frame, told: Told) -> dict[str, Any]:
        made: dict[str, Any] = self.task.predictions(self.outputs(frame, told))
        if self.pipeline.target.numeric:
            made["prediction"] = self.pipeline.target.predicted(made["prediction"])
        self.notes += unseen(frame, self.pipeline)
        return made

    def _images(
        self, pipeline: ImagePipeline, frame: Frame, told: Told, skip_bad: bool
    ) -> dict[str, Any]:
        """The paths with what their images show; of those that cannot be read, with the reason."""
        paths = pipeline.conform(frame)
        named = paths.named("text")  # an image that a program gave has no path
        given = {name: list(map(_printable, paths[name])) for name in named}
        try:
            return beside(given, self._judged(frame, told))
        except DataError:
            faults = pipeline.unusable(frame) if skip_bad else {}
            if not faults or len(faults) == len(frame):
                raise
        shown = f"{listed(paths, pipeline.column, faults)}{'; …' if len(faults) > 5 else ''}"
        self.notes.append(
            f"{len(faults):,} of {len(frame):,} images cannot be read and have no prediction"
            f" ({shown})."
        )
        places = np.array([place for place in range(len(frame)) if place not in faults])
        made = self._judged(frame.take(places), told)
        spread = {name: _spread(made[name], places, len(frame)) for name in made}
        errors = [faults.get(place) for place in range(len(frame))]
        return beside(given, {**spread, "error": errors})

    def _texts(
        self, pipeline: TextPipeline, frame: Frame, sampling: Sampling, told: Told
    ) -> dict[str, Any]:
        """Words with their tags, or prompts with their answers."""
        if pipeline.target.kind == "tags":
            return self._tags(pipeline, frame, told)
        given = {name: frame[name].tolist() for name in pipeline.columns}
        prompts = pipeline.prompts(frame, self.notes)
        answers = self._continued(pipeline, prompts, sampling, told)
        return beside(given, {"response": answers})

    def _tags(self, pipeline: TextPipeline, frame: Frame, told: Told) -> dict[str, Any]:
        """The tag of each word; of words that were cut away or are no token, null."""
        split = _split(pipeline, frame.without(pipeline.target.names))
        column = pipeline.tokenization.columns.text or ""
        words = word_lists(frame, column, "data.text")
        size = eval_batch_size(split.inputs, self.config)
        tags = tags_of(self.built.module, self.task, split, size, self.device, told)
        gaps = (len(there) - len(row) for row, there in zip(tags, words, strict=True))
        padded = [[*row, *[None] * gap] for row, gap in zip(tags, gaps, strict=True)]
        return {column: words, "prediction": padded}

    def generate(self, prompts: Sequence[str], sampling: Sampling | None = None) -> list[str]:
        """What the language model says after each prompt.

        Raises RequestError for a model of another kind.
        """
        pipeline = self.pipeline
        if not isinstance(pipeline, TextPipeline) or pipeline.target.kind != "tokens":
            raise RequestError("only a language model (task: causal-lm) continues a prompt")
        asked = [pipeline.prompt_ids(prompt) for prompt in prompts]
        if not all(asked):
            raise RequestError("the prompt is empty; give at least one token to continue")
        return self._continued(pipeline, asked, sampling or Sampling())

    def _continued(
        self,
        pipeline: TextPipeline,
        prompts: Sequence[list[int]],
        sampling: Sampling,
        told: Told = _nobody,
    ) -> list[str]:
        answers = []
        for text in continued(self.built.module, pipeline, self.device, prompts, sampling):
            answers.append(text)
            told(len(answers), len(prompts))
        return answers

    def evaluate(self, path: str | Path) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over all rows of a file that has the target, and the same by class or target."""
        new = new_rows(self.config.data, path, self.pipeline, judged=True)
        scores = self.score(Split.of(self.pipeline, new.frame))
        self.notes = [*new.notes, *unseen(new.frame, self.pipeline)]
        return scores

    def score(self, split: Split) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over rows as the pipeline gives them."""
        metrics, self.judged = self.task.metrics(), len(split)
        rows = eval_batches(split, eval_batch_size(split.inputs, self.config), self.device)
        return evaluate(self.built.module, metrics, rows), metrics.details()


def _split(pipeline: Pipeline, frame: Frame) -> Split:
    return Split(pipeline.inputs(frame), None, torch.from_numpy(frame.rows.copy()))


def _spread(values: Any, places: Any, rows: int) -> list[Any]:
    """Values of the rows at `places` among all rows; the others are unknown."""
    known = dict(zip(places.tolist(), list(values), strict=True))
    return [known.get(row) for row in range(rows)]


def _printable(path: object) -> str:
    """A file's name may be bytes that are no UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def load(run: str | Path, changes: Sequence[str] = ()) -> Predictor:
    """The best model of a run folder, or of a file that `ftune export` wrote."""
    return restore(load_base(Path(run), Access(verify=False)), changes)


def restore(base: Base, changes: Sequence[str] = ()) -> Predictor:
    """Raises CheckpointError for weights without the configuration they were trained with."""
    card = base.card
    if card.pipeline is None or card.config is None:
        raise CheckpointError(
            f"{base.source} holds no transforms: a run folder is needed, or an ftune export to "
            ".safetensors or .pt"
        )
    source = f"the configuration in {base.source}"
    with needing(card.code, base.source):
        config = LANGUAGE.of(card.config, changes, source, kept=True)
    found = base_pipeline(base)
    assert found is not None
    pipeline = found.cached(config.data.cache)
    counts = torch.tensor(card.class_counts, dtype=torch.long)
    seen = torch.repeat_interleave(torch.arange(len(counts)), counts)
    task = build_task(config, pipeline, seen)
    if config.runtime.threads != "auto":
        torch.set_num_threads(config.runtime.threads)
    built, device = build_model(config, pipeline, task, card), choose(config.runtime.device)
    built.module.to(device)
    restore_weights(built.module, card.edits, base.tensors, base.source)
    built.module.eval()
    return Predictor(config, pipeline, task, built, device)
