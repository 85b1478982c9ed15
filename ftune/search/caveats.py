"""What a search for the learning rate could not tell, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftune.assembly.parts import Parts
from ftune.optim import SCHEDULES
from ftune.search.ties import Point, best_of, learned, rivals

# A momentum of 0.9 gives updates of 1 - 0.9**20 = 88 % of their full size after so many steps:
# before, every method that has one moves less at a rate than it will in the whole training.
FEW_STEPS = 20


def what_remains_open(
    survey: Sequence[Point], curve: Sequence[Point], untrained: Point, on_edge: bool
) -> list[str]:
    """What the losses leave open: too few steps, rates that tie, the best rate at the edge."""
    best, alike = best_of(curve), rivals(curve, untrained)
    notes = _too_few_steps(survey, curve)
    if not learned(best, untrained):
        return [
            *notes,
            f"too little to tell: {_rows(best)} cannot tell that any rate improves on the model "
            f"before its training (loss {untrained.loss:.3g}, at best {best.loss:.3g}); the "
            "suggestion is a guess",
        ]
    if len(alike) > 1:
        notes.append(_tie(alike, best))
    if on_edge and len(alike) > 1 and alike[0].lr == curve[0].lr:
        notes.append(f"rates below {alike[0].lr:.2g} were not tried, and may do as well")
    elif on_edge:
        notes.append(_edge(curve, lowest=best.lr == curve[0].lr))
    return [*notes, *_beyond(survey, curve)]


def before(schedule: Any, parts: Parts, lengths: Sequence[int]) -> list[str]:
    """What begins or acts in the whole training, and never in the short ones."""
    return [*_phases(parts, lengths), *_schedule(schedule, lengths[-1])]


def _too_few_steps(survey: Sequence[Point], curve: Sequence[Point]) -> list[str]:
    if curve[0].steps >= FEW_STEPS:
        return []
    return [
        f"too few steps to tell: the trainings had {survey[0].steps:,} and {curve[0].steps:,} "
        f"steps, and below {FEW_STEPS} large rates look better than they are in a whole training; "
        "raise train.epochs, lower train.batch_size, or write a number for optimizer.lr"
    ]


def _tie(alike: Sequence[Point], best: Point) -> str:
    floor = best.rows.floor if best.rows else 0.0
    worst = max(alike, key=lambda p: p.loss)
    why = f"losses below {floor:.2g}" if worst.loss <= floor else "within a standard error"
    return (
        f"{len(alike)} rates from {alike[0].lr:.2g} to {alike[-1].lr:.2g} tie: {_rows(best)} "
        f"cannot tell a loss of {worst.loss:.3g} from {best.loss:.3g} ({why}); the smallest "
        "of these rates is taken"
    )


def _edge(curve: Sequence[Point], lowest: bool) -> str:
    tried = f"the rates tried, {curve[0].lr:.2g} to {curve[-1].lr:.2g}"
    if lowest:
        return f"the best rate is the smallest of {tried}; lower lr_find.low"
    return f"the best rate is the largest of {tried}; raise lr_find.high if that can be meant"


def _beyond(survey: Sequence[Point], curve: Sequence[Point]) -> list[str]:
    """The second pass goes around the best of the first, and so past its ends."""
    low, high = survey[0].lr, survey[-1].lr
    ends = [
        f"down to {curve[0].lr:.2g}, below lr_find.low {low:.2g}" if curve[0].lr < low else "",
        f"up to {curve[-1].lr:.2g}, above lr_find.high {high:.2g}" if curve[-1].lr > high else "",
    ]
    return [f"the second pass tried rates {' and '.join(filter(None, ends))}"] if any(ends) else []


def _rows(point: Point) -> str:
    count = point.rows.count if point.rows else 0
    return "1 validation row" if count == 1 else f"{count:,} validation rows"


def _phases(parts: Parts, lengths: Sequence[int]) -> list[str]:
    """Gradual unfreezing counts epochs, and the short trainings have fewer."""
    matches: dict[int, dict[str, None]] = {}
    for effect in parts.effects.values():
        if effect.train and effect.from_epoch and effect.rule is not None:
            matches.setdefault(effect.from_epoch, {})[parts.rules[effect.rule].match] = None
    notes = []
    for epoch, names in sorted(matches.items()):
        step = epoch * parts.batches.steps_per_epoch
        missed = [length for length in lengths if length <= step]
        if missed and step < parts.total:
            which = "the short" if len(missed) == len(lengths) else "the first pass's"
            notes.append(
                f"{', '.join(names)} (from_epoch: {epoch}) never begins in {which} trainings: "
                f"it begins at step {step:,} of {parts.total:,}, they have "
                f"{' and '.join(f'{length:,}' for length in missed)} steps, as the schedule is "
                "compressed and from_epoch is not"
            )
    return notes


def _schedule(schedule: Any, steps: int) -> list[str]:
    """Parts of a schedule that are not compressed with it."""
    notes = []
    warmup = getattr(schedule, "warmup", None)
    if warmup is not None and warmup.steps and warmup.steps >= steps:
        notes.append(
            f"schedule.warmup has {warmup.steps:,} steps, the short trainings at most {steps:,}: "
            f"they reach {steps / (warmup.steps + 1):.0%} of each rate; a share is compressed with "
            "them"
        )
    if isinstance(schedule, SCHEDULES["plateau"]):
        notes.append(
            "schedule `plateau` goes by evaluations, and the short trainings are evaluated at "
            "their end only: their rate never drops"
        )
    by_epoch = "every" if hasattr(schedule, "every") else "gamma"
    if getattr(schedule, by_epoch, None) is not None:
        notes.append(
            f"schedule.{by_epoch} counts epochs and is not compressed: the rate falls further in "
            "the whole training than in the short ones"
        )
    return notes
