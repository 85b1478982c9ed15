"""A trained model in use: from a run or a single file to metrics and predictions on new rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftune.build import base_pipeline, build_task, eval_size, moved, whole
from ftune.data.dataset import Split
from ftune.data.frame import Frame
from ftune.data.new_rows import read_split
from ftune.data.pipeline import Pipeline
from ftune.data.text.dialogues import word_lists
from ftune.data.text.pipeline import TextPipeline
from ftune.engine.evaluate import evaluate, inference, outputs
from ftune.errors import CheckpointError, RequestError
from ftune.extend.forgotten import needing
from ftune.models.call import counted
from ftune.models.generate import generate
from ftune.models.shapes import Built
from ftune.runs.base import Base, load_base
from ftune.runtime.device import choose
from ftune.schema import LANGUAGE, RunConfig
from ftune.tasks.protocol import Batch, Task
from ftune.weights import build_model, restore_weights


@dataclass(frozen=True)
class Sampling:
    """How text is drawn: `temperature` 0 takes the likeliest token each time."""

    max_tokens: int = 200
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0


Told = Callable[[int, int], None]


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
    """A model with the transforms it was trained with; rows in, predictions out."""

    config: RunConfig
    pipeline: Pipeline
    task: Task
    built: Built
    device: torch.device

    def outputs(self, frame: Frame, told: Told = _nobody) -> Tensor:
        """Raw outputs of the model: [rows, outputs]."""
        split = Split(self.pipeline.inputs(frame), None, torch.from_numpy(frame.rows.copy()))
        order = torch.cat(list(split.slices(eval_size(split.inputs, self.config))))
        batches = whole(split, eval_size(split.inputs, self.config), self.device)
        found = outputs(self.built.module, _watched(batches, len(split), told))
        return found[order.argsort()]

    def predict(
        self, path: str | Path, sampling: Sampling | None = None, told: Told = _nobody
    ) -> dict[str, Any]:
        """Columns of predictions for the rows of a file, in its order.

        A language model answers each row's prompt. told: hears how many rows of how many are done.
        """
        frame = read_split(self.config.data, str(path), self.pipeline)
        if isinstance(self.pipeline, TextPipeline) and self.task.positions:
            return self._texts(self.pipeline, frame, sampling or Sampling(), told)
        made: dict[str, Any] = self.task.predictions(self.outputs(frame, told))
        if self.pipeline.kind != "images":
            return made
        paths = self.pipeline.conform(frame)
        return _beside({name: list(map(_printable, paths[name])) for name in paths.columns}, made)

    def _texts(
        self, pipeline: TextPipeline, frame: Frame, sampling: Sampling, told: Told
    ) -> dict[str, Any]:
        """Words with their tags, or prompts with their answers."""
        if pipeline.target.kind == "tags":
            return self._tags(pipeline, frame, told)
        given = {name: frame[name].tolist() for name in pipeline.columns}
        answers = self._continued(pipeline, pipeline.prompts(frame), sampling, told)
        return _beside(given, {"response": answers})

    def _tags(self, pipeline: TextPipeline, frame: Frame, told: Told) -> dict[str, Any]:
        """The tag of each word; of words that were cut away or are no token, null."""
        bare = frame.without(pipeline.target.names)
        split = Split(pipeline.inputs(bare), None, torch.from_numpy(frame.rows.copy()))
        column = pipeline.recipe.form.text or ""
        words = word_lists(frame, column, "data.text")
        found: list[list[str | None]] = [[] for _ in words]
        pieces = split.slices(eval_size(split.inputs, self.config))
        with inference(self.built.module):
            for rows in pieces:
                outputs, batch = counted(self.built.module, moved(split.batch(rows), self.device))
                tags = self.task.predictions(outputs)["prediction"]
                for row, tag in zip(rows[batch["row"].cpu()].tolist(), tags, strict=True):
                    found[row].append(str(tag))
                told(sum(map(bool, found)), len(split))
        for row, there in zip(found, words, strict=True):
            row += [None] * (len(there) - len(row))
        return {column: words, "prediction": found}

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
        generator = torch.Generator().manual_seed(sampling.seed)
        answers = []
        for ids in prompts:
            found = generate(
                self.built.module,
                torch.tensor(ids, device=self.device),
                max_new_tokens=sampling.max_tokens,
                context=self._context(pipeline),
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                stop_ids=pipeline.stop_ids,
                generator=generator,
            )
            answers.append(pipeline.decode(found))
            told(len(answers), len(prompts))
        return answers

    def _context(self, pipeline: TextPipeline) -> int:
        """How many tokens the model reads: its own positions, else those that it was trained on."""
        config = getattr(self.built.module, "config", None)
        known = getattr(config and config.get_text_config(), "max_position_embeddings", None)
        return int(known or pipeline.features.shape[0])

    def evaluate(self, path: str | Path) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over all rows of a file that has the target, and the same by class or target."""
        frame = read_split(self.config.data, str(path), self.pipeline, judged=True)
        return self.score(Split.of(self.pipeline, frame))

    def score(self, split: Split) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over rows as the pipeline gives them."""
        meter = self.task.meter()
        rows = whole(split, eval_size(split.inputs, self.config), self.device)
        return evaluate(self.built.module, meter, rows), meter.details()


def _beside(given: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that were given, under another name where a prediction has theirs."""
    return {f"{k} (given)" if k in made else k: v for k, v in given.items()} | dict(made)


def _printable(path: object) -> str:
    """A file's name may be bytes that are no UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def load(run: str | Path, changes: Sequence[str] = ()) -> Predictor:
    """The best model of a run folder, or of a file that `ftune export` wrote."""
    return restore(load_base(Path(run)), changes)


def restore(base: Base, changes: Sequence[str] = ()) -> Predictor:
    """Raises CheckpointError for weights without the configuration they were trained with."""
    if "pipeline" not in base.meta:
        raise CheckpointError(
            f"{base.source} holds no transforms: a run folder is needed, or an ftune export to "
            ".safetensors or .pt"
        )
    source = f"the configuration in {base.source}"
    with needing(base.meta.get("code"), base.source):
        config = LANGUAGE.of(base.meta["config"], changes, source, kept=True)
    found = base_pipeline(base)
    assert found is not None
    pipeline = found.cached(config.data.cache)
    counts = torch.tensor(base.meta["class_counts"], dtype=torch.long)
    seen = torch.repeat_interleave(torch.arange(len(counts)), counts)
    task = build_task(config, pipeline, seen)
    if config.runtime.threads != "auto":
        torch.set_num_threads(config.runtime.threads)
    built, device = build_model(config, pipeline, task, base.meta), choose(config.runtime.device)
    built.module.to(device)
    restore_weights(built.module, base.meta, base.tensors, base.source)
    built.module.eval()
    return Predictor(config, pipeline, task, built, device)
