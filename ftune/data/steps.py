"""A chain of fitted transforms: fitting, applying, and the way to JSON and arrays and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftune.config.dump import dump
from ftune.config.fields import blocks
from ftune.config.load import Language
from ftune.data import TRANSFORMS
from ftune.data.frame import Array, Frame
from ftune.data.lineage import Fit, Lineage, Step, bare
from ftune.data.saturation import in_reach
from ftune.data.unlisted import unlisted


@dataclass(frozen=True)
class _Listed:
    """Transforms as a configuration holds them."""

    transforms: Any = blocks(TRANSFORMS)
    """In order."""


def fit_steps(
    transforms: Sequence[Any],
    frame: Frame,
    prior: Sequence[Step] = (),
    kinds: Mapping[str, str] | None = None,
    notes: list[str] | None = None,
    base: Sequence[Any] = (),
    keep: bool = False,
) -> tuple[tuple[Step, ...], Frame]:
    """Fits each transform on what the ones before it made of `frame`.

    A column keeps the statistics that `prior` has of it after the same transforms with the same
    settings where they tell most of its values apart; keep: in any case. kinds: what the raw
    columns of `prior` hold; None: the same as those of `frame`. notes: gets what the statistics of
    `prior` do not know of. base: the transforms of a model to fine-tune, whose statistics may be
    left aside; `auto` goes by them.
    """
    own = kinds_of(frame)
    fits, lineage = fits_of(prior, own if kinds is None else kinds), Lineage(own)
    steps: list[Step] = []
    for transform in [step for listed in transforms for step in listed.steps(base)]:
        known = in_reach(transform, frame, lineage.known_to(fits, transform), keep, notes)
        state = transform.fit(frame, known or None)
        if notes is not None:
            notes += unlisted(transform, frame, {n: known[n] for n in state if n in known})
        frame = transform.apply(frame, state)
        lineage.take(transform, state)
        steps.append(Step(transform, state))
    return tuple(steps), frame


def kinds_of(frame: Frame) -> dict[str, str]:
    """What each column holds."""
    return {name: str(frame.kind(name)) for name in frame.columns}


def fits_of(steps: Sequence[Step], kinds: Mapping[str, str]) -> dict[str, list[Fit]]:
    """All that `steps` learnt, by column; `kinds`: what each raw column holds."""
    lineage, fits = Lineage(kinds), dict[str, list[Fit]]()
    for step in steps:
        for name, column in step.state.items():
            fit = Fit(lineage.of(name), bare(step.transform), column)
            fits.setdefault(name, []).append(fit)
        lineage.take(step.transform, step.state)
    return fits


def apply_steps(steps: Sequence[Step], frame: Frame) -> Frame:
    for step in steps:
        frame = step.transform.apply(frame, step.state)
    return frame


def steps_to_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The configuration and the plain part of the state of each step."""
    configs = dump(_Listed(tuple(step.transform for step in steps)))["transforms"]
    return [
        {
            "transform": config,
            "state": {name: _plain(column) for name, column in step.state.items()},
        }
        for config, step in zip(configs, steps, strict=True)
    ]


def _plain(column: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in column.items() if not isinstance(value, np.ndarray)}


def steps_to_arrays(steps: Sequence[Step], prefix: str) -> dict[str, Array]:
    """The arrays of the state, as `prefix/step/column/statistic`."""
    return {
        f"{prefix}/{i}/{name}/{key}": value
        for i, step in enumerate(steps)
        for name, column in step.state.items()
        for key, value in column.items()
        if isinstance(value, np.ndarray)
    }


def restore_steps(
    stored: Sequence[Mapping[str, Any]], arrays: Mapping[str, Array], prefix: str
) -> tuple[Step, ...]:
    """The inverse of `steps_to_json` and `steps_to_arrays`."""
    plain = {"transforms": [item["transform"] for item in stored]}
    transforms = Language(_Listed).of(plain, source="the checkpoint's pipeline").transforms
    states = [{name: dict(column) for name, column in item["state"].items()} for item in stored]
    for path, array in arrays.items():
        if path.startswith(f"{prefix}/"):
            index, rest = path.removeprefix(f"{prefix}/").split("/", 1)
            name, _, key = rest.rpartition("/")
            states[int(index)][name][key] = np.asarray(array)
    return tuple(Step(t, state) for t, state in zip(transforms, states, strict=True))
