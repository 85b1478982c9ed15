"""Parts -> Job: how a training is fed, looked at, judged and ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ftune.adapt.names import adapted_module_of
from ftune.assembly.fault_policy import resilient_step, spike_guard
from ftune.assembly.loader import eval_batch_size, eval_batches
from ftune.assembly.objective import choose_objective
from ftune.assembly.parts import Parts
from ftune.data.dataset import Split
from ftune.engine.callback import Callback
from ftune.engine.decision import Decision, Reason
from ftune.engine.evaluate import Metric, evaluate_ranks
from ftune.engine.loop import Job
from ftune.engine.scores import Scores
from ftune.engine.selection import Selection
from ftune.engine.state import State
from ftune.engine.step import Step
from ftune.errors import OutOfMemoryError, RequestError
from ftune.runtime.memory import memory

Scored = dict[str, dict[str, float]]
"""Metrics by split."""


def job(parts: Parts, callback: Callback) -> Job:
    """The parts as the callables that the engine runs."""
    train = parts.config.train
    inspected: set[int] = set()
    selection = selection_of(parts)
    objective, _ = choose_objective(parts.config, parts.task, parts.model, parts.device)
    parts.prefix.warn = callback.warn
    step = Step(
        objective,
        train.clip_norm,
        train.clip_value,
        parts.precision.autocast if parts.precision.dtype else None,
        spike_guard(parts),
        parts.group,
    )
    return Job(
        total=parts.total,
        steps_per_epoch=parts.batches.steps_per_epoch,
        step=resilient_step(parts, step, callback),
        evaluate=partial(_evaluate, parts, callback, selection),
        decide=partial(_decide, selection, callback),
        save=callback.save,
        log=callback.on_step,
        inspect=partial(_inspect, parts, callback, inspected),
        selection=selection,
        group=parts.group,
    )


def selection_of(parts: Parts) -> Selection:
    """What the best evaluation of a training is. Raises RequestError for an unknown metric."""
    name, train = parts.config.eval_.metric, parts.config.train
    name = parts.config.task.main[0] if name == "auto" else name
    if name not in parts.task.directions:
        known = ", ".join(parts.task.directions)
        raise RequestError(f"eval.metric: `{name}` is not a metric of this task; accepted: {known}")
    patience = train.early_stop.patience if train.early_stop else None
    min_delta = train.early_stop.min_delta if train.early_stop else 0.0
    return Selection(name, parts.task.directions[name], patience, min_delta, train.keep_best)


def score(parts: Parts, split: Split, make: Callable[[], Metric] | None = None) -> dict[str, float]:
    """All metrics of the model as it stands on one split.

    make: returns metrics other than the task's, new ones for each try.

    Where memory runs out, once more with half as many rows at once, which changes no result.
    Raises OutOfMemoryError where one row is too much.
    """
    split, passes = parts.prefix.evaluation(split)
    size = eval_batch_size(split.inputs, parts.config)
    while True:
        try:
            with memory("an evaluation"):
                rows = eval_batches(split, size, parts.device, parts.group)
                metrics = make or parts.task.metrics
                return evaluate_ranks(parts.model, metrics, rows, parts.group, passes)
        except OutOfMemoryError:
            if size == 1:
                raise
        size //= 2


def score_all(parts: Parts, known: Scored | None = None) -> Scored:
    """All metrics on every split.

    known: of splits that were scored with these very weights already.
    """
    known, splits = known or {}, parts.dataset.splits
    return {name: known.get(name) or score(parts, splits[name]) for name in scored_splits(parts)}


def scored_splits(parts: Parts) -> list[str]:
    """Return the splits that are scored at the end, the training rows as `eval.train` says."""
    train = parts.config.eval_.train
    wanted = parts.dataset.train.inputs.dense if train == "auto" else train
    return [name for name in parts.dataset.splits if name != "train" or wanted]


def _evaluate(
    parts: Parts, callback: Callback, selection: Selection, state: State, last: bool
) -> Scores | None:
    due = last or (parts.eval_every is not None and state.step % parts.eval_every == 0)
    due = due and (state.step > 0 or parts.config.eval_.at_start)
    if not due or parts.dataset.val is None:
        return None
    with state.evaluated():
        scores = score(parts, parts.dataset.val)
    if state.step:
        state.schedule.observe(selection.cost(scores[selection.metric]))
    callback.on_evaluate(state, scores)
    return scores


def _decide(
    selection: Selection, callback: Callback, state: State, scores: Scores | None
) -> Decision:
    stop: Reason | None = "early" if selection.exhausted(state) else callback.stop(state)
    return Decision(callback.save_due(state, scores), stop)


def _inspect(parts: Parts, callback: Callback, seen: set[int], state: State) -> None:
    """After the first step of each phase: whatever is trained must have received a gradient."""
    epoch = (state.step - 1) // parts.batches.steps_per_epoch
    phase = sum(begin <= epoch for begin in parts.phases.starts)
    if phase in seen:
        return
    seen.add(phase)
    moving = [(n, p) for n, p in parts.model.named_parameters() if p.requires_grad]
    idle = {n for n, p in moving if p.grad is None or not bool(p.grad.count_nonzero())}
    # One side of an adapter starts at 0, so the other has no gradient yet: together they must.
    adapters = adapted_module_of([n for n, _ in parts.model.named_parameters()])
    alive = {adapters[n] for n, _ in moving if n in adapters and n not in idle}
    idle = {n for n in idle if adapters.get(n) not in alive}
    unused = [n for n, p in moving if n in idle and p.grad is None]
    if unused:
        callback.on_no_grad(unused, "nothing depends on them")
    if zero := [n for n, _ in moving if n in idle and n not in unused]:
        callback.on_no_grad(zero, "it was exactly 0 (units that are off, or terms that cancel)")
