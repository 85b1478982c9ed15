"""Saving: what one checkpoint a minute costs a LoRA training of SmolLM2-135M, with and without."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from _figures import CONFIGS, Cases, Figure, data, measure, say
from real_models import _smollm

from ftune.assembly.build import build, read_data
from ftune.assembly.job import job
from ftune.commands.base_config import with_base
from ftune.console import Console
from ftune.engine.loop import Job
from ftune.runs.adapters import load_bases
from ftune.schema.root import LANGUAGE
from ftune.training.callbacks.checkpointer import Checkpointer
from ftune.training.run import Run, new_run
from ftune.training.train import checkpointer_of

# Steps of two rows in blocks of a quarter of a minute, and more pairs of them: a checkpoint costs a
# fraction of a second, and the blocks of a minute that were compared before differed by more.

PAIRS = 16
BLOCK_SECONDS, MINUTE = 15.0, 60.0


def opened(out: Path) -> Run:
    """The shipped gsm8k configuration on 160 questions, ready for its first step."""
    where = [f"data.path={{train: {data('gsm8k')}/train.jsonl}}", "data.split.test=0"]
    where.append("train.batch_size=2")
    base = load_bases(str(_smollm()))
    config = with_base(LANGUAGE.load(CONFIGS / "gsm8k.yaml", where), base)
    parts = build(config, read_data(config), base)
    return new_run("finetune", "saving", out, config, parts, Console(quiet=True))


def block(
    run: Run, work: Job, checkpointer: Checkpointer | None, steps: int, waits: list[float]
) -> float:
    """Seconds of the same `steps` steps, with one checkpoint written in their middle or without."""
    began = time.perf_counter()
    for step in range(steps):
        if checkpointer is not None and step == steps // 2:
            asked = time.perf_counter()
            checkpointer.write(run.state)
            waits.append(time.perf_counter() - asked)
        run.state.step = step
        work.step(run.state)
        run.state.step += 1
    if checkpointer is not None:
        checkpointer.saver.wait()
    return time.perf_counter() - began


def saving(out: Path) -> list[Figure]:
    """Blocks over the same batches, with and without in turn; a cost is a share of a minute."""
    run = opened(out / "run")
    checkpointer = checkpointer_of(run)
    work = job(run.parts, checkpointer)
    run.state.set_trainable(0)
    checkpointer.write(run.state)  # what is frozen is written once, not each minute
    checkpointer.saver.wait()
    waits: list[float] = []
    steps = max(2, round(BLOCK_SECONDS / (block(run, work, None, 4, waits) / 4)))
    costs = []
    for pair in range(PAIRS):
        order = (None, checkpointer) if pair % 2 else (checkpointer, None)
        times = {one is not None: block(run, work, one, steps, waits) for one in order}
        costs.append((times[True] - times[False]) / MINUTE)
        say(f"pair {pair + 1}: {times[True]:.2f} s with, {times[False]:.2f} s without")
    checkpointer.close()
    cost, wait = statistics.median(costs), statistics.median(waits)
    low, _, high = statistics.quantiles(costs)
    say(f"half of the {PAIRS} pairs lie between {low:.3f} and {high:.3f}")
    return [
        Figure(f"a checkpoint in a minute ({steps} steps), share", 0.05, cost, costs, at_most=True),
        Figure("seconds until saving returns", 3.0, wait, waits, at_most=True),
    ]


CASES: Cases = {"saving": saving}

if __name__ == "__main__":
    raise SystemExit(measure(CASES, __doc__))
